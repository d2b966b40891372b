//! Bytes on disk: a log that makes writes durable, and an image that makes them readable.
//!
//! Knows nothing of what a record means.

use bytes::Bytes;

/// The number of a turn's batch in the log: 1, 2, 3, without a gap.
pub type Seq = u64;

/// One change of one key, as the log and the image know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key: at most 512 bytes.
    pub key: Bytes,
    /// Its new value; `None`: the key goes.
    pub value: Option<Bytes>,
    /// The key is known to hold nothing before this change.
    pub is_new: bool,
}
