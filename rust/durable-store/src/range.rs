//! A stretch of keys.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// The keys from `start` on, up to but without `end` (`None`: all that follow).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub start: Bytes,
    /// The first key beyond it.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// The keys that begin so.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return Self { start: Bytes::copy_from_slice(prefix), end: Some(Bytes::from(end)) };
            }
        }
        Self { start: Bytes::copy_from_slice(prefix), end: None }
    }

    /// Whether the key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &*self.start && self.end.as_ref().is_none_or(|end| key < &**end)
    }

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

impl From<Range<Bytes>> for KeyRange {
    fn from(range: Range<Bytes>) -> Self {
        Self { start: range.start, end: Some(range.end) }
    }
}

/// The first key after this one.
pub(crate) fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len().saturating_add(1));
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
