//! Changes that are logged and not yet in the image, the last one of each key.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use bytes::Bytes;

use crate::image::{Item, KeyChange};
use crate::{Change, Result};

/// What an entry costs beside its key and value, about.
const ENTRY_BYTES: usize = 96;

/// What a layer says of a key.
#[derive(Debug)]
pub(crate) enum Says {
    /// It has this value.
    Value(Bytes),
    /// It is gone.
    Gone,
    /// Ask below.
    Nothing,
}

/// The last change of each key.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    entries: BTreeMap<Bytes, Staged>,
    bytes: usize,
}

#[derive(Debug)]
struct Staged {
    value: Option<Bytes>,
    /// Nothing below this layer shows through once the entry is gone.
    is_absent_below: bool,
}

impl Layer {
    /// Brings in a change. Where `is_new` is trusted, a key that came and goes again leaves no trace.
    pub(crate) fn stage(&mut self, change: &Change, is_new: bool) {
        let value_bytes = change.value.as_ref().map_or(0, Bytes::len);
        match self.entries.entry(change.key.clone()) {
            Entry::Vacant(place) => {
                let size = size_of_entry(place.key()).saturating_add(value_bytes);
                self.bytes = self.bytes.saturating_add(size);
                place.insert(Staged { value: change.value.clone(), is_absent_below: is_new });
            }
            Entry::Occupied(mut place) => {
                let old_bytes = place.get().value.as_ref().map_or(0, Bytes::len);
                self.bytes = self.bytes.saturating_sub(old_bytes).saturating_add(value_bytes);
                if change.value.is_none() && place.get().is_absent_below {
                    self.bytes = self.bytes.saturating_sub(size_of_entry(place.key()));
                    place.remove();
                } else {
                    place.get_mut().value.clone_from(&change.value);
                }
            }
        }
    }

    /// What this layer says of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Says {
        match self.entries.get(key).map(|staged| &staged.value) {
            Some(Some(value)) => Says::Value(value.clone()),
            Some(None) => Says::Gone,
            None => Says::Nothing,
        }
    }

    /// Memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The changes, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyChange> {
        self.entries.iter().map(|(key, staged)| (key.clone(), staged.value.clone()))
    }

    /// The changes from a bound on, sorted.
    pub(crate) fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        self.entries.range::<[u8], _>((from, to)).map(|(key, staged)| (key, &staged.value))
    }
}

fn size_of_entry(key: &Bytes) -> usize {
    key.len().saturating_add(ENTRY_BYTES)
}

/// Records with sorted changes laid over them.
pub(crate) fn overlay(
    items: impl Iterator<Item = Result<Item>>,
    changes: impl Iterator<Item = KeyChange>,
) -> impl Iterator<Item = Result<Item>> {
    let mut items = items.peekable();
    let mut changes = changes.peekable();
    std::iter::from_fn(move || {
        loop {
            let Some((changed, _)) = changes.peek() else { return items.next() };
            match items.peek() {
                Some(Err(_)) => return items.next(),
                Some(Ok((key, _))) if key < changed => return items.next(),
                Some(Ok((key, _))) if key == changed => drop(items.next()),
                Some(Ok(_)) | None => {}
            }
            if let Some((key, Some(value))) = changes.next() {
                return Some(Ok((key, value)));
            }
        }
    })
}
