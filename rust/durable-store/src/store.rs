//! Putting log, image and snapshot together again, whatever state they were left in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, RealDisk};
use crate::fault::FaultDisk;
use crate::{Checkpointer, Log, Result, Seq, View};

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
            segment_bytes: 64 << 20,
            grow_bytes: 4 << 20,
            snapshot_bytes: 256 << 20,
            reserve_bytes: 16 << 20,
            page_bytes: 64 << 20,
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
#[derive(Debug)]
pub struct Store;

impl Store {
    /// Opens the store, repairs what a crash may leave, and refuses damage.
    pub fn open(_options: Options) -> Result<Opened> {
        todo!()
    }
}

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Batches in the log.
    pub batches: u64,
    /// Records in the image.
    pub records: u64,
    /// The state that the last snapshot holds.
    pub snapshot: Option<Seq>,
    /// What is wrong, one sentence each; empty: all is well.
    pub faults: Vec<String>,
}

/// Verifies a store that nobody has open: the log's chain, the snapshots' checksums, and the image
/// against them.
pub fn check(_options: Options) -> Result<CheckReport> {
    todo!()
}

/// Writes the whole state of a store that nobody has open into one file.
pub fn backup(_options: Options, _to: &Path) -> Result<Seq> {
    todo!()
}

/// Makes a store out of a backup; there must be none at `options.folder`.
pub fn restore(_from: &Path, _options: Options) -> Result<Seq> {
    todo!()
}
