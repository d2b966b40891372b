//! The store's folder: whose it is, who has it open, what it keeps in reserve.
//!
//! ```text
//! format            what this is, and the store's id; written last, so that it says: complete
//! lock              who has the store open
//! marker            how far the log is known to reach
//! reserve           room to be given up when the disk is full
//! log/              the segments of the log
//! snapshots/        the last verified snapshot
//! image.sled/ or image.redb
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ImageKind, Options};
use crate::disk::{Disk, Handle, OpenMode, bytes_u64};
use crate::lock::StoreLock;
use crate::log::FileLog;
use crate::marker::{Marker, Recorded};
use crate::{Result, Seq, StoreError};

const FORMAT: u32 = 1;

/// What lies in a store's folder; `owner` and what begins with it says where its process is reached.
const NAMES: [&str; 13] = [
    "format",
    "format.draft",
    "image",
    "image.redb",
    "image.sled",
    "lock",
    "log",
    "marker",
    "owner",
    "owner.new",
    "owner.sock",
    "reserve",
    "snapshots",
];
/// At the root of a file system of its own, as a volume is mounted.
const FOUND: &str = "lost+found";
/// So many strange names are said.
const TOLD: usize = 3;

/// A store's folder, locked.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) lock: Arc<StoreLock>,
    pub(super) store: u64,
    pub(super) marker: Arc<Marker>,
    pub(super) is_new: bool,
    pub(super) notes: Vec<String>,
}

impl Home {
    /// Enters a store's folder; makes a store there where there is none.
    pub(super) fn enter(options: &Options) -> Result<Self> {
        let disk = Arc::clone(&options.disk);
        let made = disk.create_dir(&options.folder);
        made.map_err(|error| StoreError::io("mkdir", &options.folder, error))?;
        if !has_format(options)? {
            refuse_foreign(options)?;
        }
        let lock = lock(options)?;
        let is_new = !has_format(options)?;
        if is_new {
            found(options, 1, None)?;
        }
        for folder in [options.folder.clone(), options.folder.join("snapshots")] {
            // a name that an earlier process could not sync is as good as lost, though it can be seen
            disk.sync_dir(&folder).map_err(|error| StoreError::io("fsync", &folder, error))?;
        }
        Self::read(options, lock, is_new)
    }

    /// Enters the folder of a store that must be there, and changes nothing.
    pub(super) fn visit(options: &Options) -> Result<Self> {
        if !has_format(options)? {
            let folder = options.folder.display();
            return Err(StoreError::refused(format!("there is no store in {folder}")));
        }
        Self::read(options, lock(options)?, false)
    }

    fn read(options: &Options, lock: StoreLock, is_new: bool) -> Result<Self> {
        let disk = Arc::clone(&options.disk);
        let store = read_format(&*disk, &options.folder.join("format"))?;
        let (marker, note) = Marker::open(&*disk, &options.folder.join("marker"), store)?;
        Ok(Self {
            disk,
            folder: options.folder.clone(),
            lock: Arc::new(lock),
            store,
            marker: Arc::new(marker),
            is_new,
            notes: note.into_iter().collect(),
        })
    }

