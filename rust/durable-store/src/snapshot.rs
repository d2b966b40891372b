//! A state of the store as one file: sorted records in blocks under a chain of checksums. It is what the
//! log may be forgotten for, and what a backup is.
//!
//! The file: a header (mark, format, the store's id, the batch whose state it is, CRC-32C); blocks (bytes
//! of the body, records in it, CRC-32C over the checksum before and all of this; then for each record the
//! lengths of key and value in four bytes each, key, value); a last block without records that says how
//! many there are.

use std::path::Path;

use bytes::{Buf, BufMut, Bytes};

use crate::disk::{Disk, Handle, OpenMode, bytes_u64, bytes_usize};
use crate::{Item, Result, Seq, StoreError};

const MARK: u64 = u64::from_le_bytes(*b"DURSNAP\n");
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 36;
const BLOCK_HEAD_BYTES: usize = 12;
const BLOCK_BYTES: usize = 256 << 10;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) store: u64,
    pub(crate) seq: Seq,
    pub(crate) records: u64,
    pub(crate) file_bytes: u64,
}

/// Writes a snapshot beside `path`, reads it back, and gives it its name when every byte was verified.
pub(crate) fn take(
    disk: &dyn Disk,
    path: &Path,
    (store, seq): (u64, Seq),
    items: &mut dyn Iterator<Item = Result<Item>>,
) -> Result<Summary> {
    let draft = path.with_extension("draft");
    let file = Handle::open(disk, &draft, OpenMode::Truncate)?;
    let written = Writer::begin(&file, store, seq).and_then(|writer| writer.write_all(items))?;
    file.sync()?;
    file.forget()?;
    let read = verify(disk, &draft)?;
    if read != written {
        return Err(StoreError::corrupt(&draft, 0, "what was read back is not what was written"));
    }
    disk.rename(&draft, path).map_err(|error| StoreError::io("rename", &draft, error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(folder).map_err(|error| StoreError::io("fsync", folder, error))?;
    Ok(written)
}

/// Reads all of a snapshot.
pub(crate) fn verify(disk: &dyn Disk, path: &Path) -> Result<Summary> {
    let mut reader = Reader::open(disk, path)?;
    for item in &mut reader {
        item?;
    }
    Ok(reader.summary)
}

struct Writer<'a> {
    file: &'a Handle,
    position: u64,
    sum: u32,
    records: u64,
    block: Vec<u8>,
    in_block: u32,
    summary: Summary,
}

impl<'a> Writer<'a> {
    fn begin(file: &'a Handle, store: u64, seq: Seq) -> Result<Self> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.put_u64_le(MARK);
        header.put_u32_le(FORMAT);
        header.put_u32_le(0);
        header.put_u64_le(store);
        header.put_u64_le(seq);
        let sum = crc32c::crc32c(&header);
        header.put_u32_le(sum);
        file.write(0, &header)?;
        Ok(Self {
            file,
            position: bytes_u64(HEADER_BYTES),
            sum,
            records: 0,
            block: Vec::new(),
            in_block: 0,
            summary: Summary { store, seq, records: 0, file_bytes: 0 },
        })
    }

    fn write_all(mut self, items: &mut dyn Iterator<Item = Result<Item>>) -> Result<Summary> {
        self.begin_block();
        for item in items {
            let (key, value) = item?;
            self.block.put_u32_le(length(&key)?);
            self.block.put_u32_le(length(&value)?);
            self.block.put_slice(&key);
            self.block.put_slice(&value);
            self.in_block = self.in_block.saturating_add(1);
            self.records = self.records.saturating_add(1);
            if self.block.len() >= BLOCK_BYTES {
                self.end_block()?;
            }
        }
        if self.in_block > 0 {
            self.end_block()?;
        }
        self.block.put_u64_le(self.records);
        self.end_block()?;
        Ok(Summary { records: self.records, file_bytes: self.position, ..self.summary })
    }

    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(BLOCK_HEAD_BYTES, 0);
        self.in_block = 0;
    }

    fn end_block(&mut self) -> Result<()> {
        let body = self.block.get(BLOCK_HEAD_BYTES..).unwrap_or_default();
        let mut head = Vec::with_capacity(BLOCK_HEAD_BYTES);
        head.put_u32_le(length(body)?);
        head.put_u32_le(self.in_block);
        self.sum = chain(self.sum, &head, body);
        head.put_u32_le(self.sum);
        if let Some(start) = self.block.get_mut(..BLOCK_HEAD_BYTES) {
            start.copy_from_slice(&head);
        }
        self.file.write(self.position, &self.block)?;
        self.position = self.position.saturating_add(bytes_u64(self.block.len()));
        self.begin_block();
        Ok(())
    }
}

