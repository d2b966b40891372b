//! Bytes change on the disk: that is an error that names the place, or it harms nothing.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "offsets into small files, and a test that goes beyond them has failed"
)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use durable_store::conformance::Verdict;
use durable_store::disk::{Disk, OpenMode};
use durable_store::fault::{Chance, FaultDisk};
use durable_store::{
    Change, ImageKind, Item, KeyRange, Opened, Options, Result, Seq, Store, StoreError, batch,
    check,
};

fn options(disk: &FaultDisk, kind: ImageKind) -> Options {
    Options {
        segment_bytes: 10 << 10,
        grow_bytes: 4 << 10,
        snapshot_bytes: 12 << 10,
        reserve_bytes: 0,
        page_bytes: 1 << 20,
        ..Options::on(Arc::new(disk.clone()), "/store", kind)
    }
}

fn append(opened: &mut Opened, chance: &mut Chance) -> Result<()> {
    let seq = opened.log.next_seq();
    // the last batch of all has sectors of nothing but zeros
    let length = if seq.is_multiple_of(17) { 1600 } else { chance.up_to(900) };
    let value = vec![if seq.is_multiple_of(3) { 0 } else { 7 }; length];
    let key = Bytes::from(format!("key-{:02}", seq % 20));
    let value = (!seq.is_multiple_of(5)).then(|| Bytes::from(value));
    let changes = [Change { key, value, is_new: false }];
    opened.view.stage(seq, &changes)?;
    opened.log.append(&[(seq, batch::encode(&changes))])
}

/// A store with a snapshot, several segments, and an end of its own.
fn make(kind: ImageKind, is_closed: bool) -> Result<(FaultDisk, Content)> {
    let disk = FaultDisk::new(1);
    let mut chance = Chance::new(2);
    let mut opened = Store::open(options(&disk, kind))?;
    for turn in 1..=42 {
        append(&mut opened, &mut chance)?;
        if turn % 14 == 0 {
            opened.view.freeze().map(|frozen| opened.checkpointer.run(frozen)).transpose()?;
        }
    }
    for _ in 0..9 {
        append(&mut opened, &mut chance)?;
    }
    let state = content(&opened)?;
    if is_closed {
        opened.log.close()?;
    }
    Ok((disk, state))
}

/// What a store holds: its last batch, and the records.
type Content = (Seq, Vec<Item>);

fn content(opened: &Opened) -> Result<Content> {
    let records = opened.view.scan(KeyRange::all()).collect::<Result<_>>()?;
    Ok((opened.log.next_seq() - 1, records))
}

fn read(disk: &FaultDisk, kind: ImageKind) -> Result<Content> {
    content(&Store::open(options(disk, kind))?)
}

/// Damages a copy in each way that `ways` lists for a file's length; counts what was noticed at once.
fn damage_all(
    (disk, content): &(FaultDisk, Content),
    kind: ImageKind,
    ways: impl Fn(u64) -> Vec<(u64, u64)>,
    damage: impl Fn(&mut Vec<u8>, u64),
) -> std::result::Result<(u64, u64), String> {
    let (mut noticed, mut harmless) = (0, 0);
    for (path, length) in disk.files() {
        if path.ends_with("lock") {
            continue;
        }
        for (at, salt) in ways(length) {
            let copy = disk.copy();
            copy.damage(&path, |bytes| damage(bytes, at.wrapping_add(salt << 48)))
                .map_err(|error| error.to_string())?;
            if copy.same_as(disk) {
                continue;
            }
            match read(&copy, kind) {
                Err(StoreError::Corrupt { .. } | StoreError::Newer { .. }) => noticed += 1,
                Err(other) => return Err(format!("{} at {at}: {other}", path.display())),
                Ok(found) if found == *content => harmless += 1,
                Ok(found) => {
                    return Err(format!(
                        "{} of {length} at {at}: {} batches without a word, not {}",
                        path.display(),
                        found.0,
                        content.0
                    ));
                }
            }
        }
    }
    Ok((noticed, harmless))
}

fn flip(bytes: &mut [u8], at: u64) {
    let bit = at % 8;
    bytes[at as usize] ^= 1 << bit;
}

/// One bit of each byte of each file that was written, and of some that are still empty.
fn flip_each(is_closed: bool, salt: u64) -> Verdict {
    let made = make(ImageKind::Memory, is_closed).map_err(|error| error.to_string())?;
    let each = |length| (0..length).map(|at| (at, 0)).collect();
    let (noticed, _) = damage_all(&made, ImageKind::Memory, each, |bytes, at| {
        let is_looked_at = bytes[at as usize] != 0 || at.is_multiple_of(61);
        if is_looked_at && (salt == 0 || at % 3 == salt) {
            flip(bytes, at);
        }
    })?;
    assert!(noticed > 2_000, "a flip in the log must be noticed");
    Ok(())
}

