//! Moving what is durable into the image, and letting the log forget it.

use std::path::Path;

use crate::{Frozen, Result, Seq};

/// Applies frozen layers, takes snapshots, trims the log. Lives on a thread of its own.
pub struct Checkpointer {}

/// What a run of the checkpointer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// The image now holds all batches up to this one.
    pub applied: Seq,
    /// A snapshot of this state was taken, and verified.
    pub snapshot: Option<Seq>,
}

impl Checkpointer {
    /// Applies a layer; the log must be durable up to its end. Takes a snapshot where one is due.
    pub fn run(&mut self, _frozen: Frozen) -> Result<Checkpointed> {
        todo!()
    }
    /// Makes room in the log ahead of its writer; cheap where there is enough.
    pub fn prepare(&mut self) -> Result<()> {
        todo!()
    }
    /// Writes the state up to the last run into one file, which is verified and can be restored.
    pub fn backup(&mut self, _to: &Path) -> Result<Seq> {
        todo!()
    }
}
