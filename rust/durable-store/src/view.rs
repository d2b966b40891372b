//! What can be read: the image, with what is logged but not yet in it laid over.

use bytes::Bytes;

use crate::{Change, Items, KeyRange, Result, Seq};

/// The readable state of a store. One thread stages, any number read.
pub struct View {}

/// What one run of the checkpointer brings into the image.
pub struct Frozen {
    /// The last batch in it: the log must be durable up to here before it is applied.
    pub upto: Seq,
}

impl View {
    /// Makes a batch's changes readable at once. `seq` must be the number after the last one.
    pub fn stage(&self, _seq: Seq, _changes: &[Change]) -> Result<()> {
        todo!()
    }
    /// The value of a key.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Bytes>> {
        todo!()
    }
    /// The records of a stretch of keys, each as of some moment between the call and its arrival.
    pub fn scan(&self, _range: impl Into<KeyRange>) -> Items<'_> {
        todo!()
    }
    /// The last batch that was staged.
    pub fn staged(&self) -> Seq {
        todo!()
    }
    /// Bytes of memory, about, in changes that are not in the image yet.
    pub fn staged_bytes(&self) -> usize {
        todo!()
    }
    /// Closes the layer that is filling, for [`crate::Checkpointer::run`]; `None`: there is nothing to
    /// apply, or the layer before is still being applied.
    pub fn freeze(&self) -> Option<Frozen> {
        todo!()
    }
}