/// A store that was closed.
#[test]
fn no_flipped_bit_goes_unnoticed_and_does_harm() -> Verdict {
    flip_each(true, 0)
}

/// Where the process died the last append has nothing after it that could prove it.
#[test]
fn no_flipped_bit_goes_unnoticed_after_a_kill() -> Verdict {
    flip_each(false, 1)
}

/// A store that was closed knows how long its files are.
#[test]
fn no_file_is_cut_short_without_an_error() -> Verdict {
    let made = make(ImageKind::Memory, true).map_err(|error| error.to_string())?;
    let some = |length: u64| (0..length).step_by(61).map(|at| (at, 0)).collect();
    damage_all(&made, ImageKind::Memory, some, |bytes, at| bytes.truncate(at as usize))?;
    Ok(())
}

/// Blocks that went to another place, or were never written, are not taken for what they replace.
#[test]
fn no_swapped_or_zeroed_block_goes_unnoticed() -> Verdict {
    let made = make(ImageKind::Memory, true).map_err(|error| error.to_string())?;
    let blocks =
        |length: u64| (0..length / 512).flat_map(|at| [(at, 0), (at, 1), (at, 2)]).collect();
    damage_all(&made, ImageKind::Memory, blocks, |bytes, at| {
        let (block, way) = ((at & 0xffff_ffff) as usize * 512, at >> 48);
        let range = block..(block + 512).min(bytes.len());
        match way {
            0 => bytes[range].fill(0),
            1 if block >= 512 => bytes.copy_within(block - 512..block, range.start),
            _ => bytes[range].reverse(),
        }
    })?;
    Ok(())
}

/// Blocks of 4 KiB that went to another place, in a store that was killed with all of its log's newest frames
/// within one block: nothing but the place itself can tell.
#[test]
fn no_misdirected_block_goes_unnoticed_after_a_kill() -> Verdict {
    let disk = FaultDisk::new(1);
    let mut chance = Chance::new(2);
    let few = || Options { segment_bytes: 1 << 20, ..options(&disk, ImageKind::Memory) };
    let mut opened = Store::open(few()).map_err(|error| error.to_string())?;
    for _ in 0..3 {
        append(&mut opened, &mut chance).map_err(|error| error.to_string())?;
    }
    let content = content(&opened).map_err(|error| error.to_string())?;
    let made = (disk.kill(), content);
    let pairs = |length: u64| {
        let blocks = length / 4096;
        (0..blocks).flat_map(|to| (0..blocks).map(move |from| (to, from))).collect()
    };
    damage_all(&made, ImageKind::Memory, pairs, |bytes, at| {
        let (to, from) = ((at & 0xffff_ffff) as usize * 4096, (at >> 48) as usize * 4096);
        if !bytes[from..from + 4096].iter().all(|byte| *byte == 0) {
            bytes.copy_within(from..from + 4096, to);
        }
    })?;
    Ok(())
}

/// After a kill the frames that begin in the very last sectors can vanish without a trace: here two at
/// most, as a small one and the last share a sector. None before them can.
#[test]
fn no_zeroed_block_takes_more_than_the_last_appends() -> Verdict {
    let made = make(ImageKind::Memory, false).map_err(|error| error.to_string())?;
    let (disk, (last, _)) = &made;
    for (path, length) in disk.files().into_iter().filter(|(path, _)| !path.ends_with("lock")) {
        for block in 0..length / 512 {
            let copy = disk.copy();
            let range = block as usize * 512..block as usize * 512 + 512;
            let zeroed = copy.damage(&path, |bytes| bytes[range.clone()].fill(0));
            zeroed.map_err(|error| error.to_string())?;
            match read(&copy, ImageKind::Memory) {
                Err(StoreError::Corrupt { .. }) => {}
                Err(other) => return Err(other.to_string()),
                Ok(found) if found == made.1 => {}
                Ok((found, _)) if found == last - 1 || found == last - 2 => {}
                Ok((found, _)) => return Err(format!("block {block}: {found} of {last} batches")),
            }
        }
    }
    Ok(())
}

