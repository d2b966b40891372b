//! A disk in memory that loses, tears and reorders what was not synced, fails when told to, and can be damaged.
//!
//! What it allows at a power cut: each sector (512 bytes or 4 KiB) of what was not synced is on the disk
//! as of any moment since the last sync, each on its own; a file's length likewise; the names of a
//! folder that was not synced are as of any moment since. A sync that fails loses what it should have
//! kept although reads still show it, as Linux does.

mod chance;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use chance::Chance;
use file::Inode;

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
    /// The call's number as [`FaultDisk::calls`] counts them.
    pub at: u64,
    /// What happens then.
    pub failure: Failure,
    /// Whether all later calls fail too.
    pub persists: bool,
}

/// A disk in memory that can be cut off at any moment. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    shared: Arc<Mutex<Platter>>,
}

#[derive(Debug)]
struct Platter {
    chance: Chance,
    /// Every write is kept at once: nothing to remember for a crash.
    healthy: bool,
    dead: bool,
    calls: u64,
    plan: Option<Plan>,
    capacity: Option<u64>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, u64>,
    kept_names: BTreeMap<PathBuf, u64>,
    /// What was done to the names of a folder since it was synced.
    pending_names: BTreeMap<PathBuf, Vec<NameChange>>,
    locked: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Move(PathBuf, PathBuf, u64),
}

impl NameChange {
    fn make(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Unlink(path) => drop(names.remove(path)),
            Self::Move(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl FaultDisk {
    /// A disk whose accidents are drawn from a seed.
    pub fn new(seed: u64) -> Self {
        Self::with(Platter::new(Chance::new(seed), false))
    }

    /// A disk that keeps every write at once, as one in memory does.
    pub fn healthy() -> Self {
        Self::with(Platter::new(Chance::new(0), true))
    }

    fn with(platter: Platter) -> Self {
        Self { shared: Arc::new(Mutex::new(platter)) }
    }

    /// The disk as it is after the power went: what was synced, and what chance let through of the rest.
    /// This one is dead: whoever still holds a file of it gets errors.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut old = self.platter();
        old.dead = true;
        let mut chance = Chance::new(old.chance.draw());
        let mut names = old.kept_names.clone();
        for changes in old.pending_names.values() {
            let kept = chance.up_to(changes.len());
            changes.iter().take(kept).for_each(|change| change.make(&mut names));
        }
        let after = names.values().filter_map(|id| Some((*id, old.inodes.get(id)?)));
        let inodes = after.map(|(id, inode)| (id, inode.after_crash(&mut chance))).collect();
        Self::with(old.successor(chance, names, inodes))
    }

    /// The disk as it is after the process was killed: all that was written, synced or not. This one is dead.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut old = self.platter();
        old.dead = true;
        let chance = Chance::new(old.chance.draw());
        let mut next = old.successor(chance, old.names.clone(), old.inodes.clone());
        next.kept_names = old.kept_names.clone();
        next.pending_names = old.pending_names.clone();
        Self::with(next)
    }

    /// From now on calls fail so; `None`: no longer.
    pub fn fail(&self, plan: Option<Plan>) {
        self.platter().plan = plan;
    }

    /// How many calls there were that can fail.
    pub fn calls(&self) -> u64 {
        self.platter().calls
    }

    /// From now on the files hold no more bytes than this together; `None`: any number.
    pub fn limit(&self, capacity: Option<u64>) {
        self.platter().capacity = capacity;
    }

    /// Changes the bytes of a file behind everybody's back, those that are synced too.
    pub fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
        let mut platter = self.platter();
        let id = *platter.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        platter.inodes.get_mut(&id).ok_or(io::ErrorKind::NotFound)?.damage(change);
        Ok(())
    }

    /// Turns over one bit of a file.
    pub fn flip(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        self.damage(path, |bytes| {
            let place = usize::try_from(byte).ok().and_then(|byte| bytes.get_mut(byte));
            if let Some(place) = place {
                *place ^= 1_u8.rotate_left(u32::from(bit));
            }
        })
    }

    /// All files, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let platter = self.platter();
        let length = |id| platter.inodes.get(id).map_or(0, Inode::length);
        platter.names.iter().map(|(path, id)| (path.clone(), length(id))).collect()
    }

    /// Whether both disks have the same files with the same bytes.
    pub fn same_as(&self, other: &Self) -> bool {
        let files = |disk: &Self| {
            let platter = disk.platter();
            let file = |(path, id): (&PathBuf, &u64)| {
                let bytes = platter.inodes.get(id).map(Inode::bytes).unwrap_or_default();
                (path.clone(), crc32c::crc32c(bytes))
            };
            platter.names.iter().map(file).collect::<Vec<_>>()
        };
        files(self) == files(other)
    }

    /// A disk of its own with the same files, all synced.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut old = self.platter();
        let chance = Chance::new(old.chance.draw());
        let inodes = old.inodes.iter().map(|(id, inode)| (*id, inode.settled())).collect();
        Self::with(old.successor(chance, old.names.clone(), inodes))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and fails it where that is planned.
    fn call(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let mut platter = self.platter();
        platter.admit()?;
        Ok(platter)
    }
}

impl Platter {
    fn new(chance: Chance, healthy: bool) -> Self {
        Self {
            chance,
            healthy,
            dead: false,
            calls: 0,
            plan: None,
            capacity: None,
            inodes: BTreeMap::new(),
            next_inode: 0,
            folders: BTreeSet::from([PathBuf::from("/")]),
            names: BTreeMap::new(),
            kept_names: BTreeMap::new(),
            pending_names: BTreeMap::new(),
            locked: BTreeSet::new(),
        }
    }

