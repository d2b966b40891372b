//! An open file that knows its name, so that its errors can say it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode};
use crate::{Result, StoreError};

/// How many zeros are written at a time.
static ZEROS: [u8; 1 << 18] = [0; 1 << 18];

/// An open file and its name.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl Handle {
    pub(crate) fn open(disk: &dyn Disk, path: &Path, mode: OpenMode) -> Result<Self> {
        let file = disk.open(path, mode).map_err(|error| StoreError::io("open", path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Reads this many bytes, or fewer where the file ends.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let count = self.file.read_at(offset, &mut bytes);
        let count = count.map_err(|error| StoreError::io("read", &self.path, error))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let done = self.file.write_at(offset, bytes);
        done.map_err(|error| StoreError::io("write", &self.path, error))
    }

    pub(crate) fn write_zeros(&self, from: u64, to: u64) -> Result<()> {
        let mut at = from;
        while at < to {
            let count = usize::try_from(to.saturating_sub(at)).unwrap_or(ZEROS.len());
            let zeros = ZEROS.get(..count).unwrap_or(&ZEROS);
            self.write(at, zeros)?;
            at = at.saturating_add(bytes_u64(zeros.len()));
        }
        Ok(())
    }

    /// Takes this much room on the disk.
    pub(crate) fn occupy(&self, length: u64) -> Result<()> {
        let done = self.file.occupy(length);
        let is_taken = done.map_err(|error| StoreError::io("fallocate", &self.path, error))?;
        if is_taken { Ok(()) } else { self.write_zeros(0, length) }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let done = self.file.sync_data();
        done.map_err(|error| StoreError::io("fdatasync", &self.path, error))
    }

    pub(crate) fn length(&self) -> Result<u64> {
        self.file.length().map_err(|error| StoreError::io("fstat", &self.path, error))
    }

    pub(crate) fn set_length(&self, length: u64) -> Result<()> {
        let done = self.file.set_length(length);
        done.map_err(|error| StoreError::io("ftruncate", &self.path, error))
    }

    pub(crate) fn forget(&self) -> Result<()> {
        self.file.forget().map_err(|error| StoreError::io("fadvise", &self.path, error))
    }

    pub(crate) fn renamed(self, path: PathBuf) -> Self {
        Self { path, file: self.file }
    }

    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }
}

/// A count of bytes in memory as one on disk.
pub(crate) fn bytes_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A count of bytes on disk as one in memory.
pub(crate) fn bytes_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
