//! A store's state out into a file, and a store made of such a file.

use std::path::Path;

use super::home::{Fill, found, has_format, refuse_foreign};
use super::{Options, Store};
use crate::checkpoint::snapshot_path;
use crate::snapshot::{self, Reader};
use crate::{KeyRange, Result, Seq, StoreError};

/// Writes the whole state of a store that nobody has open into one file, which is verified; the last batch
/// in it.
pub fn backup(options: Options, to: &Path) -> Result<Seq> {
    let disk = options.disk.clone();
    if !has_format(&options)? {
        let folder = options.folder.display();
        return Err(StoreError::refused(format!("there is no store in {folder}")));
    }
    let mut opened = Store::open(options)?;
    let seq = opened.view.staged();
    let store = opened.checkpointer.marker.read().store;
    let mut items = opened.view.scan(KeyRange::all());
    snapshot::take(&*disk, to, (store, seq), &mut items)?;
    drop(items);
    opened.log.close()?;
    Ok(seq)
}

/// Makes a store out of a backup, with an id of its own; there must be none in the options' folder. The
/// last batch in it.
#[expect(clippy::needless_pass_by_value, reason = "as the other calls take them")]
pub fn restore(from: &Path, options: Options) -> Result<Seq> {
    let disk = &*options.disk;
    let made = disk.create_dir(&options.folder);
    made.map_err(|error| StoreError::io("mkdir", &options.folder, error))?;
    if has_format(&options)? {
        let folder = options.folder.display();
        return Err(StoreError::refused(format!(
            "there is a store in {folder} already; name another folder, or move it away"
        )));
    }
    refuse_foreign(&options)?;
    let summary = snapshot::verify(disk, from)?;
    let fill = |store: u64, snapshots: &Path| {
        let mut items = Reader::open(disk, from)?;
        let path = snapshot_path(snapshots, summary.seq);
        snapshot::take(disk, &path, (store, summary.seq), &mut items).map(drop)
    };
    let fill: &Fill<'_> = &fill;
    found(&options, summary.seq.saturating_add(1), (summary.seq > 0).then_some(fill))?;
    Ok(summary.seq)
}
