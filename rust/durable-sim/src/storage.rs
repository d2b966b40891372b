//! Where a world's records lie: what may be read, what is staged, and what a crash leaves of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use bytes::Bytes;
use durable_core::Record;
pub use durable_store::{Change, Seq};

use crate::chance::Chance;
use crate::tally::Tally;

/// All records, by key.
pub type Records = BTreeMap<Bytes, Bytes>;

/// How the process, or the machine, comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The process is gone; what it wrote is with the system.
    Kill,
    /// The machine is gone; what was not synced may be, too.
    Power,
    /// The same, in the middle of an append of all that is staged.
    PowerInAppend,
}

/// A store as the driver uses it.
pub trait Storage: Debug {
    /// One record, staged ones included.
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    /// Records from a key up to another, at most so many, staged ones included.
    fn scan(&self, from: &[u8], before: &[u8], limit: usize) -> Vec<Record>;
    /// A turn's changes can be read from here on.
    fn stage(&mut self, seq: Seq, changes: &[Change]);
    /// All that is staged becomes durable. An error is final: nothing more goes until it is opened again.
    fn append(&mut self) -> Result<(), String>;
    /// The number that the next turn with changes gets.
    fn next_seq(&self) -> Seq;
    /// The next append fails.
    fn refuse_next(&mut self, chance: &mut Chance);
    /// What runs beside: checkpoints.
    fn rest(&mut self, chance: &mut Chance, tally: &mut Tally) -> Result<(), String>;
    /// The end, and a new beginning out of what is left.
    fn reopen(&mut self, cut: Cut, chance: &mut Chance) -> Result<(), String>;
    /// A byte changes while the process is down: `Ok(true)` where opening says so, `Ok(false)` where it
    /// does no harm. Afterwards the byte is as before.
    fn flip(&mut self, chance: &mut Chance) -> Result<bool, String>;
}

/// Everything there is, for comparing.
pub fn dump(storage: &dyn Storage) -> Records {
    storage.scan(&[0], &[u8::MAX], usize::MAX).into_iter().collect()
}

/// Applies changes to a plain map.
pub fn apply(records: &mut Records, changes: &[Change]) {
    for change in changes {
        match &change.value {
            Some(value) => drop(records.insert(change.key.clone(), value.clone())),
            None => drop(records.remove(&change.key)),
        }
    }
}

/// Deliberate mistakes of a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    /// An append says that it is durable and is not.
    pub skips_sync: bool,
    /// A turn's changes may be cut in two.
    pub tears: bool,
}

/// A store in memory whose crashes are exact: turns are whole or not there.
#[derive(Debug, Default)]
pub struct MapStorage {
    view: Records,
    durable: Records,
    staged: VecDeque<Vec<Change>>,
    unsynced: VecDeque<Vec<Change>>,
    refuses_next: bool,
    poison: Option<String>,
    flaws: Flaws,
}

impl MapStorage {
    /// An empty store.
    pub fn new(flaws: Flaws) -> Self {
        Self { flaws, ..Self::default() }
    }

    fn keep(&mut self, mut count: usize, from_unsynced: bool) {
        let queue = if from_unsynced { &mut self.unsynced } else { &mut self.staged };
        while count > 0
            && let Some(changes) = queue.pop_front()
        {
            apply(&mut self.durable, &changes);
            count -= 1;
        }
    }
}

impl Storage for MapStorage {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.view.get(key).cloned()
    }

    fn scan(&self, from: &[u8], before: &[u8], limit: usize) -> Vec<Record> {
        if from >= before {
            return Vec::new();
        }
        let range = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(before));
        let found = self.view.range::<[u8], _>(range).take(limit);
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn stage(&mut self, _seq: Seq, changes: &[Change]) {
        apply(&mut self.view, changes);
        if self.flaws.tears {
            self.staged.extend(changes.iter().map(|change| vec![change.clone()]));
        } else {
            self.staged.push_back(changes.to_vec());
        }
    }

    fn append(&mut self) -> Result<(), String> {
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        if std::mem::take(&mut self.refuses_next) {
            let error = "the disk is full".to_owned();
            self.poison = Some(error.clone());
            return Err(error);
        }
        if self.flaws.skips_sync {
            self.unsynced.append(&mut self.staged);
        } else {
            self.keep(usize::MAX, false);
        }
        Ok(())
    }

    fn next_seq(&self) -> Seq {
        1 // it does not number what it keeps
    }

    fn refuse_next(&mut self, _chance: &mut Chance) {
        self.refuses_next = true;
    }

    fn rest(&mut self, _chance: &mut Chance, _tally: &mut Tally) -> Result<(), String> {
        Ok(())
    }

    fn reopen(&mut self, cut: Cut, chance: &mut Chance) -> Result<(), String> {
        let unsynced = match cut {
            Cut::Kill => self.unsynced.len(),
            Cut::Power | Cut::PowerInAppend => chance.size(0, self.unsynced.len()),
        };
        let is_whole = unsynced == self.unsynced.len();
        self.keep(unsynced, true);
        let staged = match cut {
            Cut::Kill | Cut::Power => 0,
            Cut::PowerInAppend => chance.size(0, self.staged.len()),
        };
        if is_whole {
            self.keep(staged, false);
        }
        self.staged.clear();
        self.unsynced.clear();
        (self.poison, self.refuses_next) = (None, false);
        self.view = self.durable.clone();
        Ok(())
    }

    fn flip(&mut self, _chance: &mut Chance) -> Result<bool, String> {
        Ok(false)
    }
}
