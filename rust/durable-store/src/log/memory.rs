//! A log in memory, for tests and for those who want no more.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Log, Replay, check_order};
use crate::{Result, Seq};

/// A log in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    batches: BTreeMap<Seq, Bytes>,
    last: Seq,
    durable: Seq,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Log for MemoryLog {
    fn write(&mut self, batches: &[(Seq, Bytes)]) -> Result<()> {
        check_order(self.next_seq(), batches)?;
        for (seq, batch) in batches {
            self.batches.insert(*seq, batch.clone());
            self.last = *seq;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.durable = self.last;
        Ok(())
    }

    fn next_seq(&self) -> Seq {
        self.last.saturating_add(1)
    }

    fn durable(&self) -> Seq {
        self.durable
    }

    fn replay(&self, from: Seq) -> Result<Replay<'_>> {
        Ok(Box::new(self.batches.range(from..).map(|(seq, batch)| Ok((*seq, batch.clone())))))
    }

    fn trim(&mut self, below: Seq) -> Result<()> {
        self.batches = self.batches.split_off(&below);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.sync()
    }
}
