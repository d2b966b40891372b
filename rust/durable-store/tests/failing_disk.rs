//! Calls fail, the disk is full, somebody else is there: the error says so, and nothing acknowledged is lost.

use std::sync::Arc;

use bytes::Bytes;
use durable_store::conformance::{Accident, Verdict, World};
use durable_store::disk::{Disk, OpenMode};
use durable_store::fault::{Failure, FaultDisk, Plan};
use durable_store::{
    Change, ImageKind, KeyRange, Opened, Options, Result, Store, StoreError, backup, batch, check,
    restore,
};

fn options(disk: &FaultDisk) -> Options {
    Options {
        segment_bytes: 16 << 10,
        grow_bytes: 4 << 10,
        snapshot_bytes: 16 << 10,
        reserve_bytes: 0,
        ..Options::on(Arc::new(disk.clone()), "/store", ImageKind::Memory)
    }
}

fn append(opened: &mut Opened) -> Result<()> {
    let seq = opened.log.next_seq();
    let key = Bytes::from(format!("key-{seq:05}"));
    let changes = [Change { key, value: Some(Bytes::from(vec![1; 400])), is_new: true }];
    opened.log.append(&[(seq, batch::encode(&changes))])?;
    opened.view.stage(seq, &changes)
}

fn keys(opened: &Opened) -> Result<usize> {
    Ok(opened.view.scan(KeyRange::all()).collect::<Result<Vec<_>>>()?.len())
}

/// Short lives, at each of their calls in turn a failure, then the power goes; and once more within recovery.
#[test]
fn a_failure_at_any_call_loses_nothing() -> Verdict {
    let mut failures = 0;
    for seed in 0..20 {
        for at in 0.. {
            let mut world = World::new(seed, ImageKind::Memory);
            world.disk.fail(Some(Plan { at, failure: Failure::InputOutput, persists: true }));
            let calls = drive(&mut world)?;
            world.end(Accident::PowerCut);
            let in_recovery = Plan { at: at % 23, failure: Failure::InputOutput, persists: true };
            world.disk.fail(Some(in_recovery));
            drop(Store::open(world.options()));
            world.end(if at % 2 == 0 { Accident::PowerCut } else { Accident::Kill });
            world.verify().map_err(|why| format!("seed {seed}, failure at call {at}: {why}"))?;
            failures += 1;
            if at > calls {
                break;
            }
        }
    }
    assert!(failures > 1500, "{failures} failures prove little");
    Ok(())
}

/// A failure at any call, the process is killed and lives on well, then the power goes: nothing that the
/// second life built upon was there in memory only.
#[test]
fn a_failure_at_any_call_leaves_nothing_half_kept() -> Verdict {
    for seed in 20..30 {
        for at in 0.. {
            let mut world = World::new(seed, ImageKind::Memory);
            world.disk.fail(Some(Plan { at, failure: Failure::InputOutput, persists: false }));
            let calls = drive(&mut world)?;
            world.end(Accident::Kill);
            let described = |why| format!("seed {seed}, failure at call {at}: {why}");
            let opened =
                Store::open(world.options()).map_err(|error| described(error.to_string()))?;
            world.work(opened).map_err(described)?;
            world.end(Accident::PowerCut);
            world.verify().map_err(described)?;
            if at > calls {
                break;
            }
        }
    }
    Ok(())
}

/// Lives on until something fails; how many calls that took.
fn drive(world: &mut World) -> std::result::Result<u64, String> {
    if let Ok(opened) = Store::open(world.options()) {
        world.work(opened)?;
    }
    Ok(world.disk.calls())
}

