//! A turn's writes as changes of the store: an ended run's memos are gathered into its history.

use bytes::Bytes;
use durable_core::{Memo, RunEnd, RunId, Write, write};
use durable_store::{Change, View};
use rustc_hash::FxHashMap;

use crate::error::{Error, Kind, Result};

/// The changes of one turn, in order. `view` has all turns before it.
pub(crate) fn changes(view: &View, writes: Vec<Write>) -> Result<Vec<Change>> {
    let mut changes = Vec::with_capacity(writes.len());
    let mut fresh: FxHashMap<Bytes, Bytes> = FxHashMap::default();
    for write in writes {
        match write {
            Write::Insert { key, value } => {
                if key.first() == Some(&write::MEMO) {
                    fresh.insert(key.clone(), value.clone());
                }
                changes.push(Change { key, value: Some(value), is_new: true });
            }
            Write::Put { key, value } => {
                changes.push(Change { key, value: Some(value), is_new: false });
            }
            Write::Delete { key } => changes.push(Change { key, value: None, is_new: false }),
            Write::Archive { run, end, memo_count } => {
                archive(view, &fresh, (run, *end, memo_count), &mut changes)?;
            }
        }
    }
    Ok(changes)
}

fn archive(
    view: &View,
    fresh: &FxHashMap<Bytes, Bytes>,
    (run, end, memo_count): (RunId, RunEnd, u32),
    changes: &mut Vec<Change>,
) -> Result<()> {
    let mut memos: Vec<Memo> = Vec::new();
    for number in 0..memo_count {
        let key = write::memo_key(run, number);
        let record = match fresh.get(&key) {
            Some(record) => Some(record.clone()),
            None => view.get(&key)?,
        };
        let record = record.ok_or_else(|| {
            let text = format!("run {run} ends, but its memo number {number} is not in the store");
            Error::new(Kind::Corrupt, text)
        })?;
        memos.push(write::decode("a memo", &record)?);
        changes.push(Change { key, value: None, is_new: false });
    }
    let value = Some(write::history(end, memos));
    changes.push(Change { key: write::history_key(run), value, is_new: true });
    changes.push(Change { key: write::run_key(run), value: None, is_new: false });
    Ok(())
}
