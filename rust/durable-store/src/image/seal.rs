//! Values under a checksum, since neither engine notices a flipped bit.

use bytes::{Buf, BufMut, Bytes};

use super::Census;

/// The length of a checksum.
pub(super) const SUM_BYTES: usize = 4;

/// A checksum over key and value, so that a value under another's key is noticed too.
pub(super) fn sum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

/// A value behind its checksum.
pub(super) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len().saturating_add(SUM_BYTES));
    sealed.put_u32_le(sum(key, value));
    sealed.put_slice(value);
    sealed
}

/// The value, if the checksum is right.
pub(super) fn open(key: &[u8], sealed: &[u8]) -> Option<Bytes> {
    let (mut expected, value) = sealed.split_at_checked(SUM_BYTES)?;
    (expected.get_u32_le() == sum(key, value)).then(|| Bytes::copy_from_slice(value))
}

/// The checksum that a sealed value carries.
pub(super) fn sum_of(mut sealed: &[u8]) -> u32 {
    sealed.try_get_u32_le().unwrap_or(0)
}

/// How far an image is, and whose it is, as the bytes of one record.
pub(super) fn seal_progress(store: u64, applied: u64, census: Census) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    for number in [store, applied, census.records, census.digest] {
        bytes.put_u64_le(number);
    }
    seal(b"progress", &bytes)
}

/// The store, the batch, and what is counted up to there, if the checksum is right.
pub(super) fn open_progress(sealed: &[u8]) -> Option<(u64, u64, Census)> {
    let mut bytes = open(b"progress", sealed).filter(|bytes| bytes.len() == 32)?;
    let (store, applied) = (bytes.get_u64_le(), bytes.get_u64_le());
    let census = Census { records: bytes.get_u64_le(), digest: bytes.get_u64_le() };
    Some((store, applied, census))
}
