//! The records that the scheduler may ask for again, in memory. What it never asks for is not kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_core::Record;
use durable_core::write::{EVENT, FUNCTION, GATE, HISTORY, INBOX, MEMO, META, RUN, TIMER, UNTOLD};

/// Kinds that are read when a store is opened or by callers only, or once too old, which nothing is here.
const NEVER_ASKED_FOR: [u8; 9] = [EVENT, FUNCTION, GATE, HISTORY, INBOX, MEMO, META, RUN, UNTOLD];

/// A store without a disk.
#[derive(Debug, Default)]
pub(super) struct Shelf(BTreeMap<Bytes, Bytes>);

impl Shelf {
    pub(super) fn put(&mut self, key: Bytes, value: Bytes) {
        if key.first().is_some_and(|prefix| !NEVER_ASKED_FOR.contains(prefix)) {
            self.0.insert(key, value);
        }
    }

    pub(super) fn remove(&mut self, key: &Bytes) {
        self.0.remove(key);
    }

    pub(super) fn get(&self, key: &Bytes) -> Option<Record> {
        self.0.get_key_value(key).map(|(key, value)| (key.clone(), value.clone()))
    }

    /// At most `limit` records of a range, in the order of their keys; false where there are more.
    pub(super) fn page(&self, from: &Bytes, before: &Bytes, limit: usize) -> (Vec<Record>, bool) {
        let range = self.0.range::<Bytes, _>(from..before);
        let found: Vec<Record> = range
            .take(limit.saturating_add(1))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let is_complete = found.len() <= limit;
        (found.into_iter().take(limit).collect(), is_complete)
    }

    pub(super) fn has_timers(&self) -> bool {
        let first = Bytes::from_static(&[TIMER]);
        let next = self.0.range::<Bytes, _>(&first..).next();
        next.is_some_and(|(key, _)| key.first() == Some(&TIMER))
    }
}
