//! What is readable: the sorted state of all batches up to a number.

mod chunk;
mod memory;
mod redb;
mod sled;

use bytes::Bytes;

pub use memory::MemoryImage;
pub use redb::RedbImage;
pub use sled::SledImage;

use crate::{KeyRange, Result, Seq};

/// A record: its key and its value.
pub type Item = (Bytes, Bytes);

/// Records in the order of their keys.
pub type Items<'a> = Box<dyn Iterator<Item = Result<Item>> + 'a>;

/// A key and what becomes of it: a value, or nothing.
pub type Outcome = (Bytes, Option<Bytes>);

/// The state up to a batch. One thread applies, any number read meanwhile.
pub trait Image: Send + Sync {
    /// Brings in sorted changes and records `upto`, both on disk when it returns. After a failure or a
    /// crash in the middle the same batches must be applied again, from [`Image::applied`] on.
    fn apply(&self, upto: Seq, changes: &mut dyn Iterator<Item = Result<Outcome>>) -> Result<()>;

    /// The last batch whose changes are all in.
    fn applied(&self) -> Seq;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The records of a stretch of keys. What is applied meanwhile may or may not be seen.
    fn scan(&self, range: KeyRange) -> Items<'_>;
}