/// An append out of another history of the same store, at the same place and under the same number.
#[test]
fn no_append_of_another_history_is_taken_for_ours() -> Verdict {
    let (disk, _) = make(ImageKind::Memory, true).map_err(|error| error.to_string())?;
    let live_on = |fill: u8| -> Result<Vec<u8>> {
        let branch = disk.copy();
        let mut opened = Store::open(options(&branch, ImageKind::Memory))?;
        for _ in 0..2 {
            let seq = opened.log.next_seq();
            let value = Some(Bytes::from(vec![fill; 100]));
            let changes = [Change { key: Bytes::from_static(b"key"), value, is_new: false }];
            opened.log.append(&[(seq, batch::encode(&changes))])?;
        }
        let newest = branch.files().into_iter().rfind(|(path, _)| path.starts_with("/store/log"));
        let (path, length) = newest.unwrap_or_default();
        let mut bytes = vec![0; length as usize];
        let file = Disk::open(&branch, &path, OpenMode::Read);
        let read = file.and_then(|file| file.read_at(0, &mut bytes));
        read.map_err(|error| StoreError::io("read", &path, error))?;
        opened.log.close()?;
        drop(opened);
        assert_eq!(
            read_branch(&branch, &path, &bytes)?,
            53,
            "the copy is sound before it is mixed"
        );
        Ok(bytes)
    };
    let (ours, theirs) = (live_on(1), live_on(2));
    let (ours, theirs) = (ours.map_err(|e| e.to_string())?, theirs.map_err(|e| e.to_string())?);
    let first_difference = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(0);
    let begins = |at: &usize| ours[*at..].starts_with(b"DFR1");
    let last = (0..ours.len()).step_by(64).rfind(begins).unwrap_or(0);
    assert!(last > first_difference, "two appends differ");
    let mixed = [&ours[..last], &theirs[last..]].concat();
    let newest = disk.files().into_iter().rfind(|(path, _)| path.starts_with("/store/log"));
    let (path, _) = newest.ok_or("there is no log")?;
    match read_branch(&disk.copy(), &path, &mixed) {
        Err(StoreError::Corrupt { .. }) => Ok(()),
        other => Err(format!("an append of another history was taken: {other:?}")),
    }
}

/// The last batch of a store whose newest segment is replaced.
fn read_branch(disk: &FaultDisk, path: &Path, bytes: &[u8]) -> Result<Seq> {
    let replaced = disk.damage(path, |place| *place = bytes.to_vec());
    replaced.map_err(|error| StoreError::io("write", path, error))?;
    Ok(read(disk, ImageKind::Memory)?.0)
}

/// Files that are gone, each one.
#[test]
fn no_file_is_missing_without_an_error() -> Verdict {
    let (disk, state) = make(ImageKind::Memory, true).map_err(|error| error.to_string())?;
    for (path, _) in disk.files() {
        let copy = disk.copy();
        Disk::remove(&copy, &path).map_err(|error| error.to_string())?;
        match read(&copy, ImageKind::Memory) {
            Ok(found) if path.ends_with("lock") => assert_eq!(found, state),
            Ok(_) => return Err(format!("{} is gone, and nobody minds", path.display())),
            Err(StoreError::Corrupt { .. } | StoreError::Io { .. }) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
    Ok(())
}

/// redb itself notices few flipped bits; what we lay over it does, or `check` does.
#[test]
fn no_flipped_bit_of_a_redb_image_gives_other_records() -> Verdict {
    let kind = ImageKind::Redb;
    let made = make(kind, true).map_err(|error| error.to_string())?;
    let (disk, state) = &made;
    let mut chance = Chance::new(3);
    let mut files = disk.files().into_iter();
    let found = files.find(|(path, _)| path.ends_with("image.redb"));
    let (path, length) = found.ok_or("there is no image")?;
    let mut unnoticed = 0;
    for _ in 0..150 {
        let copy = disk.copy();
        let at = chance.up_to(length as usize - 1) as u64;
        copy.flip(&path, at, (at % 8) as u8).map_err(|error| error.to_string())?;
        let found = read(&copy, kind);
        if matches!(&found, Ok(found) if found == state) || found.is_err() {
            continue;
        }
        unnoticed += 1;
        let report = check(options(&copy, kind)).map_err(|error| error.to_string())?;
        assert!(!report.faults.is_empty(), "a flip at {at} gives other records and no fault");
    }
    println!("{unnoticed} of 150 flips in redb's file gave other records at a scan");
    Ok(())
}

/// `check` finds nothing wrong with a store that is well.
#[test]
fn a_sound_store_has_no_faults() -> Verdict {
    for kind in [ImageKind::Memory, ImageKind::Redb] {
        for is_closed in [true, false] {
            let (disk, state) = make(kind, is_closed).map_err(|error| error.to_string())?;
            let report = check(options(&disk, kind)).map_err(|error| error.to_string())?;
            assert_eq!(report.faults, Vec::<String>::new());
            assert_eq!(report.records, state.1.len() as u64);
            assert_eq!(report.last, 51);
            assert!(report.snapshot.is_some(), "the store is made so that it has a snapshot");
        }
    }
    Ok(())
}
