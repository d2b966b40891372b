//! The shortest life of a store.

use bytes::Bytes;
use durable_store::{Change, ImageKind, KeyRange, Options, Store, batch};

fn put(key: &str, value: &str) -> Change {
    Change {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        is_new: false,
    }
}

#[test]
fn what_was_appended_is_there_after_each_open() {
    for kind in [ImageKind::Sled, ImageKind::Redb, ImageKind::Memory] {
        let folder =
            std::path::PathBuf::from(format!("/tmp/store-smoke-{kind:?}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut expected = 0;
        for _ in 0..3 {
            let mut opened = Store::open(Options::folder(&folder, kind)).unwrap();
            println!("{:?}", opened.report);
            let found = opened.view.scan(KeyRange::all()).map(Result::unwrap).count();
            assert_eq!(found, expected);
            for _ in 0..10 {
                let seq = opened.log.next_seq();
                let changes = [put(&format!("k{seq}"), "v")];
                opened.log.append(&[(seq, batch::encode(&changes))]).unwrap();
                opened.view.stage(seq, &changes).unwrap();
                expected += 1;
                if seq % 7 == 0 {
                    let frozen = opened.view.freeze().unwrap();
                    opened.checkpointer.run(frozen).unwrap();
                }
            }
            assert_eq!(opened.view.get(b"k3").unwrap().unwrap(), "v");
            opened.log.close().unwrap();
        }
        println!("{:?}", durable_store::check(Options::folder(&folder, kind)).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
