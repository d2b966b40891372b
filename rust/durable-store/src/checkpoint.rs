//! Moving what is durable into the image, and letting the log forget it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::image::counted;
use crate::log::Shelf;
use crate::marker::Marker;
use crate::poison::Poison;
use crate::snapshot::{self, Summary};
use crate::{Frozen, Image, Item, KeyRange, Result, Seq, StoreError, View};

/// Applies frozen layers, takes snapshots, trims the log. Lives on a thread of its own.
#[derive(Debug)]
pub struct Checkpointer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) view: Arc<View>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) marker: Arc<Marker>,
    /// Where snapshots are kept.
    pub(crate) snapshots: PathBuf,
    /// A snapshot is due when the log has grown by this much,
    pub(crate) snapshot_bytes: u64,
    /// and by the size of the last one.
    pub(crate) last_snapshot_bytes: u64,
    /// The last snapshot is lost: take one however little the log has grown.
    pub(crate) is_snapshot_missing: bool,
    pub(crate) poison: Poison,
}

/// Makes room in the log ahead of its writer, beside checkpoints, which may take long.
#[derive(Debug)]
pub struct Spares {
    shelf: Arc<Shelf>,
}

impl Spares {
    /// Makes a spare file where the log is busy and has none. For one thread at a time.
    pub fn prepare(&mut self) -> Result<()> {
        self.shelf.prepare()
    }
}

/// What a run of the checkpointer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// The image now holds all batches up to this one.
    pub applied: Seq,
    /// A snapshot of this state was taken, and verified.
    pub snapshot: Option<Seq>,
}

impl Checkpointer {
    /// Applies a layer; the log must be durable up to its end. Takes a snapshot where one is due. After a
    /// failure the layer stays readable, and no run is accepted any more.
    #[expect(clippy::needless_pass_by_value, reason = "a layer is applied once")]
    pub fn run(&mut self, frozen: Frozen) -> Result<Checkpointed> {
        let mut poison = std::mem::take(&mut self.poison);
        let done = poison.guard(|| self.run_once(&frozen));
        self.poison = poison;
        done.inspect_err(|error| self.view.distrust(error))
    }

    fn run_once(&mut self, frozen: &Frozen) -> Result<Checkpointed> {
        self.apply(frozen)?;
        let snapshot = if self.is_snapshot_due() { Some(self.take_snapshot()?) } else { None };
        Ok(Checkpointed { applied: frozen.upto, snapshot })
    }

    /// Brings a layer into the image.
    pub(crate) fn apply(&self, frozen: &Frozen) -> Result<()> {
        self.image().apply(frozen.upto, &mut frozen.changes().map(Ok))?;
        self.marker.update(|recorded| recorded.applied = frozen.upto)?;
        self.view.thaw();
        Ok(())
    }

    fn is_snapshot_due(&self) -> bool {
        let due = self.snapshot_bytes.max(self.last_snapshot_bytes);
        self.is_snapshot_missing || self.shelf.grown() >= due
    }

    fn take_snapshot(&mut self) -> Result<Seq> {
        let grown = self.shelf.grown();
        let seq = self.image().applied();
        let path = snapshot_path(&self.snapshots, seq);
        let summary = self.dump(&path)?;
        self.marker.update(|recorded| recorded.snapshot = seq)?;
        self.shelf.restart_growth(grown);
        self.last_snapshot_bytes = summary.file_bytes;
        self.is_snapshot_missing = false;
        remove_other_snapshots(&*self.disk, &self.snapshots, seq)?;
        self.shelf.trim(seq.saturating_add(1))?;
        Ok(seq)
    }

    /// For the thread that makes room in the log.
    pub fn spares(&self) -> Spares {
        Spares { shelf: Arc::clone(&self.shelf) }
    }

    /// Writes the state up to the last run into one file, which is verified and can be restored; the batch
    /// whose state it is.
    pub fn backup(&mut self, to: &Path) -> Result<Seq> {
        Ok(self.dump(to)?.seq)
    }

    /// Nobody else applies meanwhile, so that the scan shows one state.
    fn dump(&self, path: &Path) -> Result<Summary> {
        let store = self.marker.read().store;
        let mut items = self.items();
        snapshot::take(&*self.disk, path, (store, self.image().applied()), &mut items)
    }

    /// Reads the whole image and compares it with what it counted; how many records it has. For idle times:
    /// damage that nobody reads is found while snapshot and log can still make the image again.
    pub fn verify(&mut self) -> Result<u64> {
        let mut records: u64 = 0;
        for item in self.items() {
            item.inspect_err(|error| self.view.distrust(error))?;
            records = records.saturating_add(1);
        }
        Ok(records)
    }

    fn items(&self) -> impl Iterator<Item = Result<Item>> {
        counted(in_order(self.image().scan(KeyRange::all())), self.image().census())
    }

    fn image(&self) -> &dyn Image {
        self.view.image()
    }
}

/// Records that must come in the order of their keys: an engine that mixes them up is damaged.
fn in_order(items: impl Iterator<Item = Result<Item>>) -> impl Iterator<Item = Result<Item>> {
    let mut last = None;
    items.map(move |item| {
        let (key, value) = item?;
        if last.as_ref().is_some_and(|last| *last >= key) {
            let why = format!("the image's records are out of order at key {}", key.escape_ascii());
            return Err(StoreError::corrupt(Path::new("image"), 0, why));
        }
        last = Some(key.clone());
        Ok((key, value))
    })
}

/// The path of the snapshot of a state.
pub(crate) fn snapshot_path(folder: &Path, seq: Seq) -> PathBuf {
    folder.join(format!("{seq:020}.snapshot"))
}

/// Removes drafts, and all snapshots but one.
pub(crate) fn remove_other_snapshots(disk: &dyn Disk, folder: &Path, seq: Seq) -> Result<()> {
    let kept = snapshot_path(folder, seq);
    let names = disk.list(folder).map_err(|error| StoreError::io("readdir", folder, error))?;
    for path in names.iter().map(|name| folder.join(name)).filter(|path| *path != kept) {
        disk.remove(&path).map_err(|error| StoreError::io("unlink", &path, error))?;
    }
    Ok(())
}
