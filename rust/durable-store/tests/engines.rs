//! Every log and every image keeps the same promises.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable_store::conformance::{Verdict, image, log};
use durable_store::disk::{Disk, OpenMode, RealDisk};
use durable_store::fault::FaultDisk;
use durable_store::{
    Image, ImageKind, MemoryImage, MemoryLog, Options, RedbImage, SledImage, Store, StoreError,
};

/// A folder that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("durable-store-{name}-{}", std::process::id()));
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(RealDisk::new().remove_dir(&self.0));
    }
}

fn boxed(image: impl Image + 'static) -> Box<dyn Image> {
    Box::new(image)
}

#[test]
fn a_log_in_memory_keeps_its_promises() -> Verdict {
    log(&|| Ok(Box::new(MemoryLog::new())))
}

#[test]
fn a_log_in_files_keeps_its_promises() -> Verdict {
    log(&|| {
        let disk = Arc::new(FaultDisk::new(1));
        let options = Options::on(disk, "/store", ImageKind::Memory);
        Ok(Store::open(Options { segment_bytes: 16 << 10, grow_bytes: 4096, ..options })?.log)
    })
}

#[test]
fn a_log_in_real_files_keeps_its_promises() -> Verdict {
    let scratch = Scratch::new("log");
    log(&|| Ok(Store::open(Options::folder(&scratch.0, ImageKind::Memory))?.log))
}

/// Room that is only noted down as the file's length would not be there when the disk is full.
#[test]
#[expect(clippy::disallowed_methods, reason = "only the file system knows what a file takes")]
fn the_reserve_takes_its_room_on_a_real_disk() {
    use std::os::unix::fs::MetadataExt;

    let scratch = Scratch::new("reserve");
    let options = Options::folder(&scratch.0, ImageKind::Memory);
    let bytes = options.reserve_bytes;
    drop(Store::open(options).unwrap());
    let reserve = std::fs::metadata(scratch.0.join("reserve")).unwrap();
    assert_eq!(reserve.len(), bytes);
    assert!(reserve.blocks() * 512 >= bytes, "{} blocks", reserve.blocks());
}

#[test]
fn an_image_in_memory_keeps_its_promises() -> Verdict {
    image(&|| Ok(boxed(MemoryImage::new())))
}

#[test]
fn an_image_in_redb_keeps_its_promises() -> Verdict {
    image(&|| {
        let disk: Arc<dyn Disk> = Arc::new(FaultDisk::new(1));
        RedbImage::open(&disk, Path::new("/image"), 1, 1 << 20).map(boxed)
    })
}

#[test]
fn an_image_in_sled_keeps_its_promises() -> Verdict {
    let scratch = Scratch::new("sled");
    image(&|| {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        SledImage::open(&disk, &scratch.0, 1, 1 << 20).map(boxed)
    })
}

/// Both engines remember what they applied, and refuse the image of another store.
#[test]
fn an_image_knows_its_store_and_how_far_it_is() {
    let scratch = Scratch::new("progress");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    disk.create_dir(&scratch.0).unwrap();
    let (sled, redb) = (scratch.0.join("sled"), scratch.0.join("redb"));
    SledImage::open(&disk, &sled, 7, 1 << 20).unwrap().apply(5, &mut std::iter::empty()).unwrap();
    RedbImage::open(&disk, &redb, 7, 1 << 20).unwrap().apply(5, &mut std::iter::empty()).unwrap();
    assert_eq!(SledImage::open(&disk, &sled, 7, 1 << 20).unwrap().applied(), 5);
    assert_eq!(RedbImage::open(&disk, &redb, 7, 1 << 20).unwrap().applied(), 5);
    let other = SledImage::open(&disk, &sled, 8, 1 << 20).map(drop);
    assert!(matches!(other, Err(StoreError::Corrupt { .. })), "{other:?}");
    let other = RedbImage::open(&disk, &redb, 8, 1 << 20).map(drop);
    assert!(matches!(other, Err(StoreError::Corrupt { .. })), "{other:?}");
}

/// An image that is gone, or damaged, is made again, and the report says so.
#[test]
fn a_lost_image_is_made_again_and_said_so() {
    for (kind, name) in [(ImageKind::Sled, "image.sled"), (ImageKind::Redb, "image.redb")] {
        let scratch = Scratch::new(name);
        let options = || Options::folder(&scratch.0, kind);
        let mut opened = Store::open(options()).unwrap();
        for seq in 1..=50 {
            let changes = [durable_store::Change {
                key: format!("key-{seq:02}").into(),
                value: Some(vec![1; 5000].into()),
                is_new: true,
            }];
            opened.view.stage(seq, &changes).unwrap();
            opened.log.append(&[(seq, durable_store::batch::encode(&changes))]).unwrap();
        }
        opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
        drop(opened);
        let disk = RealDisk::new();
        let path = scratch.0.join(name);
        if kind == ImageKind::Sled { disk.remove_dir(&path) } else { disk.remove(&path) }.unwrap();
        let opened = Store::open(options()).unwrap();
        assert!(opened.report.rebuilt.is_some(), "{:?}", opened.report);
        assert_eq!(opened.view.scan(durable_store::KeyRange::all()).count(), 50);
        drop(opened);
        let opened = Store::open(options()).unwrap();
        assert_eq!(opened.report.rebuilt, None, "it is rebuilt once");
    }
}

