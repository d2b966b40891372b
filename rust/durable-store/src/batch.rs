//! A turn's changes as the bytes of one batch, and back.
//!
//! A batch is its changes one after another: a byte of flags (1: has a value, 2: is new), the lengths
//! of key and value in four bytes each, the key, the value; numbers are little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Change, Result, StoreError};

const HAS_VALUE: u8 = 1;
const IS_NEW: u8 = 2;
const HEAD_BYTES: usize = 9;

/// The bytes of a batch. [`crate::View::stage`] is where keys that are too long are refused.
pub fn encode(changes: &[Change]) -> Bytes {
    let length = changes.iter().map(bytes_of).fold(0, usize::saturating_add);
    let mut bytes = BytesMut::with_capacity(length);
    for change in changes {
        write_change(&mut bytes, change);
    }
    bytes.freeze()
}

/// The changes of a batch; keys and values share its memory.
pub fn decode(batch: &Bytes) -> Result<Vec<Change>> {
    let mut rest = batch.clone();
    let mut changes = Vec::new();
    while !rest.is_empty() {
        changes.push(read_change(&mut rest)?);
    }
    Ok(changes)
}

fn bytes_of(change: &Change) -> usize {
    let value_bytes = change.value.as_ref().map_or(0, Bytes::len);
    HEAD_BYTES.saturating_add(change.key.len()).saturating_add(value_bytes)
}

fn write_change(bytes: &mut BytesMut, change: &Change) {
    let has_value = if change.value.is_some() { HAS_VALUE } else { 0 };
    let is_new = if change.is_new { IS_NEW } else { 0 };
    let value = change.value.as_deref().unwrap_or_default();
    bytes.put_u8(has_value | is_new);
    bytes.put_u32_le(length(&change.key));
    bytes.put_u32_le(length(value));
    bytes.put_slice(&change.key);
    bytes.put_slice(value);
}

#[expect(clippy::expect_used, reason = "a value of 4 GiB is far over what any caller lets in")]
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("keys and values are shorter than 4 GiB")
}

fn read_change(rest: &mut Bytes) -> Result<Change> {
    let cut = || StoreError::refused("a batch ends in the middle of a change");
    let flags = rest.try_get_u8().map_err(|_short| cut())?;
    let key_bytes = read_length(rest).ok_or_else(cut)?;
    let value_bytes = read_length(rest).ok_or_else(cut)?;
    if flags & !(HAS_VALUE | IS_NEW) != 0 {
        return Err(StoreError::refused(format!("a change in a batch has unknown flags {flags}")));
    }
    if rest.len() < key_bytes.saturating_add(value_bytes) {
        return Err(cut());
    }
    let key = rest.split_to(key_bytes);
    let value = rest.split_to(value_bytes);
    let value = (flags & HAS_VALUE != 0).then_some(value);
    Ok(Change { key, value, is_new: flags & IS_NEW != 0 })
}

fn read_length(rest: &mut Bytes) -> Option<usize> {
    rest.try_get_u32_le().ok().and_then(|length| usize::try_from(length).ok())
}
