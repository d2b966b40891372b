//! The log's files that nobody writes to any more, and the one that is ready to be written to next.
//!
//! Shared by the log, which fills segments, and the checkpointer, which takes old ones away and makes
//! new ones ahead of time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::segment::path_of;
use crate::disk::{Disk, Handle, OpenMode};
use crate::marker::Marker;
use crate::{Result, Seq, StoreError};

/// How the names of segments begin that are being made. Log and checkpointer make them at the same time, so
/// each has a name of its own: with a shared one, both would write to one file.
pub(super) const DRAFT: &str = "draft-";

/// So much of a spare segment is on its way to the disk at a time.
const PIECE_BYTES: u64 = 256 << 10;

/// The log's files but the newest.
#[derive(Debug)]
pub(crate) struct Shelf {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    marker: Arc<Marker>,
    segment_bytes: u64,
    /// A log that has written this much is worth a spare segment.
    busy_bytes: u64,
    /// Bytes appended, since the last snapshot as far as is known at open.
    grown: AtomicU64,
    /// Bytes appended since the log was opened.
    appended: AtomicU64,
    /// Drafts begun since the log was opened.
    drafts: AtomicU64,
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    /// The first batches of all segments, the newest last.
    firsts: Vec<Seq>,
    spare: Option<Handle>,
}

impl Shelf {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        marker: Arc<Marker>,
        (segment_bytes, busy_bytes): (u64, u64),
    ) -> Self {
        Self {
            disk,
            folder,
            marker,
            segment_bytes,
            busy_bytes,
            grown: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            drafts: AtomicU64::new(0),
            stock: Mutex::default(),
        }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(super) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The first batches of all segments, in order.
    pub(super) fn firsts(&self) -> Vec<Seq> {
        self.stock().firsts.clone()
    }

    pub(super) fn add(&self, first: Seq) {
        self.stock().firsts.push(first);
    }

    pub(super) fn count_appended(&self, bytes: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
        self.grown.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were there before.
    pub(super) fn count_found(&self, bytes: u64) {
        self.grown.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How much the log has grown since the last snapshot.
    pub(crate) fn grown(&self) -> u64 {
        self.grown.load(Ordering::Relaxed)
    }

    /// Counts again from a snapshot that was begun when the log had grown so much.
    pub(crate) fn restart_growth(&self, grown: u64) {
        self.grown.fetch_sub(grown, Ordering::Relaxed);
    }

    /// Takes away the segments that hold nothing but batches below this number.
    pub(crate) fn trim(&self, below: Seq) -> Result<()> {
        let mut stock = self.stock();
        let later = stock.firsts.iter().skip(1);
        let count = later.take_while(|next_first| **next_first <= below).count();
        let Some(oldest) = stock.firsts.get(count).copied().filter(|_| count > 0) else {
            return Ok(());
        };
        // once this is recorded, an older segment that a crash leaves is not missed nor read
        self.marker.update(|recorded| recorded.oldest = oldest)?;
        let gone = stock.firsts.drain(..count).collect::<Vec<_>>();
        drop(stock); // the log need not wait for the files to go
        for first in gone {
            self.remove(&path_of(&self.folder, first))?;
        }
        self.sync_folder()
    }

    /// Makes the next segment ahead of time where the log is busy.
    pub(crate) fn prepare(&self) -> Result<()> {
        let is_busy = self.appended.load(Ordering::Relaxed) >= self.busy_bytes;
        if !is_busy || self.stock().spare.is_some() {
            return Ok(());
        }
        let file = self.draft()?;
        match self.fill(&file) {
            // a disk without room for a spare has room for a shorter segment perhaps
            Err(StoreError::Full { .. }) => self.remove(&file.path),
            Err(error) => Err(error),
            Ok(()) => {
                self.stock().spare = Some(file);
                Ok(())
            }
        }
    }

    /// A piece at a time, each synced: commits share the disk, and wait for what is on its way there.
    fn fill(&self, file: &Handle) -> Result<()> {
        let mut length = 0;
        while length < self.segment_bytes {
            let longer = length.saturating_add(PIECE_BYTES).min(self.segment_bytes);
            file.write_zeros(length, longer)?;
            file.sync()?;
            length = longer;
        }
        Ok(())
    }

    /// An empty file for a segment, under a name that no other has.
    pub(super) fn draft(&self) -> Result<Handle> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{DRAFT}{number}"));
        Handle::open(self.disk(), &path, OpenMode::Truncate)
    }

    pub(super) fn has_spare(&self) -> bool {
        self.stock().spare.is_some()
    }

    pub(super) fn take_spare(&self) -> Option<Handle> {
        self.stock().spare.take()
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| StoreError::io("unlink", path, error)),
        }
    }

    pub(super) fn rename(&self, file: Handle, to: PathBuf) -> Result<Handle> {
        let done = self.disk.rename(&file.path, &to);
        done.map_err(|error| StoreError::io("rename", &file.path, error))?;
        self.sync_folder()?;
        Ok(file.renamed(to))
    }

    pub(super) fn sync_folder(&self) -> Result<()> {
        let done = self.disk.sync_dir(&self.folder);
        done.map_err(|error| StoreError::io("fsync", &self.folder, error))
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
