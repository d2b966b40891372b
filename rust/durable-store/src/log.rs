//! What is durable: batches in order, each under its number.

mod file;
mod memory;

use bytes::Bytes;

pub use file::FileLog;
pub use memory::MemoryLog;

use crate::{Result, Seq};

/// The batches of a log, in order.
pub type Replay<'a> = Box<dyn Iterator<Item = Result<(Seq, Bytes)>> + 'a>;

/// Batches in order. After the first failure every later call that writes fails too.
pub trait Log: Send {
    /// Writes the batches without waiting for the disk; the first must carry [`Log::next_seq`], each
    /// next the number after. All of them are found after a crash, or none.
    fn write(&mut self, batches: &[(Seq, Bytes)]) -> Result<()>;

    /// Waits until all that was written is on the disk.
    fn sync(&mut self) -> Result<()>;

    /// Writes the batches, with one write and one sync: when it returns they are durable.
    fn append(&mut self, batches: &[(Seq, Bytes)]) -> Result<()> {
        self.write(batches)?;
        self.sync()
    }

    /// The number that the next batch must carry.
    fn next_seq(&self) -> Seq;

    /// The last batch that is on the disk.
    fn durable(&self) -> Seq;

    /// The batches from this number on.
    fn replay(&self, from: Seq) -> Result<Replay<'_>>;

    /// Forgets batches below this number, as far as whole files allow.
    fn trim(&mut self, below: Seq) -> Result<()>;

    /// Syncs, and writes down that all of it is there: the next open then knows of any that is not.
    fn close(&mut self) -> Result<()>;
}
