//! One process at a time: the folder's lock, and what its holder says of itself.

use std::path::Path;

use crate::disk::{Disk, DiskLock, Handle, OpenMode};
use crate::{Result, StoreError};

/// The folder's lock, held as long as any part of the open store lives.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _held: Box<dyn DiskLock>,
}

impl StoreLock {
    /// Locks the folder, or says who holds it.
    pub(crate) fn take(disk: &dyn Disk, folder: &Path, holder: &str) -> Result<Self> {
        let path = folder.join("lock");
        let taken = disk.lock(&path).map_err(|error| StoreError::io("flock", &path, error))?;
        let Some(held) = taken else {
            let holder = read_holder(disk, &path).unwrap_or_default();
            return Err(StoreError::Locked { folder: folder.to_owned(), holder });
        };
        // what the file says only serves messages, and a full disk must not keep us out
        drop(held.describe(&describe(holder)));
        Ok(Self { _held: held })
    }
}

fn describe(holder: &str) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let process = std::process::id();
    if holder.is_empty() {
        format!("process {process} on {host}")
    } else {
        format!("process {process} on {host}, {holder}")
    }
}

fn read_holder(disk: &dyn Disk, path: &Path) -> Option<String> {
    let file = Handle::open(disk, path, OpenMode::Read).ok()?;
    String::from_utf8(file.read(0, 512).ok()?).ok()
}
