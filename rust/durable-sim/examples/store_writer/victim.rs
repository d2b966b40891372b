//! The stores that can be put to the test: ours, and plain sled and redb as controls.

use std::error::Error;
use std::path::Path;

use crate::model::{Change, State};
use crate::ours::Ours;

/// Whatever went wrong, to be printed.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A store that keeps batches.
pub(crate) trait Victim {
    /// Makes the batches durable; they may be acknowledged when this returns.
    fn append(&mut self, batches: Vec<Vec<Change>>) -> Result<(), Failure>;
    /// All records.
    fn dump(&self) -> Result<State, Failure>;
    /// Ends in order.
    fn close(self: Box<Self>) -> Result<(), Failure> {
        drop(self);
        Ok(())
    }
}

/// Opens the store of that kind in the folder, making it where there is none.
pub(crate) fn open(kind: &str, folder: &Path) -> Result<Box<dyn Victim>, Failure> {
    if let Some(image) = kind.strip_prefix("durable:") {
        return Ok(Box::new(Ours::open(image, folder)?));
    }
    match kind {
        "sled" => Ok(Box::new(PlainSled::open(folder)?)),
        "redb" => Ok(Box::new(PlainRedb::open(folder)?)),
        other => Err(format!("no such store: {other}").into()),
    }
}

/// sled as it is: `flush()` is believed.
struct PlainSled(sled::Db);

impl PlainSled {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let config = sled::Config::new().path(folder.join("plain")).cache_capacity(64 << 20);
        Ok(Self(config.open()?))
    }
}

impl Victim for PlainSled {
    fn append(&mut self, batches: Vec<Vec<Change>>) -> Result<(), Failure> {
        let mut together = sled::Batch::default();
        for (key, value) in batches.into_iter().flatten() {
            match value {
                Some(value) => together.insert(key, value),
                None => together.remove(key),
            }
        }
        self.0.apply_batch(together)?;
        self.0.flush()?;
        Ok(())
    }

    fn dump(&self) -> Result<State, Failure> {
        self.0
            .iter()
            .map(|pair| Ok(pair.map(|(key, value)| (key.to_vec(), value.to_vec()))?))
            .collect()
    }
}

/// redb as it is, with the durability it has by default.
struct PlainRedb(redb::Database);

const RECORDS: redb::TableDefinition<'static, &[u8], &[u8]> = redb::TableDefinition::new("records");

impl PlainRedb {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let database = redb::Database::create(folder.join("plain.redb"))?;
        let turn = database.begin_write()?;
        drop(turn.open_table(RECORDS)?);
        turn.commit()?;
        Ok(Self(database))
    }
}

impl Victim for PlainRedb {
    fn append(&mut self, batches: Vec<Vec<Change>>) -> Result<(), Failure> {
        let turn = self.0.begin_write()?;
        let mut table = turn.open_table(RECORDS)?;
        for (key, value) in batches.into_iter().flatten() {
            match value {
                Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                None => drop(table.remove(key.as_slice())?),
            }
        }
        drop(table);
        Ok(turn.commit()?)
    }

    fn dump(&self) -> Result<State, Failure> {
        use redb::{ReadableDatabase, ReadableTable};
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        let pairs = table.iter()?;
        pairs
            .map(
                |pair| Ok(pair.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))?),
            )
            .collect()
    }
}
