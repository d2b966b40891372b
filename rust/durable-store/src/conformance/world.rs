//! A store that lives and dies many times on a faulty disk, beside a model that remembers all it was told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Verdict, expect, wrong};
use crate::fault::{Chance, Failure, FaultDisk, Plan};
use crate::{Change, ImageKind, KeyRange, Opened, Options, Seq, Store, StoreError, batch};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accident {
    /// Closed in order.
    None,
    /// The process is killed: what was written stays written.
    Kill,
    /// The power goes: what was not synced is lost, torn, or there.
    PowerCut,
}

/// What a world has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// States that were opened and compared.
    pub states: u64,
    /// Batches that were acknowledged.
    pub acknowledged: u64,
    /// Batches that were found though nobody had been told that they are durable.
    pub found_unacknowledged: u64,
    /// Opens that found the end of the log torn.
    pub torn: u64,
    /// Opens that failed because of a failure that was planned.
    pub failed_opens: u64,
}

/// A store on a faulty disk, and the model of it.
#[derive(Debug)]
pub struct World {
    /// The disk as it is now.
    pub disk: FaultDisk,
    /// What was done to it.
    pub lives: Lives,
    kind: ImageKind,
    chance: Chance,
    /// All batches that may be in the log, from 1 on.
    batches: Vec<Vec<Change>>,
    acknowledged: Seq,
}

/// Where the store is on its disk.
const FOLDER: &str = "/store";

impl World {
    /// A world without a store yet. `kind` must not be sled, which needs a real disk.
    pub fn new(seed: u64, kind: ImageKind) -> Self {
        let mut chance = Chance::new(seed);
        Self {
            disk: FaultDisk::new(chance.draw()),
            lives: Lives::default(),
            kind,
            chance,
            batches: Vec::new(),
            acknowledged: 0,
        }
    }

    /// Options with small files, so that a short life sees many of them.
    pub fn options(&self) -> Options {
        Options {
            segment_bytes: 24 << 10,
            grow_bytes: 8 << 10,
            checkpoint_bytes: 8 << 10,
            snapshot_bytes: 32 << 10,
            reserve_bytes: 0,
            page_bytes: 1 << 20,
            ..Options::on(Arc::new(self.disk.clone()), PathBuf::from(FOLDER), self.kind)
        }
    }

    /// A life of some turns, with a failing call in it once in a while, and how it ends.
    pub fn live(&mut self, accident: Accident) -> Verdict {
        self.plan_failure();
        match Store::open(self.options()) {
            Ok(opened) => self.work(opened)?,
            Err(error) if is_planned(&error) => {
                self.lives.failed_opens = self.lives.failed_opens.saturating_add(1);
            }
            Err(error) => return Err(wrong(error)),
        }
        self.end(accident);
        self.verify()
    }

    /// Ends a life without looking at what is left.
    pub fn end(&mut self, accident: Accident) {
        self.disk.fail(None);
        self.disk = match accident {
            Accident::None => self.disk.clone(),
            Accident::Kill => self.disk.kill(),
            Accident::PowerCut => self.disk.crash(),
        };
    }

    /// Opens the store where all goes well, and compares.
    pub fn verify(&mut self) -> Verdict {
        let opened = Store::open(self.options()).map_err(wrong)?;
        self.compare(&opened)
    }

    /// All acknowledged batches are there, none in part, and nothing else.
    fn compare(&mut self, opened: &Opened) -> Verdict {
        let last = opened.log.next_seq().saturating_sub(1);
        let attempted = u64::try_from(self.batches.len()).unwrap_or(u64::MAX);
        if last < self.acknowledged || last > attempted {
            let acknowledged = self.acknowledged;
            return Err(format!(
                "the log ends at {last}; {acknowledged} was acknowledged, {attempted} attempted"
            ));
        }
        expect("the last batch of the view", &opened.view.staged(), &last)?;
        self.batches.truncate(usize::try_from(last).unwrap_or(usize::MAX));
        let found = opened.view.scan(KeyRange::all()).collect::<crate::Result<Vec<_>>>();
        expect("the state", &found.map_err(wrong)?, &self.state().into_iter().collect())?;
        let unexpected = last.saturating_sub(self.acknowledged);
        self.lives.found_unacknowledged =
            self.lives.found_unacknowledged.saturating_add(unexpected);
        self.lives.torn = self.lives.torn.saturating_add(u64::from(opened.report.cut_bytes > 0));
        self.lives.states = self.lives.states.saturating_add(1);
        self.lives.acknowledged = last;
        self.acknowledged = last;
        Ok(())
    }