/// A full disk is a kind of its own; the store opens, reads and, with room again, goes on.
#[test]
fn a_full_disk_stops_the_log_and_nothing_else() {
    let disk = FaultDisk::new(5);
    let mut opened = Store::open(options(&disk)).unwrap();
    disk.limit(Some(60 << 10));
    let mut acknowledged = 0;
    let error = loop {
        match append(&mut opened) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(acknowledged > 20);
    let again = append(&mut opened).unwrap_err();
    assert!(matches!(again, StoreError::Poisoned { .. }) && again.is_full(), "{again}");
    assert_eq!(keys(&opened).unwrap(), acknowledged, "reading goes on");
    drop(opened);
    let opened = Store::open(options(&disk)).unwrap();
    assert_eq!(keys(&opened).unwrap(), acknowledged, "a full disk can be opened and read");
    drop(opened);
    disk.limit(None);
    let mut opened = Store::open(options(&disk)).unwrap();
    append(&mut opened).unwrap();
    assert_eq!(keys(&opened).unwrap(), acknowledged + 1);
}

/// The reserve is given up where the disk is nearly full, and taken back where it is not.
#[test]
fn the_reserve_comes_and_goes_with_the_room_on_the_disk() {
    let disk = FaultDisk::new(5);
    let options = || Options { reserve_bytes: 32 << 10, ..options(&disk) };
    let reserve = std::path::Path::new("/store/reserve");
    drop(Store::open(options()).unwrap());
    assert!(disk.exists(reserve).unwrap());
    let used = disk.files().iter().map(|(_, length)| length).sum::<u64>();
    disk.limit(Some(used));
    let opened = Store::open(options()).unwrap();
    assert!(!disk.exists(reserve).unwrap());
    assert!(opened.report.notes[0].contains("reserve"), "{:?}", opened.report);
    drop(opened);
    disk.limit(None);
    drop(Store::open(options()).unwrap());
    assert!(disk.exists(reserve).unwrap());
}

/// A sync that failed is not tried again: the second answer is the first failure, without a call.
#[test]
fn a_failed_sync_is_final() {
    let disk = FaultDisk::new(5);
    let mut opened = Store::open(options(&disk)).unwrap();
    append(&mut opened).unwrap();
    // the next append is a write and a sync
    let at = disk.calls() + 1;
    disk.fail(Some(Plan { at, failure: Failure::InputOutput, persists: false }));
    let error = append(&mut opened).unwrap_err();
    assert!(matches!(error, StoreError::Io { call: "fdatasync", .. }), "{error:?}");
    let calls = disk.calls();
    for _ in 0..3 {
        assert!(matches!(append(&mut opened), Err(StoreError::Poisoned { .. })));
        assert!(matches!(opened.log.sync(), Err(StoreError::Poisoned { .. })));
        assert!(matches!(opened.log.close(), Err(StoreError::Poisoned { .. })));
    }
    assert_eq!(disk.calls(), calls);
}

/// An append is one write and one sync.
#[test]
fn a_group_costs_one_write_and_one_sync() {
    let disk = FaultDisk::healthy();
    let roomy = Options { segment_bytes: 1 << 20, grow_bytes: 1 << 19, ..options(&disk) };
    let mut opened = Store::open(roomy).unwrap();
    let group = |from: u64| {
        let seqs = from..from + 1000;
        seqs.map(|seq| (seq, Bytes::from_static(b"a small turn"))).collect::<Vec<_>>()
    };
    opened.log.append(&group(1)).unwrap(); // makes room in the file
    let calls = disk.calls();
    opened.log.append(&group(1001)).unwrap();
    assert_eq!(disk.calls() - calls, 2);
}

/// A commit does not wait for a file to be made longer where a spare one is ready.
#[test]
fn a_busy_log_goes_on_in_the_spare_file() {
    let disk = FaultDisk::healthy();
    let roomy = Options { segment_bytes: 256 << 10, ..options(&disk) };
    let mut opened = Store::open(roomy).unwrap();
    (0..20).for_each(|_| append(&mut opened).unwrap());
    opened.checkpointer.spares().prepare().unwrap();
    let mut calls = Vec::new();
    for _ in 0..200 {
        let before = disk.calls();
        append(&mut opened).unwrap();
        calls.push(disk.calls() - before);
    }
    let dear = calls.iter().filter(|calls| **calls != 2).count();
    assert_eq!(
        dear, 1,
        "only the change of files costs more than one write and one sync: {calls:?}"
    );
}

/// Who holds the store is in the error of the one who comes second.
#[test]
fn a_second_opener_is_told_who_is_there() {
    let disk = FaultDisk::new(5);
    let first = Options { holder: "since 09:41".to_owned(), ..options(&disk) };
    let opened = Store::open(first).unwrap();
    let error = Store::open(options(&disk)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Locked { .. }), "{text}");
    assert!(text.contains(&std::process::id().to_string()) && text.contains("09:41"), "{text}");
    assert!(matches!(check(options(&disk)), Err(StoreError::Locked { .. })));
    let Opened { log, view, checkpointer, .. } = opened;
    drop((log, checkpointer));
    assert!(Store::open(options(&disk)).is_err(), "a reader is still there");
    drop(view);
    Store::open(options(&disk)).unwrap();
}

