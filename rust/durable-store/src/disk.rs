//! The only door to the file system, so that tests can stand behind it.

mod handle;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use handle::{Handle, bytes_u64, bytes_usize};
pub use real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must be there; it is only read.
    Read,
    /// It must be there.
    Write,
    /// It is made where it is not there.
    Create,
    /// It is made, or emptied.
    Truncate,
}

/// A folder's files, and what a crash may do to them: nothing is on the disk before it was synced, a
/// file's bytes by [`DiskFile::sync_data`], its name by [`Disk::sync_dir`] on its folder.
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder and those above it, their names synced.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Takes a folder away with all that is in it; one that is not there is gone already.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether there is such a file or folder.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Puts the names in a folder on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a file for this process, as long as what is returned lives; `None`: another has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
    /// The name of the network file system that a folder is on, if it is on one.
    fn network_file_system(&self, path: &Path) -> io::Result<Option<String>>;
    /// Bytes that may still be written.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// A number that no other store has.
    fn draw_id(&self) -> io::Result<u64>;
    /// Whether other code finds the same files under the same paths (sled opens its own).
    fn is_real(&self) -> bool;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads until the buffer is full or the file ends; how much it was.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of the bytes.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until the bytes, and the length, are on the disk.
    fn sync_data(&self) -> io::Result<()>;
    /// The file's length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Takes this much room on the disk without writing it; false where the disk cannot: then it is written.
    fn occupy(&self, length: u64) -> io::Result<bool>;
    /// Forgets what is kept of the file in memory, so that the next read asks the disk.
    fn forget(&self) -> io::Result<()>;
}

/// A lock that is held.
pub trait DiskLock: Debug + Send + Sync {
    /// Replaces what the lock's file says.
    fn describe(&self, holder: &str) -> io::Result<()>;
}
