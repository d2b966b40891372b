//! Bytes on disk: a log that makes writes durable, and an image that makes them readable.
//!
//! What is promised after a crash: a batch whose [`Log::append`] returned is there, whole; one whose
//! append did not return is there whole, or not at all, and none after it is; damage is an error that
//! names file and offset, and never fewer records.
//!
//! The life of one batch: [`View::stage`] makes it readable, [`Log::append`] makes it durable,
//! [`View::freeze`] and [`Checkpointer::run`] move it into the [`Image`], a verified snapshot lets
//! the log forget it. [`Store::open`] puts the four together again after any ending.
//!
//! Absent here: what a record means, threads, clocks, and any `std::fs` outside of `disk.rs`.

use bytes::Bytes;

pub mod batch;
mod checkpoint;
pub mod conformance;
pub mod disk;
mod error;
pub mod fault;
mod image;
mod layer;
mod lock;
mod log;
mod marker;
mod poison;
mod range;
mod snapshot;
mod store;
mod view;

pub use checkpoint::{Checkpointed, Checkpointer, Spares};
pub use error::{Result, StoreError};
pub use image::{Census, Image, Item, Items, KeyChange, MemoryImage, RedbImage, SledImage};
pub use log::{FileLog, Log, MemoryLog, Replay};
pub use range::KeyRange;
pub use store::{
    CheckReport, ImageKind, OpenReport, Opened, Options, Store, backup, check, restore,
};
pub use view::{Frozen, View};

/// The number of a turn's batch in the log: 1, 2, 3, without a gap.
pub type Seq = u64;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The longest batch, in bytes once encoded.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

/// One change of one key, as the log and the image know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key: at most [`MAX_KEY_BYTES`].
    pub key: Bytes,
    /// Its new value; `None`: the key goes.
    pub value: Option<Bytes>,
    /// The key is known to hold nothing before this change.
    pub is_new: bool,
}
