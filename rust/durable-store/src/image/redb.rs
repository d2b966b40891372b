//! An image in one file of redb, which goes through our disk like everything else.

use std::fmt::Display;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, StorageBackend, TableDefinition};

use super::{Census, Image, Items, KeyChange, seal, shielded};
use crate::disk::{Disk, Handle, OpenMode, bytes_usize};
use crate::{KeyRange, Result, Seq, StoreError};

const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");
const PROGRESS: TableDefinition<'static, (), &[u8]> = TableDefinition::new("progress");
/// How many changes one transaction holds in memory.
const PAGE: usize = 32_768;

/// An image in one file of redb.
#[derive(Debug)]
pub struct RedbImage {
    database: Database,
    path: PathBuf,
    store: u64,
    applied: AtomicU64,
    census: Mutex<Census>,
}

impl RedbImage {
    /// Opens the image of a store, or makes an empty one.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path, store: u64, page_bytes: u64) -> Result<Self> {
        let file = Handle::open(&**disk, path, OpenMode::Create)?;
        let database = shielded(path, || {
            Database::builder()
                .set_cache_size(bytes_usize(page_bytes))
                .create_with_backend(Backend { file })
                .map_err(|error| explain_open(path, error))
        })?;
        let image = Self {
            database,
            path: path.to_owned(),
            store,
            applied: 0.into(),
            census: Mutex::default(),
        };
        image.applied.store(shielded(path, || image.read_progress())?, Ordering::Release);
        Ok(image)
    }

    fn read_progress(&self) -> Result<Seq> {
        let reading = self.database.begin_read().map_err(|error| self.explain(error))?;
        let table = match reading.open_table(PROGRESS) {
            Err(redb::TableError::TableDoesNotExist(_)) => {
                self.write_page(Some(0), &mut Vec::new())?;
                return Ok(0);
            }
            other => other.map_err(|error| self.explain(error))?,
        };
        let sealed = table.get(()).map_err(|error| self.explain(error))?;
        match sealed.and_then(|sealed| seal::open_progress(sealed.value())) {
            Some((store, applied, census)) if store == self.store => {
                *self.counted() = census;
                Ok(applied)
            }
            Some(_) => Err(self.damage("it belongs to another store")),
            None => Err(self.damage("its progress has a wrong checksum")),
        }
    }

    /// One transaction; only one that records progress waits for the disk.
    fn write_page(&self, upto: Option<Seq>, page: &mut Vec<KeyChange>) -> Result<()> {
        let mut writing = self.database.begin_write().map_err(|error| self.explain(error))?;
        if upto.is_none() {
            let done = writing.set_durability(Durability::None);
            done.map_err(|error| self.explain(error))?;
        }
        let mut records = writing.open_table(RECORDS).map_err(|error| self.explain(error))?;
        let mut census = *self.counted();
        for (key, value) in page.drain(..) {
            let old = match value {
                Some(value) => {
                    let sealed = seal::seal(&key, &value);
                    census.add(seal::sum_of(&sealed));
                    records.insert(&*key, &*sealed).map_err(|error| self.explain(error))?
                }
                None => records.remove(&*key).map_err(|error| self.explain(error))?,
            };
            if let Some(old) = old {
                census.remove(seal::sum_of(old.value()));
            }
        }
        drop(records);
        if let Some(upto) = upto {
            let mut progress = writing.open_table(PROGRESS).map_err(|error| self.explain(error))?;
            let sealed = seal::seal_progress(self.store, upto, census);
            progress.insert((), &*sealed).map_err(|error| self.explain(error))?;
        }
        writing.commit().map_err(|error| self.explain(error))?;
        *self.counted() = census;
        Ok(())
    }

    fn counted(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damage(&self, why: &str) -> StoreError {
        StoreError::corrupt(&self.path, 0, why)
    }

    fn explain(&self, error: impl Into<redb::Error>) -> StoreError {
        explain(&self.path, error)
    }

    fn read_value(&self, key: &[u8], sealed: &[u8]) -> Result<Bytes> {
        seal::open(key, sealed).ok_or_else(|| {
            self.damage(&format!("the value of key {} is not what was written", key.escape_ascii()))
        })
    }

    fn range(
        &self,
        range: &KeyRange,
    ) -> Result<redb::Range<'static, &'static [u8], &'static [u8]>> {
        let reading = self.database.begin_read().map_err(|error| self.explain(error))?;
        let table = reading.open_table(RECORDS).map_err(|error| self.explain(error))?;
        let to = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = table.range::<&[u8]>((Bound::Included(&*range.start), to));
        found.map_err(|error| self.explain(error))
    }
}

impl Image for RedbImage {
    fn apply(&self, upto: Seq, changes: &mut dyn Iterator<Item = Result<KeyChange>>) -> Result<()> {
        let mut page = Vec::new();
        for change in changes {
            page.push(change?);
            if page.len() == PAGE {
                shielded(&self.path, || self.write_page(None, &mut page))?;
            }
        }
        shielded(&self.path, || self.write_page(Some(upto), &mut page))?;
        self.applied.store(upto, Ordering::Release);
        Ok(())
    }

    fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }

    fn census(&self) -> Option<Census> {
        Some(*self.counted())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        shielded(&self.path, || {
            let reading = self.database.begin_read().map_err(|error| self.explain(error))?;
            let table = reading.open_table(RECORDS).map_err(|error| self.explain(error))?;
            let sealed = table.get(key).map_err(|error| self.explain(error))?;
            sealed.map(|sealed| self.read_value(key, sealed.value())).transpose()
        })
    }

    fn scan(&self, range: KeyRange) -> Items<'_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let mut items = match shielded(&self.path, || self.range(&range)) {
            Ok(items) => items,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let mut next = move || {
            let Some(item) = items.next() else { return Ok(None) };
            let (key, sealed) = item.map_err(|error| self.explain(error))?;
            let value = self.read_value(key.value(), sealed.value())?;
            Ok(Some((Bytes::copy_from_slice(key.value()), value)))
        };
        Box::new(std::iter::from_fn(move || shielded(&self.path, &mut next).transpose()))
    }
}

fn explain_open(path: &Path, error: redb::DatabaseError) -> StoreError {
    explain(path, error)
}

fn explain(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let damage = |error: &dyn Display| StoreError::corrupt(path, 0, error.to_string());
    let error = error.into();
    if let redb::Error::Io(error) = error {
        let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
        return if is_short { damage(&error) } else { StoreError::io("redb", path, error) };
    }
    damage(&error)
}

/// redb's file.
#[derive(Debug)]
struct Backend {
    file: Handle,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.file().length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.file.file().read_at(offset, out)? < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.file().set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.file().sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.file().write_at(offset, data)
    }
}
