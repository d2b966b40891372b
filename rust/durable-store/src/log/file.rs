//! A log in segment files of our own: one write and one `fdatasync` for each append.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{self, HEADER_BYTES, Place};
use super::recover::{Tail, recover};
use super::replay::Walk;
use super::segment::{FRAMES_FROM, Heading, Link, path_of};
use super::shelf::Shelf;
use super::{Log, Replay, check_order};
use crate::disk::{Disk, Handle, OpenMode, bytes_u64};
use crate::lock::StoreLock;
use crate::marker::Marker;
use crate::poison::Poison;
use crate::{Result, Seq};

/// A log in segment files.
#[derive(Debug)]
pub struct FileLog {
    poison: Poison,
    writer: Writer,
    shelf: Arc<Shelf>,
    /// Bytes at the end that a crash had torn.
    pub(crate) cut_bytes: u64,
    _lock: Arc<StoreLock>,
}

/// How the log's files are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) segment_bytes: u64,
    pub(crate) grow_bytes: u64,
}

#[derive(Debug)]
struct Writer {
    file: Handle,
    link: Link,
    allocated: u64,
    durable: Seq,
    grow_bytes: u64,
    buffer: Vec<u8>,
}

impl FileLog {
    /// Makes the first segment of a new log, whose first batch has this number.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, store: u64, first: Seq) -> Result<()> {
        let file = Handle::open(disk, &path_of(folder, first), OpenMode::Truncate)?;
        Heading { store, first, before: 0 }.write(&file)?;
        file.write_zeros(48, FRAMES_FROM.saturating_mul(2))?;
        file.sync()?;
        let synced = disk.sync_dir(folder);
        synced.map_err(|error| crate::StoreError::io("fsync", folder, error))
    }

    /// Opens a log and repairs its end.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        marker: Arc<Marker>,
        layout: Layout,
        lock: Arc<StoreLock>,
    ) -> Result<Self> {
        let sizes = (layout.segment_bytes, layout.grow_bytes);
        let shelf = Arc::new(Shelf::new(disk, folder.to_owned(), marker, sizes));
        let Tail { file, link, allocated, cut_bytes } = recover(&shelf)?;
        let writer = Writer {
            file,
            link,
            allocated,
            durable: link.next.saturating_sub(1),
            grow_bytes: layout.grow_bytes.max(FRAMES_FROM),
            buffer: Vec::new(),
        };
        Ok(Self { poison: Poison::default(), writer, shelf, cut_bytes, _lock: lock })
    }

    /// The files that are not written to any more.
    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// The first batch that can still be replayed.
    pub(crate) fn first(&self) -> Seq {
        self.shelf.firsts().first().copied().unwrap_or(self.writer.link.next)
    }
}

impl Log for FileLog {
    fn write(&mut self, batches: &[(Seq, Bytes)]) -> Result<()> {
        self.poison.refuse()?;
        check_order(self.writer.link.next, batches)?;
        if batches.is_empty() {
            return Ok(());
        }
        let (writer, shelf) = (&mut self.writer, &self.shelf);
        self.poison.guard(|| writer.write(shelf, batches))
    }

    fn sync(&mut self) -> Result<()> {
        let writer = &mut self.writer;
        self.poison.guard(|| writer.sync())
    }

    fn next_seq(&self) -> Seq {
        self.writer.link.next
    }

    fn durable(&self) -> Seq {
        self.writer.durable
    }

    fn replay(&self, from: Seq) -> Result<Replay<'_>> {
        let end = self.writer.link.next;
        Ok(Box::new(Walk::new(
            self.shelf.disk(),
            self.shelf.folder(),
            self.shelf.firsts(),
            from..end,
        )))
    }

    fn trim(&mut self, below: Seq) -> Result<()> {
        self.poison.refuse()?;
        self.shelf.trim(below)
    }

    fn close(&mut self) -> Result<()> {
        self.sync()?;
        let durable = self.writer.durable;
        self.shelf.marker().update(|recorded| {
            recorded.durable = durable;
            recorded.is_closed = true;
        })
    }
}

impl Writer {
    fn write(&mut self, shelf: &Shelf, batches: &[(Seq, Bytes)]) -> Result<()> {
        let length = frame::length_of(batches);
        self.make_room(shelf, length)?;
        let place = Place {
            store: self.link.store,
            durable: self.durable,
            before: self.link.before,
            position: self.link.position,
        };
        let sum = frame::encode(&mut self.buffer, place, batches)?;
        self.file.write(self.link.position, &self.buffer)?;
        self.link = Link {
            store: self.link.store,
            position: self.link.position.saturating_add(length),
            next: self.link.next.saturating_add(bytes_u64(batches.len())),
            before: sum,
        };
        shelf.count_appended(length);
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let last = self.link.next.saturating_sub(1);
        if self.durable < last {
            self.file.sync()?;
            self.durable = last;
        }
        Ok(())
    }

    /// Sees to it that a frame of this length fits, and zeros after it: where they are missing, the file
    /// was cut. A spare is taken rather than the file made longer: that would hold up the commit.
    fn make_room(&mut self, shelf: &Shelf, length: u64) -> Result<()> {
        let needed =
            |position: u64| position.saturating_add(length).saturating_add(bytes_u64(HEADER_BYTES));
        let is_full = needed(self.link.position) > shelf.segment_bytes();
        let is_short = needed(self.link.position) > self.allocated;
        if (is_full || is_short && shelf.has_spare()) && self.link.position > FRAMES_FROM {
            self.begin_segment(shelf)?;
        }
        let needed = needed(self.link.position);
        if needed > self.allocated {
            // a segment has its full length at the end, but for one frame that is longer
            let grown = self.allocated.saturating_add(self.grow_bytes).min(shelf.segment_bytes());
            let grown = grown.max(needed).next_multiple_of(FRAMES_FROM);
            self.file.write_zeros(self.allocated, grown)?;
            self.file.sync()?;
            self.durable = self.link.next.saturating_sub(1);
            self.allocated = grown;
        }
        Ok(())
    }

    fn begin_segment(&mut self, shelf: &Shelf) -> Result<()> {
        self.sync()?;
        let first = self.link.next;
        let file = if let Some(spare) = shelf.take_spare() {
            spare
        } else {
            let file = shelf.draft()?;
            file.write_zeros(0, self.grow_bytes)?;
            file
        };
        let heading = Heading { store: self.link.store, first, before: self.link.before };
        heading.write(&file)?;
        file.sync()?;
        self.allocated = file.length()?;
        self.file = shelf.rename(file, path_of(shelf.folder(), first))?;
        self.link = Link::at_start(&heading);
        shelf.add(first);
        let durable = self.durable;
        shelf.marker().update(|recorded| {
            recorded.durable = durable;
            recorded.newest = first;
        })
    }
}

/// A buffer that grew beyond this for one large append is given back.
const KEPT_BUFFER_BYTES: usize = 16 << 20;
