//! A frame: the batches of one append, as bytes that can prove themselves.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | the frame's mark |
//! | 4..8 | CRC-32C of bytes 8..64; it is also what the next frame names as the one before |
//! | 8..16 | the store's id |
//! | 16..24 | number of the first batch |
//! | 24..32 | the last batch that was on the disk before this was written |
//! | 32..36 | bytes of the body |
//! | 36..40 | batches in it |
//! | 40..44 | CRC-32C of the body |
//! | 44..48 | the checksum (bytes 4..8) of the frame before |
//! | 48..52 | sectors of the frame that hold nothing but zeros |
//! | 52..56 | zeros |
//! | 56..64 | where in the file the frame begins |
//! | then | each batch's length in four bytes; the batches; eight bytes that end it; zeros up to 64 |
//!
//! A frame is written over zeros and in whole sectors. So one that a crash tore has more empty sectors
//! than it says; one with just as many was written whole, and if its checksum is wrong it was damaged
//! later. A frame that says the one before it was on the disk is proof that it was.

use bytes::{Buf, BufMut, Bytes};

use crate::disk::bytes_u64;
use crate::{Seq, StoreError};

/// Frames begin at multiples of this, so that no header lies in two sectors.
pub(super) const ALIGNMENT: u64 = 64;
/// The length of a frame's header.
pub(super) const HEADER_BYTES: usize = 64;
/// The unit that a disk writes whole.
pub(super) const SECTOR_BYTES: usize = 512;

const MARK: u32 = u32::from_le_bytes(*b"DFR1");
const ENDING: [u8; 8] = *b"\xffDUREND\xff";

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sum: u32,
    pub(super) store: u64,
    pub(super) first: Seq,
    pub(super) durable: Seq,
    pub(super) body_bytes: u32,
    pub(super) count: u32,
    body_sum: u32,
    pub(super) before: u32,
    pub(super) empty_sectors: u32,
    pub(super) position: u64,
}

/// What a new frame is told of its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) store: u64,
    pub(super) durable: Seq,
    pub(super) before: u32,
    pub(super) position: u64,
}

/// The bytes that a frame of these batches takes in the file.
pub(super) fn length_of(batches: &[(Seq, Bytes)]) -> u64 {
    let body =
        batches.iter().map(|(_, batch)| bytes_u64(batch.len()).saturating_add(4)).sum::<u64>();
    length_with_body(body)
}

fn length_with_body(body_bytes: u64) -> u64 {
    let ending = bytes_u64(HEADER_BYTES.saturating_add(ENDING.len()));
    body_bytes.saturating_add(ending).next_multiple_of(ALIGNMENT)
}

/// Writes a frame into the buffer, which holds nothing else after; its checksum.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    place: Place,
    batches: &[(Seq, Bytes)],
) -> Result<u32, StoreError> {
    let too_long = |_| StoreError::refused("an append of more than 4 GiB");
    buffer.clear();
    buffer.resize(HEADER_BYTES, 0);
    for (_, batch) in batches {
        buffer.put_u32_le(u32::try_from(batch.len()).map_err(too_long)?);
    }
    for (_, batch) in batches {
        buffer.put_slice(batch);
    }
    let body = buffer.get(HEADER_BYTES..).unwrap_or_default();
    let header = Header {
        sum: 0,
        store: place.store,
        first: batches.first().map_or(0, |(seq, _)| *seq),
        durable: place.durable,
        body_bytes: u32::try_from(body.len()).map_err(too_long)?,
        count: u32::try_from(batches.len()).map_err(too_long)?,
        body_sum: crc32c::crc32c(body),
        before: place.before,
        empty_sectors: 0,
        position: place.position,
    };
    buffer.put_slice(&ENDING);
    buffer.resize(buffer.len().next_multiple_of(HEADER_BYTES), 0);
    let empty_sectors = count_empty(buffer.get(HEADER_BYTES..).unwrap_or_default(), place.position);
    let (bytes, sum) = Header { empty_sectors, ..header }.encode();
    if let Some(start) = buffer.get_mut(..HEADER_BYTES) {
        start.copy_from_slice(&bytes);
    }
    Ok(sum)
}

