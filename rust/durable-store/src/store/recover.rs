//! Putting a store together again: the log's end, an image that can be trusted, what it lacks.

use std::sync::Arc;

use super::home::Home;
use super::{ImageKind, OpenReport, Opened, Options};
use crate::checkpoint::{remove_other_snapshots, snapshot_path};
use crate::image::{MemoryImage, RedbImage, SledImage};
use crate::log::{FileLog, Layout};
use crate::marker::Recorded;
use crate::poison::Poison;
use crate::snapshot::{self, Reader};
use crate::{Checkpointer, Image, Log, Result, Seq, StoreError, View, batch};

/// Opens a store.
pub(super) fn recover(options: &Options) -> Result<Opened> {
    let mut home = Home::enter(options)?;
    home.keep_reserve(options.reserve_bytes)?;
    let recorded = home.marker.read();
    let log = open_log(options, &home)?;
    let (image, rebuilt) = open_image(options, &mut home, &log, &recorded)?;
    let (last_snapshot_bytes, is_snapshot_missing) = inspect_snapshot(&mut home, &log)?;
    let view = Arc::new(View::new(image, Arc::clone(&home.marker), Arc::clone(&home.lock)));
    let checkpointer = Checkpointer {
        disk: Arc::clone(&home.disk),
        view: Arc::clone(&view),
        shelf: log.shelf(),
        marker: Arc::clone(&home.marker),
        snapshots: home.snapshots(),
        snapshot_bytes: options.snapshot_bytes,
        last_snapshot_bytes,
        is_snapshot_missing,
        poison: Poison::default(),
    };
    let replayed = replay(options, &log, &view, &checkpointer)?;
    let report = OpenReport {
        created: home.is_new,
        closed_well: recorded.is_closed,
        replayed,
        cut_bytes: log.cut_bytes,
        rebuilt,
        notes: home.notes,
    };
    Ok(Opened { log: Box::new(log), view, checkpointer, report })
}

fn open_log(options: &Options, home: &Home) -> Result<FileLog> {
    let layout = Layout { segment_bytes: options.segment_bytes, grow_bytes: options.grow_bytes };
    FileLog::open(
        Arc::clone(&home.disk),
        &home.log_folder(),
        Arc::clone(&home.marker),
        layout,
        Arc::clone(&home.lock),
    )
}

/// The image where it can be trusted; else a new one out of the snapshot, and why.
fn open_image(
    options: &Options,
    home: &mut Home,
    log: &FileLog,
    recorded: &Recorded,
) -> Result<(Arc<dyn Image>, Option<String>)> {
    for other in [ImageKind::Sled, ImageKind::Redb] {
        if other != options.image {
            home.remove_image(other)?;
        }
    }
    let opened = match engine(options, home) {
        Err(StoreError::Full { .. }) => {
            home.give_up_reserve()?;
            engine(options, home)
        }
        other => other,
    };
    let why = match opened {
        Err(error @ (StoreError::Full { .. } | StoreError::Refused { .. })) => return Err(error),
        Err(error) => error.to_string(),
        Ok(image) => match distrust(&*image, log, recorded)? {
            None => return Ok((image, None)),
            Some(why) => why,
        },
    };
    let image = rebuild(options, home, log, recorded).map_err(|mut error| {
        if let StoreError::Corrupt { why: also, .. } = &mut error {
            *also = format!("{also}; it was needed because the image is unusable ({why})");
        }
        error
    })?;
    let is_expected = home.is_new || options.image == ImageKind::Memory;
    Ok((image, (!is_expected).then_some(why)))
}

/// Why an image that opened is not to be used.
fn distrust(image: &dyn Image, log: &FileLog, recorded: &Recorded) -> Result<Option<String>> {
    let applied = image.applied();
    let last = log.next_seq().saturating_sub(1);
    if recorded.is_image_bad {
        return Ok(Some("it returned damaged records".to_owned()));
    }
    if applied < recorded.applied {
        let once = recorded.applied;
        return Ok(Some(format!("it ends at batch {applied}, and once held batch {once}")));
    }
    if applied.saturating_add(1) < log.first() {
        let first = log.first();
        return Ok(Some(format!("it ends at batch {applied}, and the log begins with {first}")));
    }
    if applied > last {
        // only what is durable in the log is ever applied: the log is the one that lacks something
        let why = format!("the log ends at batch {last}, though the image holds batch {applied}");
        return Err(StoreError::corrupt(log.shelf().folder(), 0, why));
    }
    Ok(None)
}

