//! An image in a folder of sled 0.34.7, under the rules that its measured faults ask for.
//!
//! | found | so |
//! |---|---|
//! | `flush` does not fsync | `fdatasync` of our own on its file, after each `flush` |
//! | leaves of more than 128 KiB go to files that are never synced | values in pieces of at most 4 KiB |
//! | big batches hold gigabytes of garbage | its collector is run every 256 changes |
//! | a flipped bit loses the tail without a word | the progress is written last, so that it goes first; values have checksums |
//! | panics on damage | each call is shielded |
//! | batches and transactions take a lock of the whole process; `flush_async` deadlocks | neither is used, one tree, one thread writes |
//!
//! Keys: `p` is the progress, `k` and the key is a record, `c`, the key's length, the key and a number is
//! a piece of a long value.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes};

use super::{Census, Image, Item, Items, KeyChange, seal, shielded};
use crate::disk::{Disk, Handle, OpenMode};
use crate::{KeyRange, Result, Seq, StoreError};

const PROGRESS_KEY: &[u8] = b"p";
const RECORD: u8 = b'k';
const PIECE: u8 = b'c';
/// The longest value that sled is given, with what goes before it.
const PIECE_BYTES: usize = 4000;
/// How often the garbage collector is run.
const COLLECT_EVERY: u32 = 256;

const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;

/// An image in a folder of sled.
#[derive(Debug)]
pub struct SledImage {
    database: sled::Db,
    /// Its file, for a sync that is one.
    file: Handle,
    path: PathBuf,
    store: u64,
    applied: AtomicU64,
}

impl SledImage {
    /// Opens the image of a store, or makes an empty one. The folder must be on a real disk.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path, store: u64, page_bytes: u64) -> Result<Self> {
        if !disk.is_real() {
            return Err(StoreError::refused("sled opens its own files, so it needs a real disk"));
        }
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(page_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let database = shielded(path, || config.open().map_err(|error| explain(path, error)))?;
        let file = Handle::open(&**disk, &path.join("db"), OpenMode::Write)?;
        let image = Self { database, file, path: path.to_owned(), store, applied: 0.into() };
        image.applied.store(image.read_progress()?, Ordering::Release);
        Ok(image)
    }

    fn read_progress(&self) -> Result<Seq> {
        match self.call(|tree| tree.get(PROGRESS_KEY))? {
            None => {
                let first = self.call(|tree| tree.iter().keys().next().transpose())?;
                // pieces without a progress: a crash came before the first one was written
                Ok(if first.is_some() { 0 } else { self.record_progress(0).map(|()| 0)? })
            }
            Some(sealed) => match seal::open_progress(&sealed) {
                Some((store, applied, _)) if store == self.store => Ok(applied),
                Some(_) => Err(self.damage("it belongs to another store")),
                None => Err(self.damage("its progress has a wrong checksum")),
            },
        }
    }

    fn record_progress(&self, applied: Seq) -> Result<()> {
        let sealed = seal::seal_progress(self.store, applied, Census::default());
        self.call(|tree| tree.insert(PROGRESS_KEY, sealed))?;
        self.flush()
    }

    fn flush(&self) -> Result<()> {
        self.call(sled::Tree::flush)?;
        self.file.sync()
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut head = Vec::with_capacity(value.len().min(PIECE_BYTES).saturating_add(16));
        if value.len() <= PIECE_BYTES {
            head.put_u8(WHOLE);
            head.put_u32_le(seal::sum(key, value));
            head.put_slice(value);
        } else {
            let pieces = value.chunks(PIECE_BYTES);
            head.put_u8(IN_PIECES);
            head.put_u32_le(seal::sum(key, value));
            head.put_u32_le(u32::try_from(pieces.len()).unwrap_or(u32::MAX));
            for (number, piece) in (0_u32..).zip(pieces) {
                self.call(|tree| tree.insert(piece_key(key, number), piece))?;
                collect_sometimes(number);
            }
        }
        let kept = if value.len() <= PIECE_BYTES { 0 } else { piece_count(&head) };
        let old = self.call(|tree| tree.insert(record_key(key), head))?;
        self.drop_pieces(key, kept, old.as_deref())
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        let old = self.call(|tree| tree.remove(record_key(key)))?;
        self.drop_pieces(key, 0, old.as_deref())
    }