impl Header {
    fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = bytes.get_mut(8..).unwrap_or_default();
        for number in [self.store, self.first, self.durable] {
            rest.put_u64_le(number);
        }
        let words =
            [self.body_bytes, self.count, self.body_sum, self.before, self.empty_sectors, 0];
        for number in words {
            rest.put_u32_le(number);
        }
        rest.put_u64_le(self.position);
        let sum = crc32c::crc32c(bytes.get(8..).unwrap_or_default());
        let mut start = bytes.get_mut(..8).unwrap_or_default();
        start.put_u32_le(MARK);
        start.put_u32_le(sum);
        (bytes, sum)
    }

    /// The header, if these bytes are one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(..HEADER_BYTES)?;
        let expected = crc32c::crc32c(bytes.get(8..HEADER_BYTES)?);
        let mark = rest.get_u32_le();
        let sum = rest.get_u32_le();
        if mark != MARK || sum != expected {
            return None;
        }
        let (store, first, durable) = (rest.get_u64_le(), rest.get_u64_le(), rest.get_u64_le());
        let (body_bytes, count) = (rest.get_u32_le(), rest.get_u32_le());
        let (body_sum, before) = (rest.get_u32_le(), rest.get_u32_le());
        let empty_sectors = rest.get_u32_le();
        rest.advance(4);
        let position = rest.get_u64_le();
        Some(Self {
            sum,
            store,
            first,
            durable,
            body_bytes,
            count,
            body_sum,
            before,
            empty_sectors,
            position,
        })
    }

    /// The bytes of the whole frame in the file.
    pub(super) fn frame_bytes(&self) -> u64 {
        length_with_body(u64::from(self.body_bytes))
    }

    /// The last batch in it.
    pub(super) fn last(&self) -> Seq {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// The batches, if what follows the header is what was written.
    pub(super) fn batches(&self, after_header: &Bytes) -> Option<Vec<(Seq, Bytes)>> {
        let body_bytes = usize::try_from(self.body_bytes).ok()?;
        let ending = after_header.get(body_bytes..body_bytes.checked_add(ENDING.len())?)?;
        let padding = after_header.get(body_bytes.checked_add(ENDING.len())?..)?;
        let body = after_header.slice(..body_bytes);
        if ending != ENDING || !is_empty(padding) || crc32c::crc32c(&body) != self.body_sum {
            return None;
        }
        self.split(&body)
    }

    fn split(&self, body: &Bytes) -> Option<Vec<(Seq, Bytes)>> {
        let count = usize::try_from(self.count).ok()?;
        let lengths = body.get(..count.checked_mul(4)?)?;
        let mut at = lengths.len();
        let mut batches = Vec::with_capacity(count);
        for (mut length, seq) in lengths.chunks_exact(4).zip(self.first..) {
            let end = at.checked_add(usize::try_from(length.get_u32_le()).ok()?)?;
            batches.push((seq, (end <= body.len()).then(|| body.slice(at..end))?));
            at = end;
        }
        (at == body.len()).then_some(batches)
    }

    /// Whether a frame whose checksum is wrong looks as a crash leaves it, with sectors missing.
    pub(super) fn is_torn(&self, after_header: &[u8]) -> bool {
        let body_bytes = usize::try_from(self.body_bytes).unwrap_or(usize::MAX);
        let ending = after_header.get(body_bytes..body_bytes.saturating_add(ENDING.len()));
        ending.is_some_and(is_empty)
            || count_empty(after_header, self.position) > self.empty_sectors
    }
}

/// How many sectors hold nothing but zeros, in what follows the header of a frame at this position. The
/// sectors of the header and of the ending are never empty.
fn count_empty(after_header: &[u8], position: u64) -> u32 {
    let start = position.saturating_add(bytes_u64(HEADER_BYTES));
    let to_next = start.next_multiple_of(bytes_u64(SECTOR_BYTES)).saturating_sub(start);
    let whole = after_header.get(usize::try_from(to_next).unwrap_or(usize::MAX)..);
    let sectors = whole.unwrap_or_default().chunks(SECTOR_BYTES);
    u32::try_from(sectors.filter(|sector| is_empty(sector)).count()).unwrap_or(u32::MAX)
}

/// Whether these bytes have a frame's mark.
pub(super) fn begins_like_a_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&MARK.to_le_bytes())
}

/// Whether there is nothing but zeros.
pub(super) fn is_empty(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