    pub(super) fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.folder.join("snapshots")
    }

    /// Where an engine keeps the image; in memory, nowhere.
    pub(super) fn image_path(&self, kind: ImageKind) -> PathBuf {
        self.folder.join(match kind {
            ImageKind::Sled => "image.sled",
            ImageKind::Redb => "image.redb",
            ImageKind::Memory => "image",
        })
    }

    /// Takes an image away; it can be made again.
    pub(super) fn remove_image(&self, kind: ImageKind) -> Result<()> {
        let path = self.image_path(kind);
        match kind {
            ImageKind::Memory => Ok(()),
            ImageKind::Sled => {
                let gone = self.disk.remove_dir(&path);
                gone.map_err(|error| StoreError::io("rmdir", &path, error))
            }
            ImageKind::Redb => remove_if_there(&*self.disk, &path),
        }
    }

    /// Gives up the reserve where the disk is nearly full, and takes it back where there is room again.
    pub(super) fn keep_reserve(&mut self, bytes: u64) -> Result<()> {
        let path = self.folder.join("reserve");
        let free = self.disk.free_bytes(&self.folder);
        let free = free.map_err(|error| StoreError::io("statfs", &self.folder, error))?;
        let exists = self.disk.exists(&path);
        let exists = exists.map_err(|error| StoreError::io("stat", &path, error))?;
        if exists && free < bytes {
            self.give_up_reserve()?;
        } else if !exists && bytes > 0 && free > bytes.saturating_mul(4) {
            let file = Handle::open(&*self.disk, &path, OpenMode::Truncate)?;
            match file.occupy(bytes).and_then(|()| file.sync()) {
                Err(StoreError::Full { .. }) => remove_if_there(&*self.disk, &path)?,
                other => other?,
            }
        }
        Ok(())
    }

    /// Gives up the reserve.
    pub(super) fn give_up_reserve(&mut self) -> Result<()> {
        self.notes.push("the disk is nearly full: the store's reserve was given up".to_owned());
        remove_if_there(&*self.disk, &self.folder.join("reserve"))
    }
}

/// Makes a store whose log begins with a batch, and whose state before it is in a snapshot that `fill`
/// puts there. It is one only when its format is written.
pub(super) fn found(options: &Options, first: Seq, fill: Option<&Fill<'_>>) -> Result<()> {
    let (disk, folder) = (&*options.disk, &*options.folder);
    refuse_remains(disk, folder)?;
    let store = disk.draw_id().map_err(|error| StoreError::io("getrandom", folder, error))?;
    for inner in ["log", "snapshots"] {
        let path = folder.join(inner);
        disk.create_dir(&path).map_err(|error| StoreError::io("mkdir", &path, error))?;
    }
    FileLog::create(disk, &folder.join("log"), store, first)?;
    if let Some(fill) = fill {
        fill(store, &folder.join("snapshots"))?;
    }
    let before = first.saturating_sub(1);
    let start = Recorded {
        durable: before,
        oldest: first,
        newest: first,
        snapshot: before,
        ..Recorded::default()
    };
    Marker::create(disk, &folder.join("marker"), store, start)?;
    write_format(disk, folder, store)
}

/// Puts a snapshot of the store with this id into this folder.
pub(super) type Fill<'a> = dyn Fn(u64, &Path) -> Result<()> + 'a;

/// Locks the folder, unless it is on a file system that does not keep locks and syncs.
fn lock(options: &Options) -> Result<StoreLock> {
    let (disk, folder) = (&*options.disk, &*options.folder);
    let network = disk.network_file_system(folder);
    let network = network.map_err(|error| StoreError::io("statfs", folder, error))?;
    if let Some(name) = network.filter(|_| !options.allow_network) {
        let folder = folder.display();
        return Err(StoreError::refused(format!(
            "{folder} is on a network file system ({name}), where locks and syncs may not hold; \
             use a local disk"
        )));
    }
    StoreLock::take(disk, folder, &options.holder)
}

pub(super) fn has_format(options: &Options) -> Result<bool> {
    let path = options.folder.join("format");
    options.disk.exists(&path).map_err(|error| StoreError::io("stat", &path, error))
}

