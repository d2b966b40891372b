//! A file of the log: a header that ties it to the file before, then frames, then zeros.
//!
//! Its name is the number of its first batch. The header is one sector: mark, format, the store's id,
//! the first batch, the checksum of the frame before it, CRC-32C. A segment gets its name only when its
//! header is on the disk, so a bad header is damage, never a crash.

use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};

use super::frame::{ALIGNMENT, HEADER_BYTES, Header, begins_like_a_frame, is_empty};
use crate::disk::{Disk, Handle, OpenMode, bytes_u64, bytes_usize};
use crate::{Result, Seq, StoreError};

/// Where the first frame begins.
pub(super) const FRAMES_FROM: u64 = 4096;

const MARK: u64 = u64::from_le_bytes(*b"DURLOG\r\n");
const FORMAT: u32 = 1;
const RECORD_BYTES: usize = 48;
const WINDOW_BYTES: usize = 1 << 20;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) store: u64,
    pub(super) first: Seq,
    pub(super) before: u32,
}

impl Heading {
    pub(super) fn write(&self, file: &Handle) -> Result<()> {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.put_u64_le(MARK);
        bytes.put_u32_le(FORMAT);
        bytes.put_u32_le(self.before);
        bytes.put_u64_le(self.store);
        bytes.put_u64_le(self.first);
        bytes.resize(RECORD_BYTES.saturating_sub(4), 0);
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        file.write(0, &bytes)
    }

    pub(super) fn read(file: &Handle) -> Result<Self> {
        let bytes = file.read(0, bytes_usize(FRAMES_FROM))?;
        let damaged = |why: &str| StoreError::corrupt(&file.path, 0, why);
        let (record, rest) = bytes
            .split_at_checked(RECORD_BYTES)
            .ok_or_else(|| damaged("the file ends within its header"))?;
        let (mut body, mut sum) = record.split_at(RECORD_BYTES.saturating_sub(4));
        if crc32c::crc32c(body) != sum.get_u32_le() || body.get_u64_le() != MARK {
            return Err(damaged("the header's checksum is wrong"));
        }
        if bytes_u64(bytes.len()) < FRAMES_FROM || !is_empty(rest) {
            return Err(damaged("what follows the header is not empty"));
        }
        let format = body.get_u32_le();
        if format > FORMAT {
            let file = file.path.clone();
            return Err(StoreError::Newer { file, found: format, known: FORMAT });
        }
        let before = body.get_u32_le();
        Ok(Self { before, store: body.get_u64_le(), first: body.get_u64_le() })
    }
}

/// The path of the segment that begins with a batch.
pub(super) fn path_of(folder: &Path, first: Seq) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The first batches of the segments in a folder, in order.
pub(super) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<Seq>> {
    let names = disk.list(folder).map_err(|error| StoreError::io("readdir", folder, error))?;
    let mut firsts = names
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse::<Seq>().ok())
        .collect::<Vec<_>>();
    firsts.sort_unstable();
    Ok(firsts)
}

/// What stands at a place where a frame may begin.
#[derive(Debug)]
pub(super) enum Found {
    /// A frame that continues the chain.
    Frame(Header, Vec<(Seq, Bytes)>),
    /// Zeros: nothing was ever written here.
    Nothing,
    /// A frame that a crash may have torn.
    Torn(&'static str),
    /// Bytes that no crash leaves.
    Damaged(&'static str),
}

/// Where a frame is looked for, and what it must continue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) store: u64,
    pub(super) position: u64,
    pub(super) next: Seq,
    pub(super) before: u32,
}

impl Link {
    pub(super) fn at_start(heading: &Heading) -> Self {
        let Heading { store, first, before } = *heading;
        Self { store, position: FRAMES_FROM, next: first, before }
    }

