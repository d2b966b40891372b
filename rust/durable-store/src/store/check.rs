//! Verifying a store from end to end, changing nothing of it.

use std::sync::Arc;

use super::home::Home;
use super::recover::engine;
use super::{ImageKind, Options};
use crate::checkpoint::snapshot_path;
use crate::image::{Image, Items, counted};
use crate::layer::{Layer, overlay};
use crate::log::{inspect, inventory};
use crate::snapshot::{self, Reader};
use crate::{KeyRange, Result, Seq, StoreError, batch};

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Batches in the log.
    pub batches: u64,
    /// The last of them.
    pub last: Seq,
    /// Records in the whole state.
    pub records: u64,
    /// The state that the last snapshot holds; `None`: there is none yet.
    pub snapshot: Option<Seq>,
    /// What is wrong, one sentence each; empty: all is well.
    pub faults: Vec<String>,
}

/// Verifies a store that nobody has open: the log's chain, the snapshot's checksums, and the image record
/// by record against what snapshot and log say.
#[expect(clippy::needless_pass_by_value, reason = "as the other calls take them")]
pub fn check(options: Options) -> Result<CheckReport> {
    let home = Home::visit(&options)?;
    let mut report = CheckReport { faults: home.notes.clone(), ..CheckReport::default() };
    let found = examine(&options, &home, &mut report);
    match found {
        Err(StoreError::Corrupt { file, offset, why }) => {
            report.faults.push(format!("{} is damaged at byte {offset}: {why}", file.display()));
        }
        other => other?,
    }
    Ok(report)
}

fn examine(options: &Options, home: &Home, report: &mut CheckReport) -> Result<()> {
    let recorded = home.marker.read();
    let firsts = inventory(&*home.disk, &home.log_folder(), &recorded)?;
    let from = firsts.first().copied().unwrap_or(1);
    let image = open_image(options, home, report);
    let applied = image.as_ref().map_or(0, |image| image.applied());
    let mut since_snapshot = Layer::default();
    let mut since_image = Layer::default();
    report.last = from.saturating_sub(1);
    for item in inspect(&*home.disk, &home.log_folder(), &recorded)? {
        let (seq, batch) = item?;
        report.batches = report.batches.saturating_add(1);
        report.last = seq;
        for change in batch::decode(&batch)? {
            if seq > recorded.snapshot {
                since_snapshot.stage(&change, false);
            }
            if seq > applied {
                since_image.stage(&change, false);
            }
        }
    }
    let base = open_snapshot(home, report, recorded.snapshot)?;
    if from > recorded.snapshot.saturating_add(1) {
        report.faults.push(format!("batches before {from} are in no snapshot"));
        return Ok(());
    }
    let expected = overlay(base, since_snapshot.iter());
    match image {
        None => report.records = count(expected)?,
        Some(image) if applied < recorded.applied => {
            let once = recorded.applied;
            report.faults.push(format!("the image ends at {applied}, and once held batch {once}"));
            drop(image);
        }
        Some(image) => {
            let actual =
                overlay(counted(image.scan(KeyRange::all()), image.census()), since_image.iter());
            compare(expected, actual, report)?;
        }
    }
    Ok(())
}

fn open_snapshot<'a>(home: &Home, report: &mut CheckReport, seq: Seq) -> Result<Items<'a>> {
    if seq == 0 {
        return Ok(Box::new(std::iter::empty()));
    }
    let path = snapshot_path(&home.snapshots(), seq);
    let summary = snapshot::verify(&*home.disk, &path)?;
    if (summary.store, summary.seq) != (home.store, seq) {
        return Err(StoreError::corrupt(&path, 0, "it is not the snapshot that was recorded"));
    }
    report.snapshot = Some(seq);
    Ok(Box::new(Reader::open(&*home.disk, &path)?))
}

/// The image that is there; a store may have none yet.
fn open_image(options: &Options, home: &Home, report: &mut CheckReport) -> Option<Arc<dyn Image>> {
    let path = home.image_path(options.image);
    if options.image == ImageKind::Memory || !home.disk.exists(&path).unwrap_or(false) {
        return None;
    }
    match engine(options, home) {
        Ok(image) => Some(image),
        Err(error) => {
            report.faults.push(format!("the image does not open: {error}"));
            None
        }
    }
}

fn count(items: impl Iterator<Item = Result<crate::Item>>) -> Result<u64> {
    let mut count: u64 = 0;
    for item in items {
        item?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

fn compare<'a>(
    mut expected: impl Iterator<Item = Result<crate::Item>> + 'a,
    mut actual: impl Iterator<Item = Result<crate::Item>> + 'a,
    report: &mut CheckReport,
) -> Result<()> {
    loop {
        match (expected.next().transpose()?, actual.next().transpose()?) {
            (None, None) => return Ok(()),
            (Some(should), Some(is)) if should == is => {
                report.records = report.records.saturating_add(1);
            }
            (Some((key, _)), _) | (None, Some((key, _))) => {
                report.faults.push(format!(
                    "the image differs from snapshot and log at key {}; it will be made again when \
                     its folder is removed",
                    key.escape_ascii()
                ));
                return Ok(());
            }
        }
    }
}
