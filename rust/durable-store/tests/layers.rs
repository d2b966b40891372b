//! What is staged, frozen and applied reads as if it were one map.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use durable_store::fault::FaultDisk;
use durable_store::{
    Change, Checkpointer, Frozen, ImageKind, KeyRange, Opened, Options, Store, View, batch,
};
use proptest::prelude::*;

/// What happens to a store.
#[derive(Clone, Debug)]
enum Move {
    Stage(Vec<(u8, Option<u8>)>),
    Freeze,
    Apply,
    Reopen,
    Read(Range<u8>),
}

fn moves() -> impl Strategy<Value = Move> {
    let change = (0_u8..40, prop::option::weighted(0.6, any::<u8>()));
    prop_oneof![
        6 => prop::collection::vec(change, 0..6).prop_map(Move::Stage),
        2 => Just(Move::Freeze),
        2 => Just(Move::Apply),
        1 => Just(Move::Reopen),
        3 => (0_u8..40, 0_u8..40).prop_map(|(from, to)| Move::Read(from..to)),
    ]
}

fn key(number: u8) -> Bytes {
    Bytes::from(format!("k{number:03}"))
}

struct Pair {
    disk: FaultDisk,
    kind: ImageKind,
    opened: Opened,
    frozen: Option<Frozen>,
    model: BTreeMap<Bytes, Bytes>,
}

impl Pair {
    fn new(kind: ImageKind) -> Self {
        let disk = FaultDisk::healthy();
        let opened = open(&disk, kind);
        Self { disk, kind, opened, frozen: None, model: BTreeMap::new() }
    }

    fn make(&mut self, what: Move) {
        match what {
            Move::Stage(changes) => self.stage(changes),
            Move::Freeze => self.frozen = self.frozen.take().or_else(|| self.view().freeze()),
            Move::Apply => {
                if let Some(frozen) = self.frozen.take() {
                    self.checkpointer().run(frozen).unwrap();
                }
            }
            Move::Reopen => {
                self.frozen = None;
                let disk = self.disk.kill();
                self.opened = open(&disk, self.kind);
                self.disk = disk;
            }
            Move::Read(range) => self.read(key(range.start)..key(range.end)),
        }
    }

    fn stage(&mut self, changes: Vec<(u8, Option<u8>)>) {
        let mut staged = Vec::new();
        for (number, value) in changes {
            let key = key(number);
            let is_new = !self.model.contains_key(&key);
            let value = value.map(|value| Bytes::from(vec![value; usize::from(value)]));
            match &value {
                Some(value) => drop(self.model.insert(key.clone(), value.clone())),
                None => drop(self.model.remove(&key)),
            }
            staged.push(Change { key, value, is_new });
        }
        let seq = self.opened.log.next_seq();
        let encoded = batch::encode(&staged);
        assert_eq!(batch::decode(&encoded).unwrap(), staged);
        self.opened.log.append(&[(seq, encoded)]).unwrap();
        self.view().stage(seq, &staged).unwrap();
    }

    fn read(&self, range: Range<Bytes>) {
        let expected = self.model.get(&range.start);
        assert_eq!(self.view().get(&range.start).unwrap().as_ref(), expected);
        let range = KeyRange::from(range);
        let within = self.model.iter().filter(|(key, _)| range.contains(key));
        let within = within.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
        let found = self.view().scan(range).map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(found, within);
    }

    fn view(&self) -> &View {
        &self.opened.view
    }

    fn checkpointer(&mut self) -> &mut Checkpointer {
        &mut self.opened.checkpointer
    }
}

fn open(disk: &FaultDisk, kind: ImageKind) -> Opened {
    let options = Options {
        segment_bytes: 8 << 10,
        grow_bytes: 4 << 10,
        snapshot_bytes: 8 << 10,
        reserve_bytes: 0,
        page_bytes: 1 << 20,
        ..Options::on(Arc::new(disk.clone()), "/store", kind)
    };
    Store::open(options).unwrap()
}

fn play(kind: ImageKind, moves: Vec<Move>) {
    let mut pair = Pair::new(kind);
    for what in moves {
        pair.make(what);
    }
    pair.make(Move::Read(0..40));
    pair.make(Move::Reopen);
    pair.make(Move::Read(0..40));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_over_memory_read_like_one_map(moves in prop::collection::vec(moves(), 1..60)) {
        play(ImageKind::Memory, moves);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_over_redb_read_like_one_map(moves in prop::collection::vec(moves(), 1..60)) {
        play(ImageKind::Redb, moves);
    }
}

/// A key that came and went since the last freeze costs nothing.
#[test]
fn a_new_key_that_goes_again_leaves_no_trace() {
    let opened = open(&FaultDisk::healthy(), ImageKind::Memory);
    let change = |value: Option<Bytes>, is_new| [Change { key: key(1), value, is_new }];
    opened.view.stage(1, &change(Some(Bytes::from_static(b"here")), true)).unwrap();
    assert!(opened.view.staged_bytes() > 0);
    opened.view.stage(2, &change(None, false)).unwrap();
    assert_eq!(opened.view.staged_bytes(), 0);
    assert_eq!(opened.view.get(&key(1)).unwrap(), None);
}

/// A scan that began before a layer went into the image still sees all of it.
#[test]
fn a_scan_survives_layers_that_move_under_it() {
    for kind in [ImageKind::Memory, ImageKind::Redb] {
        let mut opened = open(&FaultDisk::healthy(), kind);
        let put = |number: u64| Change {
            key: Bytes::from(format!("k{number:05}")),
            value: Some(Bytes::from_static(b"value")),
            is_new: true,
        };
        for seq in 1..=3000 {
            let changes = [put(seq)];
            opened.log.append(&[(seq, batch::encode(&changes))]).unwrap();
            opened.view.stage(seq, &changes).unwrap();
            if seq == 1000 {
                opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
            }
        }
        let mut scan = opened.view.scan(KeyRange::all());
        let mut found = (&mut scan).take(10).count();
        opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
        found += (&mut scan).take(1500).count();
        let last = [put(3001)];
        opened.log.append(&[(3001, batch::encode(&last))]).unwrap();
        opened.view.stage(3001, &last).unwrap();
        opened.checkpointer.run(opened.view.freeze().unwrap()).unwrap();
        found += scan.count();
        assert!((3000..=3001).contains(&found), "{found}: what came later may be seen or not");
    }
}

/// Batches and keys against the rules are refused.
#[test]
fn what_is_out_of_order_or_too_long_is_refused() {
    let opened = open(&FaultDisk::healthy(), ImageKind::Memory);
    assert!(opened.view.stage(2, &[]).is_err(), "1 comes first");
    let change = Change { key: Bytes::from(vec![1; 513]), value: None, is_new: false };
    assert!(opened.view.stage(1, &[change]).is_err(), "a key of 513 bytes");
    opened.view.stage(1, &[]).unwrap();
}