    pub(super) fn after(&self, header: &Header) -> Self {
        Self {
            store: self.store,
            position: self.position.saturating_add(header.frame_bytes()),
            next: header.last().saturating_add(1),
            before: header.sum,
        }
    }
}

/// Reads a segment front to back, a window at a time.
#[derive(Debug)]
pub(super) struct Reader {
    file: Handle,
    length: u64,
    window_at: u64,
    window: Bytes,
}

impl Reader {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<(Self, Heading)> {
        let file = Handle::open(disk, path, OpenMode::Read)?;
        let heading = Heading::read(&file)?;
        let length = file.length()?;
        Ok((Self { file, length, window_at: 0, window: Bytes::new() }, heading))
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of the file; fewer where it ends.
    pub(super) fn bytes(&mut self, position: u64, length: usize) -> Result<Bytes> {
        let end = position.saturating_add(bytes_u64(length)).min(self.length);
        let position = position.min(end);
        let window_end = self.window_at.saturating_add(bytes_u64(self.window.len()));
        if position < self.window_at || end > window_end {
            let left = bytes_usize(self.length.saturating_sub(position));
            let wanted = length.max(WINDOW_BYTES).min(left);
            self.window = Bytes::from(self.file.read(position, wanted)?);
            self.window_at = position;
        }
        let from = bytes_usize(position.saturating_sub(self.window_at)).min(self.window.len());
        let to = bytes_usize(end.saturating_sub(self.window_at)).min(self.window.len());
        Ok(self.window.slice(from..to))
    }

    /// What stands where the next frame should begin.
    pub(super) fn find(&mut self, link: &Link) -> Result<Found> {
        let head = self.bytes(link.position, HEADER_BYTES)?;
        if head.len() < HEADER_BYTES {
            return Ok(Found::Damaged("the file is shorter than it was made"));
        }
        let Some(header) = Header::decode(&head) else { return self.judge_headless(link, &head) };
        if header.store != link.store || header.position != link.position {
            return Ok(Found::Damaged("a frame stands here that belongs elsewhere"));
        }
        if header.first != link.next || header.before != link.before {
            return Ok(Found::Damaged("the frame does not continue the one before"));
        }
        let rest = bytes_usize(header.frame_bytes()).saturating_sub(HEADER_BYTES);
        let after = self.bytes(link.position.saturating_add(bytes_u64(HEADER_BYTES)), rest)?;
        if after.len() < rest {
            return Ok(Found::Damaged("the file ends within a frame"));
        }
        Ok(match header.batches(&after) {
            Some(batches) => Found::Frame(header, batches),
            None if header.is_torn(&after) => Found::Torn("a frame has sectors missing"),
            None => Found::Damaged("a frame was written whole, and its checksum is wrong"),
        })
    }

    /// No header stands here: is there nothing, the beginning of one, or a damaged one?
    fn judge_headless(&mut self, link: &Link, head: &[u8]) -> Result<Found> {
        if is_empty(head) {
            return Ok(Found::Nothing);
        }
        // a header that was cut short begins like one and has nothing after it; the body of a damaged
        // frame is still there, and what belongs elsewhere does not begin so
        let after = link.position.saturating_add(bytes_u64(HEADER_BYTES));
        Ok(if begins_like_a_frame(head) && self.is_empty_from(after)? {
            Found::Torn("a frame's header is cut short")
        } else {
            Found::Damaged("what stands here is neither a frame nor empty")
        })
    }

    /// Whether there is nothing but zeros up to the file's end.
    pub(super) fn is_empty_from(&mut self, position: u64) -> Result<bool> {
        let mut at = position;
        while at < self.length {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if bytes.is_empty() || !is_empty(&bytes) {
                return Ok(false);
            }
            at = at.saturating_add(bytes_u64(bytes.len()));
        }
        Ok(true)
    }

    /// A frame after this place which says that this batch was on the disk before it was written, or
    /// stands where no crash puts it: a block of the file was moved.
    pub(super) fn find_proof(&mut self, link: &Link) -> Result<Option<u64>> {
        let mut at = link.position;
        while at < self.length {
            let bytes = self.bytes(at, HEADER_BYTES)?;
            let header = Header::decode(&bytes);
            let is_proof = header.is_some_and(|header| {
                let is_moved = header.position != at;
                header.store == link.store && (is_moved || header.durable >= link.next)
            });
            if is_proof {
                return Ok(Some(at));
            }
            at = at.saturating_add(ALIGNMENT);
        }
        Ok(None)
    }
}
