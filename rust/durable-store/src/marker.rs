//! What the store knows of itself: how far the log is known to reach, which of its files belong to it.
//!
//! Two slots in one file, written in turn, each within one sector, so that a crash leaves at least one
//! whole. It is what tells a log that was cut short from one that simply ends.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};

use crate::disk::{Disk, Handle, OpenMode};
use crate::{Result, Seq, StoreError};

const MAGIC: u64 = u64::from_le_bytes(*b"DURAMARK");
const SLOT_BYTES: u64 = 4096;
const RECORD_BYTES: usize = 96;

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Counts the writes of the marker.
    pub(crate) generation: u64,
    /// The store's id.
    pub(crate) store: u64,
    /// All batches up to here are in the log and on the disk.
    pub(crate) durable: Seq,
    /// The first batch of the log's newest file.
    pub(crate) newest: Seq,
    /// The first batch of the log's oldest file: those before are to be removed.
    pub(crate) oldest: Seq,
    /// The image once held all batches up to here.
    pub(crate) applied: Seq,
    /// The state that the last verified snapshot holds; 0: there is none.
    pub(crate) snapshot: Seq,
    /// Closed in order: nothing was written since.
    pub(crate) is_closed: bool,
    /// The image returned damage: it is to be made again.
    pub(crate) is_image_bad: bool,
}

/// The marker's file.
#[derive(Debug)]
pub(crate) struct Marker {
    file: Handle,
    now: Mutex<Recorded>,
}

impl Marker {
    /// Makes the file. Its name is not synced yet.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, store: u64, start: Recorded) -> Result<()> {
        let file = Handle::open(disk, path, OpenMode::Truncate)?;
        let first = Recorded { store, ..start };
        file.write_zeros(0, SLOT_BYTES.saturating_mul(2))?;
        file.write(0, &first.encode())?;
        file.write(SLOT_BYTES, &Recorded { generation: 1, ..first }.encode())?;
        file.sync()
    }

    /// Reads it; also says which slot is damaged, if one is.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, store: u64) -> Result<(Self, Option<String>)> {
        let file = Handle::open(disk, path, OpenMode::Write)?;
        let mut slots = Vec::new();
        let mut damage = None;
        for offset in [0, SLOT_BYTES] {
            match Recorded::decode(&file.read(offset, RECORD_BYTES)?) {
                Ok(recorded) if recorded.store == store => slots.push(recorded),
                Ok(_) => damage = Some((offset, "it belongs to another store")),
                Err(why) => damage = Some((offset, why)),
            }
        }
        let newest = slots.into_iter().max_by_key(|recorded| recorded.generation);
        let (offset, why) = damage.unwrap_or_default();
        let Some(newest) = newest else { return Err(StoreError::corrupt(path, offset, why)) };
        let note = damage.map(|_| {
            format!("{} was damaged at byte {offset} ({why}); its twin was used", path.display())
        });
        Ok((Self { file, now: Mutex::new(newest) }, note))
    }

    /// What is recorded.
    pub(crate) fn read(&self) -> Recorded {
        *self.lock()
    }

    /// Changes what is recorded; it is on the disk when this returns.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Recorded)) -> Result<()> {
        let mut now = self.lock();
        let mut next = *now;
        change(&mut next);
        next.generation = now.generation.saturating_add(1);
        let slot = if next.generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.file.write(slot, &next.encode())?;
        self.file.sync()?;
        *now = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.put_u64_le(MAGIC);
        for number in [self.generation, self.store, self.durable, self.newest, self.oldest] {
            bytes.put_u64_le(number);
        }
        bytes.put_u64_le(self.applied);
        bytes.put_u64_le(self.snapshot);
        bytes.put_u8(u8::from(self.is_closed));
        bytes.put_u8(u8::from(self.is_image_bad));
        bytes.resize(RECORD_BYTES.saturating_sub(4), 0);
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, &'static str> {
        let Some((mut body, mut sum)) = bytes.split_last_chunk::<4>().map(|(b, s)| (b, &s[..]))
        else {
            return Err("it is cut short");
        };
        if bytes.len() < RECORD_BYTES {
            return Err("it is cut short");
        }
        if crc32c::crc32c(body) != sum.get_u32_le() {
            return Err("its checksum is wrong");
        }
        if body.get_u64_le() != MAGIC {
            return Err("it is not a marker");
        }
        Ok(Self {
            generation: body.get_u64_le(),
            store: body.get_u64_le(),
            durable: body.get_u64_le(),
            newest: body.get_u64_le(),
            oldest: body.get_u64_le(),
            applied: body.get_u64_le(),
            snapshot: body.get_u64_le(),
            is_closed: body.get_u8() != 0,
            is_image_bad: body.get_u8() != 0,
        })
    }
}
