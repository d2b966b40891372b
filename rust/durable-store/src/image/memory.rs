//! An image that is a map.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use super::{Image, Item, Items, KeyChange};
use crate::range::successor;
use crate::{KeyRange, Result, Seq};

/// How many records are read or written while nobody else may.
const PAGE: usize = 512;

/// An image that is a map.
#[derive(Debug, Default)]
pub struct MemoryImage {
    records: RwLock<BTreeMap<Bytes, Bytes>>,
    applied: AtomicU64,
}

impl MemoryImage {
    /// An empty image.
    pub fn new() -> Self {
        Self::default()
    }

    fn page(&self, range: &KeyRange) -> VecDeque<Item> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let to = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = records.range::<[u8], _>((Bound::Included(&*range.start), to));
        found.take(PAGE).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Image for MemoryImage {
    fn apply(&self, upto: Seq, changes: &mut dyn Iterator<Item = Result<KeyChange>>) -> Result<()> {
        loop {
            let page = changes.take(PAGE).collect::<Result<Vec<_>>>()?;
            if page.is_empty() {
                break;
            }
            let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in page {
                match value {
                    Some(value) => drop(records.insert(key, value)),
                    None => drop(records.remove(&key)),
                }
            }
        }
        self.applied.store(upto, Ordering::Release);
        Ok(())
    }

    fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(key).cloned())
    }

    fn scan(&self, range: KeyRange) -> Items<'_> {
        Box::new(Pages { image: self, rest: Some(range), page: VecDeque::new() })
    }
}

struct Pages<'a> {
    image: &'a MemoryImage,
    rest: Option<KeyRange>,
    page: VecDeque<Item>,
}

impl Iterator for Pages<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            let rest = self.rest.take().filter(|rest| !rest.is_empty())?;
            self.page = self.image.page(&rest);
            let last = self.page.back().filter(|_| self.page.len() == PAGE);
            self.rest = last.map(|(key, _)| KeyRange { start: successor(key), end: rest.end });
        }
        self.page.pop_front().map(Ok)
    }
}