    fn successor(
        &self,
        chance: Chance,
        names: BTreeMap<PathBuf, u64>,
        inodes: BTreeMap<u64, Inode>,
    ) -> Self {
        Self {
            inodes,
            next_inode: self.next_inode,
            folders: self.folders.clone(),
            kept_names: names.clone(),
            names,
            capacity: self.capacity,
            ..Self::new(chance, self.healthy)
        }
    }

    fn admit(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("this disk has lost its power"));
        }
        let number = self.calls;
        self.calls = self.calls.saturating_add(1);
        match self.plan {
            Some(plan) if number == plan.at || (plan.persists && number > plan.at) => {
                Err(plan.failure.error())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        change.make(&mut self.names);
        if self.healthy {
            return;
        }
        let (NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Move(_, path, _)) =
            &change;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        self.pending_names.entry(folder).or_default().push(change);
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.inodes.get(id)).map(Inode::length).sum()
    }

    /// Whether a file may reach this length.
    fn has_room(&self, id: u64, length: u64) -> bool {
        let now = self.inodes.get(&id).map_or(0, Inode::length);
        self.capacity.is_none_or(|capacity| {
            length <= now || self.used().saturating_add(length.saturating_sub(now)) <= capacity
        })
    }

    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Self::InputOutput => io::Error::from_raw_os_error(5),
            Self::Full => io::ErrorKind::StorageFull.into(),
        }
    }
}

impl Disk for FaultDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.call()?;
        platter.folders.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.call()?;
        let found = platter.names.get(path).copied();
        let id = match (found, mode) {
            (Some(id), OpenMode::Truncate) => {
                let healthy = platter.healthy;
                platter.inode(id)?.set_length(0, healthy);
                id
            }
            (Some(id), OpenMode::Read | OpenMode::Write | OpenMode::Create) => id,
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::Truncate) => {
                let id = platter.next_inode;
                platter.next_inode = id.saturating_add(1);
                platter.inodes.insert(id, Inode::default());
                platter.change_names(NameChange::Link(path.to_owned(), id));
                id
            }
        };
        Ok(Arc::new(FaultFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.call()?;
        let id = *platter.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        platter.change_names(NameChange::Move(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.call()?;
        if !platter.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        platter.change_names(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.call()?;
        let inside = platter.names.keys().filter(|name| name.starts_with(path)).cloned();
        for name in inside.collect::<Vec<_>>() {
            platter.change_names(NameChange::Unlink(name));
        }
        platter.folders.retain(|folder| !folder.starts_with(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let platter = self.call()?;
        if !platter.folders.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = platter.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into())).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let platter = self.call()?;
        Ok(platter.names.contains_key(path) || platter.folders.contains(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.call()?;
        let changes = platter.pending_names.remove(path).unwrap_or_default();
        for change in changes {
            change.make(&mut platter.kept_names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.open(path, OpenMode::Create)?;
        let is_free = self.call()?.locked.insert(path.to_owned());
        if !is_free {
            return Ok(None);
        }
        Ok(Some(Box::new(FaultLock { disk: self.clone(), path: path.to_owned() })))
    }

    fn network_file_system(&self, _path: &Path) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let platter = self.platter();
        Ok(platter.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(platter.used())))
    }

    fn draw_id(&self) -> io::Result<u64> {
        Ok(self.platter().chance.draw())
    }

    fn is_real(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    id: u64,
}

impl DiskFile for FaultFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.disk.call()?.inode(self.id)?.read_at(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.platter();
        let healthy = platter.healthy;
        if let Err(error) = platter.admit() {
            if !platter.dead {
                // a write that fails may have got some of the way, in whole sectors
                let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                let some = u64::try_from(platter.chance.up_to(bytes.len())).unwrap_or(0);
                let cut = offset.saturating_add(some).next_multiple_of(512).min(end);
                let some = usize::try_from(cut.saturating_sub(offset)).unwrap_or(0);
                let part = bytes.get(..some).unwrap_or_default();
                platter.inode(self.id)?.write_at(offset, part, healthy);
            }
            return Err(error);
        }
        let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if !platter.has_room(self.id, end) {
            return Err(Failure::Full.error());
        }
        platter.inode(self.id)?.write_at(offset, bytes, healthy);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.disk.platter();
        let admitted = platter.admit();
        if admitted.is_ok() {
            platter.inode(self.id)?.keep();
        } else if !platter.dead {
            let mut chance = Chance::new(platter.chance.draw());
            platter.inode(self.id)?.lose(&mut chance);
        }
        admitted
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.call()?.inode(self.id)?.length())
    }

    fn occupy(&self, _: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut platter = self.disk.call()?;
        if !platter.has_room(self.id, length) {
            return Err(Failure::Full.error());
        }
        let healthy = platter.healthy;
        platter.inode(self.id)?.set_length(length, healthy);
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct FaultLock {
    disk: FaultDisk,
    path: PathBuf,
}

impl DiskLock for FaultLock {
    fn describe(&self, holder: &str) -> io::Result<()> {
        self.disk.open(&self.path, OpenMode::Truncate)?.write_at(0, holder.as_bytes())
    }
}

impl Drop for FaultLock {
    fn drop(&mut self) {
        self.disk.platter().locked.remove(&self.path);
    }
}
