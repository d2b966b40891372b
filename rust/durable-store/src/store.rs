//! Putting log, image and snapshot together again, whatever state they were left in.

mod check;
mod home;
mod recover;
mod transfer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use check::{CheckReport, check};
pub use transfer::{backup, restore};

use crate::disk::{Disk, RealDisk};
use crate::fault::FaultDisk;
use crate::{Checkpointer, Log, Result, View};
use recover::recover;

/// Which engine keeps the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// sled, in files.
    Sled,
    /// redb, in one file.
    Redb,
    /// A map in memory, filled from snapshot and log at each open.
    Memory,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store's folder; it is made where there is none.
    pub folder: PathBuf,
    /// The engine of its image; another one than before is filled from snapshot and log.
    pub image: ImageKind,
    /// Where the folder is.
    pub disk: Arc<dyn Disk>,
    /// When this much is staged, [`View::freeze`] is due.
    pub checkpoint_bytes: usize,
    /// The length of the log's files.
    pub segment_bytes: u64,
    /// By how much the log's newest file grows at a time.
    pub grow_bytes: u64,
    /// A snapshot is due when the log has grown by this much, and by the size of the last snapshot.
    pub snapshot_bytes: u64,
    /// Kept free on the disk, to be given up when there is no other room.
    pub reserve_bytes: u64,
    /// Bytes of memory that sled or redb may keep pages in.
    pub page_bytes: u64,
    /// Open even on a network file system, whose locks and syncs may not hold.
    pub allow_network: bool,
    /// What this process says of itself to others who try to open: host and start time.
    pub holder: String,
}

impl Options {
    /// A store in a folder of this machine.
    pub fn folder(folder: impl Into<PathBuf>, image: ImageKind) -> Self {
        Self::on(Arc::new(RealDisk::new()), folder, image)
    }

    /// A store that ends with the process.
    pub fn memory() -> Self {
        Self::on(Arc::new(FaultDisk::healthy()), "/store", ImageKind::Memory)
    }

    /// A store on a disk of your own.
    pub fn on(disk: Arc<dyn Disk>, folder: impl Into<PathBuf>, image: ImageKind) -> Self {
        Self {
            folder: folder.into(),
            image,
            disk,
            checkpoint_bytes: 32 << 20,
            segment_bytes: 16 << 20,
            grow_bytes: 256 << 10,
            snapshot_bytes: 256 << 20,
            reserve_bytes: 16 << 20,
            page_bytes: 16 << 20,
            allow_network: false,
            holder: String::new(),
        }
    }
}

/// A store that is open, in the parts that different threads own.
pub struct Opened {
    /// For the committer's thread.
    pub log: Box<dyn Log>,
    /// For everyone.
    pub view: Arc<View>,
    /// For the checkpointer's thread.
    pub checkpointer: Checkpointer,
    /// What opening found and did.
    pub report: OpenReport,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("report", &self.report).finish_non_exhaustive()
    }
}

/// What opening a store found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// There was no store before.
    pub created: bool,
    /// The store was closed in order the last time.
    pub closed_well: bool,
    /// Batches replayed from the log.
    pub replayed: u64,
    /// Bytes at the log's end that were never acknowledged, and are gone.
    pub cut_bytes: u64,
    /// Why the image was thrown away and made again.
    pub rebuilt: Option<String>,
    /// Whatever else somebody should know.
    pub notes: Vec<String>,
}

/// Opens stores.
#[derive(Clone, Copy, Debug)]
pub struct Store;

impl Store {
    /// Opens the store, or makes it; repairs what a crash may leave, and refuses damage.
    #[expect(clippy::needless_pass_by_value, reason = "the options of an open store are its own")]
    pub fn open(options: Options) -> Result<Opened> {
        recover(&options)
    }
}
