//! The real store on a disk that is simulated: log, image, checkpoints and snapshots, with power cuts,
//! failing calls and flipped bits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use durable_core::Record;
use durable_store::fault::{Failure, FaultDisk, Plan};
use durable_store::{Change, ImageKind, KeyRange, Opened, Options, Seq, Store, batch};

use crate::chance::Chance;
use crate::storage::{Cut, Records, Storage, dump};
use crate::tally::Tally;

/// See the module.
pub struct DiskStorage {
    disk: FaultDisk,
    /// The disk as the last crash left it, before anything was opened or repaired.
    left: FaultDisk,
    sizes: Sizes,
    opened: Opened,
    unsynced: Vec<(Seq, Bytes)>,
    has_plan: bool,
    skips_sync: bool,
}

/// Small, so that a short world meets every boundary.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    segment: u64,
    grow: u64,
    snapshot: u64,
    reserve: u64,
}

impl fmt::Debug for DiskStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStorage").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl DiskStorage {
    /// A new store on a disk whose accidents are drawn from `chance`. `skips_sync`: a deliberate mistake.
    pub fn new(chance: &mut Chance, skips_sync: bool) -> Result<Self, String> {
        let sizes = Sizes {
            segment: 4_096 << chance.small(0, 4),
            grow: 4_096,
            snapshot: 2_048 << chance.small(0, 6),
            reserve: if chance.happens(500) { 4_096 } else { 0 },
        };
        let disk = FaultDisk::new(chance.draw());
        let opened = open(&disk, sizes).map_err(|error| format!("a new store: {error}"))?;
        let left = disk.copy();
        Ok(Self { disk, left, sizes, opened, unsynced: Vec::new(), has_plan: false, skips_sync })
    }

    fn open_again(&mut self, disk: FaultDisk) -> Result<(), String> {
        self.left = disk.copy();
        let opened = open(&disk, self.sizes);
        self.opened = opened.map_err(|error| format!("after a crash: {error}"))?;
        self.disk = disk;
        self.unsynced.clear();
        self.has_plan = false;
        Ok(())
    }
}

fn open(disk: &FaultDisk, sizes: Sizes) -> durable_store::Result<Opened> {
    let mut options = Options::on(Arc::new(disk.clone()), "/store", ImageKind::Memory);
    options.checkpoint_bytes = 1_024;
    options.segment_bytes = sizes.segment;
    options.grow_bytes = sizes.grow;
    options.snapshot_bytes = sizes.snapshot;
    options.reserve_bytes = sizes.reserve;
    "simulated".clone_into(&mut options.holder);
    Store::open(options)
}

/// Reads do not fail here: a read that does is a finding.
#[expect(clippy::panic, reason = "a world catches it and prints its seed")]
fn sound<T>(result: durable_store::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("a read failed: {error}"))
}

impl Storage for DiskStorage {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        sound(self.opened.view.get(key))
    }

    fn scan(&self, from: &[u8], before: &[u8], limit: usize) -> Vec<Record> {
        let range = Bytes::copy_from_slice(from)..Bytes::copy_from_slice(before);
        self.opened.view.scan(KeyRange::from(range)).take(limit).map(sound).collect()
    }

    fn stage(&mut self, seq: Seq, changes: &[Change]) {
        sound(self.opened.view.stage(seq, changes));
        self.unsynced.push((seq, batch::encode(changes)));
    }

    fn append(&mut self) -> Result<(), String> {
        let unsynced = self.unsynced.clone();
        let log = &mut self.opened.log;
        let done = if self.skips_sync { log.write(&unsynced) } else { log.append(&unsynced) };
        done.map_err(|error| error.to_string())?;
        self.unsynced.clear();
        Ok(())
    }

    fn next_seq(&self) -> Seq {
        self.opened.log.next_seq()
    }

    fn refuse_next(&mut self, chance: &mut Chance) {
        let failure = if chance.happens(500) { Failure::InputOutput } else { Failure::Full };
        let at = self.disk.calls().saturating_add(chance.within(0, 3));
        self.has_plan = true;
        self.disk.fail(Some(Plan { at, failure, persists: chance.happens(500) }));
    }

    fn rest(&mut self, chance: &mut Chance, tally: &mut Tally) -> Result<(), String> {
        if !self.unsynced.is_empty() || chance.happens(600) {
            return Ok(());
        }
        let Some(frozen) = self.opened.view.freeze() else { return Ok(()) };
        match self.opened.checkpointer.run(frozen) {
            Ok(done) => {
                let took = done.snapshot.is_some();
                tally.note(if took { "snapshot taken" } else { "checkpoint made" });
                Ok(())
            }
            Err(_) if self.has_plan => {
                tally.note("checkpoint failed");
                Ok(())
            }
            Err(error) => Err(format!("a checkpoint: {error}")),
        }
    }

    fn reopen(&mut self, cut: Cut, _chance: &mut Chance) -> Result<(), String> {
        let disk = match cut {
            Cut::Kill => self.disk.kill(),
            Cut::Power => self.disk.crash(),
            Cut::PowerInAppend => {
                let unsynced = std::mem::take(&mut self.unsynced);
                // Whether it says that it failed is no matter: the power goes now.
                drop(self.opened.log.write(&unsynced));
                self.disk.crash()
            }
        };
        self.open_again(disk)
    }

    fn flip(&mut self, chance: &mut Chance) -> Result<bool, String> {
        let disk = self.left.copy();
        let files: Vec<(PathBuf, u64)> =
            disk.files().into_iter().filter(|(_, length)| *length > 0).collect();
        let Some((path, length)) = chance.pick(&files) else { return Ok(false) };
        // Most of a file may be room for later: half of the flips look for a byte that says something.
        let (byte, bit) = (chance.below(*length), chance.small(0, 7));
        let seeks = chance.happens(500);
        let damaged = disk.damage(path, |bytes| {
            let from = usize::try_from(byte).unwrap_or(0);
            let tail = bytes.iter_mut().skip(from);
            if let Some(place) = tail.into_iter().find(|byte| !seeks || **byte != 0) {
                *place ^= 1_u8.rotate_left(bit);
            }
        });
        damaged.map_err(|error| error.to_string())?;
        let opened = open(&disk, self.sizes);
        let Ok(opened) = opened else { return Ok(true) };
        let found: Records = {
            let all = opened.view.scan(KeyRange::all());
            all.map(sound).collect()
        };
        if found == dump(self) {
            Ok(false)
        } else {
            Err(format!("bit {bit} of byte {byte} of {} flipped unseen", path.display()))
        }
    }
}