/// Makes the image again out of the last snapshot.
fn rebuild(
    options: &Options,
    home: &Home,
    log: &FileLog,
    recorded: &Recorded,
) -> Result<Arc<dyn Image>> {
    let base = base_for_rebuild(home, log, recorded)?;
    home.remove_image(options.image)?;
    let image = engine(options, home)?;
    if base > 0 {
        let path = snapshot_path(&home.snapshots(), base);
        let mut reader = Reader::open(&*home.disk, &path)?;
        let mut changes = (&mut reader).map(|item| item.map(|(key, value)| (key, Some(value))));
        image.apply(base, &mut changes)?;
    }
    home.marker.update(|recorded| {
        recorded.applied = base;
        recorded.is_image_bad = false;
    })?;
    Ok(image)
}

/// The state to begin with: the last snapshot, once all of it has been verified; or nothing at all, where
/// the log still begins with the first batch.
fn base_for_rebuild(home: &Home, log: &FileLog, recorded: &Recorded) -> Result<Seq> {
    if recorded.snapshot == 0 {
        if log.first() > 1 {
            let why =
                format!("the log begins with batch {}, and there is no snapshot", log.first());
            return Err(StoreError::corrupt(&home.snapshots(), 0, why));
        }
        return Ok(0);
    }
    let path = snapshot_path(&home.snapshots(), recorded.snapshot);
    let verified = snapshot::verify(&*home.disk, &path).and_then(|summary| {
        if (summary.store, summary.seq) == (home.store, recorded.snapshot) {
            Ok(recorded.snapshot)
        } else {
            Err(StoreError::corrupt(&path, 0, "it is not the snapshot that was recorded"))
        }
    });
    match verified {
        Err(_) if log.first() == 1 => Ok(0),
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(StoreError::corrupt(&path, 0, "this snapshot is missing"))
        }
        other => other,
    }
}

pub(super) fn engine(options: &Options, home: &Home) -> Result<Arc<dyn Image>> {
    let path = home.image_path(options.image);
    Ok(match options.image {
        ImageKind::Sled => {
            Arc::new(SledImage::open(&home.disk, &path, home.store, options.page_bytes)?)
        }
        ImageKind::Redb => {
            Arc::new(RedbImage::open(&home.disk, &path, home.store, options.page_bytes)?)
        }
        ImageKind::Memory => Arc::new(MemoryImage::new()),
    })
}

/// The last snapshot's length, and whether it is lost; others are removed.
fn inspect_snapshot(home: &mut Home, log: &FileLog) -> Result<(u64, bool)> {
    let seq = home.marker.read().snapshot;
    remove_other_snapshots(&*home.disk, &home.snapshots(), seq)?;
    if seq == 0 {
        return Ok((0, log.first() > 1));
    }
    match Reader::open(&*home.disk, &snapshot_path(&home.snapshots(), seq)) {
        Ok(reader) => Ok((reader.summary.file_bytes, false)),
        Err(error) => {
            home.notes
                .push(format!("the last snapshot is unusable, a new one will be taken: {error}"));
            Ok((0, true))
        }
    }
}

/// Makes readable what is in the log and not in the image. How many batches it was.
fn replay(
    options: &Options,
    log: &FileLog,
    view: &View,
    checkpointer: &Checkpointer,
) -> Result<u64> {
    let mut count: u64 = 0;
    for batch in log.replay(view.staged().saturating_add(1))? {
        let (seq, batch) = batch?;
        let changes = batch::decode(&batch).map_err(|error| {
            StoreError::corrupt(log.shelf().folder(), 0, format!("batch {seq}: {error}"))
        })?;
        view.stage_again(seq, &changes)?;
        count = count.saturating_add(1);
        if view.staged_bytes() >= options.checkpoint_bytes {
            let frozen = view.freeze();
            frozen.map(|frozen| checkpointer.apply(&frozen)).transpose()?;
        }
    }
    Ok(count)
}