    /// The state after all batches.
    pub fn state(&self) -> BTreeMap<Bytes, Bytes> {
        let mut state = BTreeMap::new();
        for change in self.batches.iter().flatten() {
            match &change.value {
                Some(value) => drop(state.insert(change.key.clone(), value.clone())),
                None => drop(state.remove(&change.key)),
            }
        }
        state
    }

    fn plan_failure(&mut self) {
        if !self.chance.one_in(4) {
            return;
        }
        let ahead = u64::try_from(self.chance.up_to(120)).unwrap_or(0);
        self.disk.fail(Some(Plan {
            at: self.disk.calls().saturating_add(ahead),
            failure: if self.chance.one_in(3) { Failure::Full } else { Failure::InputOutput },
            persists: self.chance.one_in(2),
        }));
    }

    /// Turns until the life is over or a call fails; after a failure nothing may be accepted.
    pub fn work(&mut self, mut opened: Opened) -> Verdict {
        self.compare(&opened)?;
        for _ in 0..self.chance.up_to(12) {
            match self.turn(&mut opened) {
                Ok(()) => {}
                Err(error) if is_planned(&error) => {
                    return self.insist(&mut opened);
                }
                Err(error) => return Err(wrong(error)),
            }
        }
        if self.chance.one_in(3) && opened.log.close().is_ok() {
            self.acknowledged = opened.log.durable();
        }
        Ok(())
    }

    /// One group of batches, durable at once or later; then perhaps a checkpoint.
    fn turn(&mut self, opened: &mut Opened) -> Result<(), StoreError> {
        let mut group = Vec::new();
        for _ in 0..=self.chance.up_to(3) {
            let changes = self.draw_changes();
            self.batches.push(changes.clone());
            let seq = u64::try_from(self.batches.len()).unwrap_or(u64::MAX);
            opened.view.stage(seq, &changes)?;
            group.push((seq, batch::encode(&changes)));
        }
        opened.log.write(&group)?;
        if !self.chance.one_in(4) {
            opened.log.sync()?;
            self.acknowledged = opened.log.durable();
            let is_due = opened.view.staged_bytes() > 8 << 10 || self.chance.one_in(6);
            let frozen = if is_due { opened.view.freeze() } else { None };
            frozen.map(|frozen| opened.checkpointer.run(frozen)).transpose()?;
        }
        Ok(())
    }

    /// After a failure of the log each append is refused, though the disk is well again. Where it was the
    /// checkpointer that failed, the log goes on.
    fn insist(&mut self, opened: &mut Opened) -> Verdict {
        self.disk.fail(None);
        let calls = self.disk.calls();
        let changes = self.draw_changes();
        let late = [(opened.log.next_seq(), batch::encode(&changes))];
        match opened.log.append(&late) {
            Err(StoreError::Poisoned { .. }) => {
                expect("calls on the disk after it had failed", &self.disk.calls(), &calls)
            }
            Ok(()) => {
                self.batches.push(changes);
                self.acknowledged = opened.log.durable();
                Ok(())
            }
            Err(error) => Err(wrong(error)),
        }
    }

    fn draw_changes(&mut self) -> Vec<Change> {
        let mut state = self.state();
        let mut changes = Vec::new();
        for _ in 0..self.chance.up_to(5) {
            let number = self.chance.up_to(60);
            let key = Bytes::from(format!("key-{number:02}"));
            let is_new = !state.contains_key(&key);
            let length = if self.chance.one_in(8) { 6000 } else { 300 };
            let fill = if self.chance.one_in(3) { 0 } else { 0x2a };
            let value = vec![fill; self.chance.up_to(length)];
            let value = (!self.chance.one_in(3)).then(|| Bytes::from(value));
            match &value {
                Some(value) => drop(state.insert(key.clone(), value.clone())),
                None => drop(state.remove(&key)),
            }
            changes.push(Change { key, value, is_new: is_new && self.chance.one_in(2) });
        }
        changes
    }
}

/// Whether an error comes from a failure that was planned.
fn is_planned(error: &StoreError) -> bool {
    match error {
        StoreError::Io { .. } | StoreError::Full { .. } => true,
        StoreError::Poisoned { cause } => is_planned(cause),
        // an engine says in its own words that its file failed
        StoreError::Corrupt { file, .. } => file.starts_with(Path::new(FOLDER).join("image.redb")),
        StoreError::Locked { .. } | StoreError::Newer { .. } | StoreError::Refused { .. } => false,
    }
}