/// A crash in the middle of a checkpoint leaves records in the image that the log deletes later; replaying
/// must hide them, though their insert says that the key was new.
#[test]
fn what_a_crash_left_in_the_image_does_not_show() {
    for kind in [ImageKind::Sled, ImageKind::Redb] {
        let scratch = Scratch::new(&format!("ghost-{kind:?}"));
        let change = |value| durable_store::Change { key: "ghost".into(), value, is_new: true };
        let mut opened = Store::open(Options::folder(&scratch.0, kind)).unwrap();
        for (seq, value) in [(1, Some("once here".into())), (2, None)] {
            let encoded = durable_store::batch::encode(&[change(value)]);
            opened.log.append(&[(seq, encoded)]).unwrap();
        }
        drop(opened);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        let partly = |image: &dyn Image| {
            let mut changes = std::iter::once(Ok(("ghost".into(), Some("once here".into()))));
            image.apply(0, &mut changes).unwrap();
        };
        let store = id_of(&*disk, &scratch.0);
        match kind {
            ImageKind::Sled => {
                let path = scratch.0.join("image.sled");
                partly(&SledImage::open(&disk, &path, store, 1 << 20).unwrap());
            }
            ImageKind::Redb | ImageKind::Memory => {
                let path = scratch.0.join("image.redb");
                partly(&RedbImage::open(&disk, &path, store, 1 << 20).unwrap());
            }
        }
        let opened = Store::open(Options::folder(&scratch.0, kind)).unwrap();
        assert_eq!(opened.report.rebuilt, None, "the image itself is sound");
        assert_eq!(opened.view.get(b"ghost").unwrap(), None);
        assert_eq!(opened.view.scan(durable_store::KeyRange::all()).count(), 0);
    }
}

/// The store's id, out of its format.
fn id_of(disk: &dyn Disk, folder: &Path) -> u64 {
    let mut text = [0; 100];
    let format = disk.open(&folder.join("format"), OpenMode::Read).unwrap();
    let length = format.read_at(0, &mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let id = text.lines().find_map(|line| line.strip_prefix("id ")).unwrap();
    u64::from_str_radix(id, 16).unwrap()
}

/// A record that an engine loses without a word is missed, before the log is trimmed for its sake; the next
/// open makes the image again.
#[test]
fn a_record_that_redb_loses_is_missed() {
    const RECORDS: redb::TableDefinition<'static, &[u8], &[u8]> =
        redb::TableDefinition::new("records");
    let scratch = Scratch::new("census");
    let options = || Options { snapshot_bytes: 1, ..Options::folder(&scratch.0, ImageKind::Redb) };
    let put = |seq: u64, opened: &mut durable_store::Opened| {
        let key = format!("key-{seq}").into();
        let changes = [durable_store::Change { key, value: Some("here".into()), is_new: true }];
        opened.log.append(&[(seq, durable_store::batch::encode(&changes))]).unwrap();
        opened.view.stage(seq, &changes).unwrap();
    };
    let mut opened = Store::open(options()).unwrap();
    (1..=9).for_each(|seq| put(seq, &mut opened));
    opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
    assert_eq!(opened.checkpointer.verify().unwrap(), 9);
    drop(opened);

    let behind_our_back = redb::Database::open(scratch.0.join("image.redb")).unwrap();
    let writing = behind_our_back.begin_write().unwrap();
    drop(writing.open_table(RECORDS).unwrap().remove(b"key-5".as_slice()).unwrap());
    writing.commit().unwrap();
    drop(behind_our_back);

    let mut opened = Store::open(options()).unwrap();
    put(10, &mut opened);
    let lost = opened.checkpointer.run(opened.view.freeze().unwrap());
    assert!(matches!(lost, Err(StoreError::Corrupt { .. })), "{lost:?}");
    drop(opened);
    let mut opened = Store::open(options()).unwrap();
    assert!(opened.report.rebuilt.is_some(), "{:?}", opened.report);
    assert_eq!(opened.checkpointer.verify().unwrap(), 9);
    assert_eq!(opened.view.scan(durable_store::KeyRange::all()).count(), 10);
}
