//! What is durable: batches in order, each under its number.

mod file;
mod frame;
mod memory;
mod recover;
mod replay;
mod segment;
mod shelf;

use bytes::Bytes;

pub use file::FileLog;
pub(crate) use file::Layout;
pub use memory::MemoryLog;
pub(crate) use recover::{inspect, inventory};
pub(crate) use shelf::Shelf;

use crate::{MAX_BATCH_BYTES, Result, Seq, StoreError};

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

/// Refuses batches that are out of order or too large.
fn check_order(next: Seq, batches: &[(Seq, Bytes)]) -> Result<()> {
    let mut expected = next;
    let mut length: usize = 0;
    for (seq, batch) in batches {
        if *seq != expected {
            return Err(StoreError::refused(format!(
                "the log's next batch is {expected}, so it does not take {seq}"
            )));
        }
        expected = expected.saturating_add(1);
        length = length.saturating_add(batch.len()).saturating_add(4);
    }
    if length > MAX_BATCH_BYTES {
        return Err(StoreError::refused(format!(
            "{length} bytes in one append are over the limit of {MAX_BATCH_BYTES}"
        )));
    }
    Ok(())
}