/// A folder without a store, in which somebody keeps something else, is not made one: a store's files among others' are
/// easily taken away with them. What a crash left of a store that was being made is no such thing; nor are names with a
/// dot, which systems and editors leave everywhere.
pub(super) fn refuse_foreign(options: &Options) -> Result<()> {
    let folder = &options.folder;
    let names = options.disk.list(folder);
    let names = names.map_err(|error| StoreError::io("readdir", folder, error))?;
    let is_foreign = |name: &&String| {
        !name.starts_with('.') && *name != FOUND && !NAMES.contains(&name.as_str())
    };
    let foreign: Vec<_> = names.iter().filter(is_foreign).map(String::as_str).collect();
    // what lies beside the remains of a store does not make it none: what is wrong with those is said
    let is_store = names.iter().any(|name| matches!(name.as_str(), "marker" | "snapshots"));
    if foreign.is_empty() || is_store {
        return Ok(());
    }
    let (told, more) = foreign.split_at(foreign.len().min(TOLD));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let (folder, told) = (folder.display(), told.join(", "));
    Err(StoreError::refused(format!(
        "{folder} holds other files ({told}{more}) and no store; a store has a folder of its own: name one that is \
         empty or not there yet, such as {}",
        options.folder.join("store").display()
    )))
}

/// Without a format the folder is no store yet; but then nothing may have been written to its log.
fn refuse_remains(disk: &dyn Disk, folder: &Path) -> Result<()> {
    let missing = || {
        let why = "it is missing, though there are other files of a store";
        StoreError::corrupt(&folder.join("format"), 0, why)
    };
    let list = |inner: &str| {
        let path = folder.join(inner);
        match disk.list(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|error| StoreError::io("readdir", &path, error)),
        }
    };
    for name in list("log")? {
        let path = folder.join("log").join(name);
        let file = Handle::open(disk, &path, OpenMode::Read)?;
        if file.read(4096, 64)?.iter().any(|byte| *byte != 0) {
            return Err(missing());
        }
        remove_if_there(disk, &path)?;
    }
    let is_marked = disk.exists(&folder.join("marker"));
    let is_marked = is_marked.map_err(|error| StoreError::io("stat", folder, error))?;
    let has_snapshot = list("snapshots")?.iter().any(|name| name.ends_with(".snapshot"));
    if is_marked && has_snapshot { Err(missing()) } else { Ok(()) }
}

fn write_format(disk: &dyn Disk, folder: &Path, store: u64) -> Result<()> {
    let body = format!("durable store\nformat {FORMAT}\nid {store:016x}\n");
    let text = format!("{body}sum {:08x}\n", crc32c::crc32c(body.as_bytes()));
    let (draft, path) = (folder.join("format.draft"), folder.join("format"));
    let file = Handle::open(disk, &draft, OpenMode::Truncate)?;
    file.write(0, text.as_bytes())?;
    file.sync()?;
    let synced = || {
        // the names of marker, log and snapshots come first
        disk.sync_dir(folder)?;
        disk.rename(&draft, &path)?;
        disk.sync_dir(folder)
    };
    synced().map_err(|error| StoreError::io("rename", &path, error))
}

/// The store's id, out of its format.
fn read_format(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let bytes = Handle::open(disk, path, OpenMode::Read)?.read(0, 4096)?;
    let text = String::from_utf8_lossy(&bytes);
    let damaged = |why| StoreError::corrupt(path, 0, why);
    let format = text.strip_prefix("durable store\nformat ").and_then(|rest| rest.lines().next());
    let found = format.and_then(|number| number.parse::<u32>().ok());
    let found = found.ok_or_else(|| damaged("it is not the format of a store"))?;
    if found > FORMAT {
        return Err(StoreError::Newer { file: path.to_owned(), found, known: FORMAT });
    }
    let (body, sum) = text.split_once("sum ").ok_or_else(|| damaged("it has no checksum"))?;
    if sum != format!("{:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum is wrong"));
    }
    let id = body.lines().find_map(|line| line.strip_prefix("id "));
    let id = id.and_then(|id| u64::from_str_radix(id, 16).ok());
    debug_assert!(bytes_u64(bytes.len()) < 4096, "a format is one short text");
    id.ok_or_else(|| damaged("it has no id"))
}

pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| StoreError::io("unlink", path, error)),
    }
}