    /// Removes the pieces of an old value that a new one did not overwrite.
    fn drop_pieces(&self, key: &[u8], kept: u32, old: Option<&[u8]>) -> Result<()> {
        for number in kept..old.map_or(0, piece_count) {
            self.call(|tree| tree.remove(piece_key(key, number)))?;
        }
        Ok(())
    }

    /// A value out of its record, with its pieces fetched.
    fn assemble(&self, key: &[u8], mut head: &[u8]) -> Result<Bytes> {
        let damaged =
            || self.damage(&format!("the value of key {} is not what was written", Hex(key)));
        let kind = head.try_get_u8().map_err(|_short| damaged())?;
        if kind == WHOLE {
            return seal::open(key, head).ok_or_else(damaged);
        }
        let sum = head.try_get_u32_le().map_err(|_short| damaged())?;
        let count = head.try_get_u32_le().map_err(|_short| damaged())?;
        let mut value = Vec::new();
        for number in 0..count {
            let piece = self.call(|tree| tree.get(piece_key(key, number)))?.ok_or_else(damaged)?;
            value.extend_from_slice(&piece);
        }
        if kind != IN_PIECES || seal::sum(key, &value) != sum {
            return Err(damaged());
        }
        Ok(Bytes::from(value))
    }

    fn call<T>(&self, call: impl FnOnce(&sled::Tree) -> sled::Result<T>) -> Result<T> {
        shielded(&self.path, || call(&self.database).map_err(|error| explain(&self.path, error)))
    }

    fn damage(&self, why: &str) -> StoreError {
        StoreError::corrupt(&self.path, 0, why)
    }

    fn read_item(&self, item: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Item> {
        let (key, head) = item.map_err(|error| explain(&self.path, error))?;
        let key = Bytes::copy_from_slice(key.get(1..).unwrap_or_default());
        // a piece may be overwritten while its fellows are read, which a second look settles
        match self.assemble(&key, &head) {
            Err(StoreError::Corrupt { .. }) => {
                let value = self.get(&key)?.ok_or_else(|| self.damage("a record vanished"))?;
                Ok((key, value))
            }
            other => Ok((key, other?)),
        }
    }
}

impl Image for SledImage {
    fn apply(&self, upto: Seq, changes: &mut dyn Iterator<Item = Result<KeyChange>>) -> Result<()> {
        for (number, change) in (0_u32..).zip(changes) {
            match change? {
                (key, Some(value)) => self.put(&key, &value)?,
                (key, None) => self.remove(&key)?,
            }
            collect_sometimes(number);
        }
        self.flush()?;
        self.record_progress(upto)?;
        self.applied.store(upto, Ordering::Release);
        Ok(())
    }

    fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let look = || self.call(|tree| tree.get(record_key(key)));
        let Some(head) = look()? else { return Ok(None) };
        match self.assemble(key, &head) {
            Err(StoreError::Corrupt { .. }) if piece_count(&head) > 0 => {
                look()?.map(|head| self.assemble(key, &head)).transpose()
            }
            other => other.map(Some),
        }
    }

    fn scan(&self, range: KeyRange) -> Items<'_> {
        let from = record_key(&range.start);
        let to = range.end.as_deref().map_or_else(|| vec![RECORD + 1], record_key);
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let mut items = self.database.range(from..to);
        let next = move || {
            let item =
                shielded(&self.path, || items.next().map(|item| self.read_item(item)).transpose());
            item.transpose()
        };
        Box::new(std::iter::from_fn(next))
    }
}

/// Runs the garbage collector once every so many changes.
fn collect_sometimes(count: u32) {
    if count.is_multiple_of(COLLECT_EVERY) {
        crossbeam_epoch::pin().flush();
    }
}

fn record_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len().saturating_add(1));
    bytes.put_u8(RECORD);
    bytes.put_slice(key);
    bytes
}

fn piece_key(key: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len().saturating_add(9));
    bytes.put_u8(PIECE);
    bytes.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX));
    bytes.put_slice(key);
    bytes.put_u32(number);
    bytes
}

/// How many pieces the value of a record has.
fn piece_count(mut head: &[u8]) -> u32 {
    if head.first() != Some(&IN_PIECES) || head.len() < 9 {
        return 0;
    }
    head.advance(5);
    head.get_u32_le()
}

fn explain(path: &Path, error: sled::Error) -> StoreError {
    if let sled::Error::Io(error) = error {
        return StoreError::io("sled", path, error);
    }
    StoreError::corrupt(path, 0, error.to_string())
}

/// A key as people can read it.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}