fn chain(before: u32, head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(before, head), body)
}

fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_wide| StoreError::refused("a record of more than 4 GiB"))
}

/// The records of a snapshot, each block verified before its first record is given.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Handle,
    pub(crate) summary: Summary,
    position: u64,
    sum: u32,
    read: u64,
    block: Bytes,
    is_over: bool,
}

impl Reader {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = Handle::open(disk, path, OpenMode::Read)?;
        let header = file.read(0, HEADER_BYTES)?;
        let damaged = |why: &str| StoreError::corrupt(path, 0, why);
        let (mut body, mut sum) = header
            .split_at_checked(HEADER_BYTES.saturating_sub(4))
            .ok_or_else(|| damaged("the file ends within its header"))?;
        let expected = crc32c::crc32c(body);
        if sum.try_get_u32_le() != Ok(expected) || body.get_u64_le() != MARK {
            return Err(damaged("the header's checksum is wrong"));
        }
        let format = body.get_u32_le();
        if format > FORMAT {
            return Err(StoreError::Newer { file: path.to_owned(), found: format, known: FORMAT });
        }
        body.advance(4);
        let (store, seq) = (body.get_u64_le(), body.get_u64_le());
        let file_bytes = file.length()?;
        let position = bytes_u64(HEADER_BYTES);
        let summary = Summary { store, seq, records: 0, file_bytes };
        let block = Bytes::new();
        Ok(Self { file, summary, position, sum: expected, read: 0, block, is_over: false })
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::corrupt(&self.file.path, self.position, why)
    }

    fn read_item(&mut self) -> Result<Option<Item>> {
        while self.block.is_empty() {
            if !self.read_block()? {
                return Ok(None);
            }
        }
        let item = split_item(&mut self.block).ok_or_else(|| self.damaged("a record is cut"))?;
        self.read = self.read.saturating_add(1);
        Ok(Some(item))
    }

    /// Reads one more block; false: it was the last.
    fn read_block(&mut self) -> Result<bool> {
        let head = self.file.read(self.position, BLOCK_HEAD_BYTES)?;
        let mut fields = &*head;
        let cut = "the file ends within a block";
        let length = fields.try_get_u32_le().map_err(|_short| self.damaged(cut))?;
        let count = fields.try_get_u32_le().map_err(|_short| self.damaged(cut))?;
        let sum = fields.try_get_u32_le().map_err(|_short| self.damaged(cut))?;
        let body_at = self.position.saturating_add(bytes_u64(BLOCK_HEAD_BYTES));
        if body_at.saturating_add(u64::from(length)) > self.summary.file_bytes {
            return Err(self.damaged(cut));
        }
        let body = Bytes::from(self.file.read(body_at, bytes_usize(u64::from(length)))?);
        let actual = chain(self.sum, head.get(..8).unwrap_or_default(), &body);
        if actual != sum {
            return Err(self.damaged("a block's checksum is wrong"));
        }
        self.sum = sum;
        self.position = body_at.saturating_add(u64::from(length));
        if count > 0 {
            self.block = body;
            return Ok(true);
        }
        let total = (&*body).try_get_u64_le().map_err(|_short| self.damaged(cut))?;
        if total != self.read || self.position != self.summary.file_bytes {
            return Err(self.damaged("the records are not as many as it says"));
        }
        self.summary.records = total;
        Ok(false)
    }
}

fn split_item(block: &mut Bytes) -> Option<Item> {
    let key_bytes = usize::try_from(block.try_get_u32_le().ok()?).ok()?;
    let value_bytes = usize::try_from(block.try_get_u32_le().ok()?).ok()?;
    if block.len() < key_bytes.checked_add(value_bytes)? {
        return None;
    }
    let key = block.split_to(key_bytes);
    Some((key, block.split_to(value_bytes)))
}

impl Iterator for Reader {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.read_item().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}
