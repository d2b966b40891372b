//! A disk in memory that loses, tears and reorders what was not synced, fails when told to, and flips bits.
use std::path::Path;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, DiskLock, OpenMode};

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device answers with an error.
    InputOutput,
    /// There is no room.
    Full,
}

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The call's number, from 0, counted over all calls that can fail.
    pub at: u64,
    /// What happens then.
    pub failure: Failure,
    /// Whether all later calls fail too.
    pub persists: bool,
}

/// A disk in memory that can be cut off at any moment.
#[derive(Clone, Debug)]
pub struct FaultDisk {}

impl FaultDisk {
    /// A disk whose accidents are drawn from a seed.
    pub fn new(_seed: u64) -> Self { todo!() }
    /// A disk that keeps every write at once, as one in memory does.
    pub fn healthy() -> Self { todo!() }
    /// The disk as it is after the power went: what was synced, and what chance let through. This one is dead.
    #[must_use]
    pub fn crash(&self) -> Self { todo!() }
    /// The disk as it is after the process was killed: everything that was written. This one is dead.
    #[must_use]
    pub fn kill(&self) -> Self { todo!() }
    /// From now on calls fail so.
    pub fn fail(&self, _plan: Option<Plan>) { todo!() }
    /// How many calls that can fail there were.
    pub fn calls(&self) -> u64 { todo!() }
    /// Turns over one bit of a file, also of what is synced.
    pub fn flip(&self, _path: &Path, _byte: u64, _bit: u8) -> io::Result<()> { todo!() }
    /// All files, with their lengths.
    pub fn files(&self) -> Vec<(std::path::PathBuf, u64)> { todo!() }
}

#[expect(unused_variables)]
impl Disk for FaultDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> { todo!() }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> { todo!() }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> { todo!() }
    fn remove(&self, path: &Path) -> io::Result<()> { todo!() }
    fn remove_dir(&self, path: &Path) -> io::Result<()> { todo!() }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> { todo!() }
    fn exists(&self, path: &Path) -> io::Result<bool> { todo!() }
    fn sync_dir(&self, path: &Path) -> io::Result<()> { todo!() }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> { todo!() }
    fn network_file_system(&self, path: &Path) -> io::Result<Option<String>> { todo!() }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> { todo!() }
    fn is_real(&self) -> bool { false }
}
