//! What is readable: the sorted state of all batches up to a number.

mod census;
mod memory;
mod redb;
mod seal;
mod sled;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;

pub use census::Census;
pub(crate) use census::counted;
pub use memory::MemoryImage;
pub use redb::RedbImage;
pub use sled::SledImage;

use crate::{KeyRange, Result, Seq, StoreError};

/// A record: its key and its value.
pub type Item = (Bytes, Bytes);

/// Records in the order of their keys.
pub type Items<'a> = Box<dyn Iterator<Item = Result<Item>> + 'a>;

/// A key and what becomes of it: a value, or nothing.
pub type KeyChange = (Bytes, Option<Bytes>);

/// The state up to a batch. One thread applies, any number read meanwhile.
pub trait Image: Send + Sync {
    /// Brings in sorted changes and records `upto`, both on disk when it returns. After a failure or a
    /// crash in the middle the same batches must be applied again, from [`Image::applied`] on.
    fn apply(&self, upto: Seq, changes: &mut dyn Iterator<Item = Result<KeyChange>>) -> Result<()>;

    /// The last batch whose changes are all in.
    fn applied(&self) -> Seq;

    /// What a scan of everything must find, where the image counts.
    fn census(&self) -> Option<Census> {
        None
    }

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The records of a stretch of keys. What is applied meanwhile may or may not be seen.
    fn scan(&self, range: KeyRange) -> Items<'_>;
}

/// Calls into an engine that may panic on damage; its panic becomes an error that names the file.
fn shielded<T>(path: &Path, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(StoreError::corrupt(path, 0, format!("the image's engine panicked: {text}")))
    })
}