/// The format's number is looked at before anything else.
#[test]
fn a_newer_store_is_refused() {
    let disk = FaultDisk::new(5);
    drop(Store::open(options(&disk)).unwrap());
    let format = disk.open(std::path::Path::new("/store/format"), OpenMode::Truncate).unwrap();
    format.write_at(0, b"durable store\nformat 9\nwhatever a newer one says").unwrap();
    let error = Store::open(options(&disk)).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, known: 1, .. }), "{error}");
}

/// A backup, taken of an open store or a closed one, becomes a store with the same records.
#[test]
fn a_backup_becomes_a_store_with_the_same_records() {
    let disk = FaultDisk::new(5);
    let mut opened = Store::open(options(&disk)).unwrap();
    for _ in 0..30 {
        append(&mut opened).unwrap();
    }
    opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
    append(&mut opened).unwrap();
    let state = opened.view.scan(KeyRange::all()).collect::<Result<Vec<_>>>().unwrap();
    let live = std::path::Path::new("/live.backup");
    assert_eq!(opened.checkpointer.backup(live).unwrap(), 30, "what is in the image");
    opened.log.close().unwrap();
    drop(opened);
    let cold = std::path::Path::new("/cold.backup");
    assert_eq!(backup(options(&disk), cold).unwrap(), 31, "all of it");

    let other = || Options { folder: "/other".into(), ..options(&disk) };
    assert_eq!(restore(cold, other()).unwrap(), 31);
    let mut opened = Store::open(other()).unwrap();
    assert_eq!(opened.view.scan(KeyRange::all()).collect::<Result<Vec<_>>>().unwrap(), state);
    append(&mut opened).unwrap();
    assert_eq!(keys(&opened).unwrap(), 32);
    opened.log.close().unwrap();
    drop(opened);
    assert_eq!(check(other()).unwrap().faults, Vec::<String>::new());
    assert!(
        matches!(restore(cold, other()), Err(StoreError::Refused { .. })),
        "it is there already"
    );

    disk.flip(live, 5000, 3).unwrap();
    let third = Options { folder: "/third".into(), ..options(&disk) };
    assert!(matches!(restore(live, third), Err(StoreError::Corrupt { .. })));
}

/// What is logged is trimmed, and only up to a snapshot.
#[test]
fn the_log_does_not_grow_for_ever() {
    let disk = FaultDisk::healthy();
    let mut opened = Store::open(options(&disk)).unwrap();
    let mut largest = 0;
    for turn in 0..2000_u64 {
        let seq = opened.log.next_seq();
        let key = Bytes::from(format!("key-{}", turn % 10));
        let changes = [Change { key, value: Some(Bytes::from(vec![1; 400])), is_new: false }];
        opened.log.append(&[(seq, batch::encode(&changes))]).unwrap();
        opened.view.stage(seq, &changes).unwrap();
        if turn % 10 == 9 {
            opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
        }
        largest = largest.max(disk.files().iter().map(|(_, length)| length).sum::<u64>());
    }
    assert!(largest < 150 << 10, "{largest} bytes for ten records");
    drop(opened);
    let opened = Store::open(options(&disk)).unwrap();
    assert_eq!(keys(&opened).unwrap(), 10);
    assert!(opened.report.replayed < 100, "the rest is in the snapshot: {:?}", opened.report);
}
