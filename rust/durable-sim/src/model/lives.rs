//! Every run there ever was: those that live, and those that have ended.

use std::collections::BTreeMap;

use durable_core::{RunEnd, RunId};

use super::Life;

/// Runs by id.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    live: BTreeMap<RunId, Life>,
    ended: BTreeMap<RunId, Life>,
}

impl Lives {
    /// Those that have not ended.
    pub fn live(&self) -> impl Iterator<Item = (RunId, &Life)> {
        self.live.iter().map(|(id, life)| (*id, life))
    }

    /// Whether there is such a run, and it has not ended.
    pub fn is_live(&self, run: RunId) -> bool {
        self.live.contains_key(&run)
    }

    /// A run.
    pub fn get(&self, run: RunId) -> Option<&Life> {
        self.live.get(&run).or_else(|| self.ended.get(&run))
    }

    /// A run.
    pub fn get_mut(&mut self, run: RunId) -> Option<&mut Life> {
        self.live.get_mut(&run).or_else(|| self.ended.get_mut(&run))
    }

    /// All of them, the live ones first.
    pub fn ids(&self) -> impl Iterator<Item = RunId> {
        self.live.keys().chain(self.ended.keys()).copied()
    }

    pub(super) fn add(&mut self, run: RunId, life: Life) {
        self.live.insert(run, life);
    }

    pub(super) fn end(&mut self, run: RunId, end: RunEnd) {
        if let Some(life) = self.live.remove(&run) {
            self.ended.insert(run, Life { end: Some(end), ..life });
        }
    }
}
