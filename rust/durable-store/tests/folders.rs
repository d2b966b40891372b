//! What a folder may hold that becomes a store.

use std::io;
use std::path::Path;
use std::sync::Arc;

use durable_store::disk::{Disk, OpenMode};
use durable_store::fault::FaultDisk;
use durable_store::{ImageKind, Options, Store, StoreError, backup, restore};

fn options(disk: &FaultDisk) -> Options {
    Options {
        segment_bytes: 64 << 10,
        reserve_bytes: 0,
        ..Options::on(Arc::new(disk.clone()), "/store", ImageKind::Memory)
    }
}

fn put(disk: &FaultDisk, names: &[&str]) -> io::Result<()> {
    disk.create_dir(Path::new("/store"))?;
    for name in names {
        let file = disk.open(&Path::new("/store").join(name), OpenMode::Create)?;
        file.write_at(0, b"mine")?;
    }
    Ok(())
}

/// Nothing is made in it, and nothing in it is touched.
#[test]
fn a_folder_with_other_files_is_not_made_a_store() {
    let disk = FaultDisk::new(1);
    let names = ["b.py", "a.txt", "c", "d", "e"];
    put(&disk, &names).unwrap();
    let error = Store::open(options(&disk)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Refused { .. }), "{text}");
    assert!(text.starts_with("/store holds other files (a.txt, b.py, c and 2 more)"), "{text}");
    assert!(text.ends_with("/store/store"), "{text}");
    let mut left = names;
    left.sort_unstable();
    assert_eq!(disk.list(Path::new("/store")).unwrap(), left);
}

/// What systems leave in every folder, and what a process leaves that dies while it makes the store.
#[test]
fn a_folder_with_nothing_of_anybodys_becomes_a_store() {
    let disk = FaultDisk::new(1);
    put(&disk, &[".gitignore", ".DS_Store", "lost+found", "lock", "format.draft", "owner.sock"])
        .unwrap();
    assert!(Store::open(options(&disk)).unwrap().report.created);
}

/// It was taken for a store before: it goes on being one.
#[test]
fn a_store_with_other_files_beside_it_is_opened() {
    let disk = FaultDisk::new(1);
    drop(Store::open(options(&disk)).unwrap());
    put(&disk, &["notes.txt"]).unwrap();
    assert!(!Store::open(options(&disk)).unwrap().report.created);
}

#[test]
fn a_backup_is_not_restored_among_other_files() {
    let disk = FaultDisk::new(1);
    let first = || Options { folder: "/first".into(), ..options(&disk) };
    drop(Store::open(first()).unwrap());
    let saved = Path::new("/saved.backup");
    backup(first(), saved).unwrap();
    put(&disk, &["notes.txt"]).unwrap();
    let error = restore(saved, options(&disk)).unwrap_err();
    assert!(error.to_string().contains("holds other files (notes.txt)"), "{error}");
    assert_eq!(disk.list(Path::new("/store")).unwrap(), ["notes.txt"]);
}
