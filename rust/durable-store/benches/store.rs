//! What the store costs: a batch encoded, made durable on a real folder, made readable, read.
//!
//! The folder is `BENCH_FOLDER`, or `target/bench-store`: never a tmpfs, where a sync measures nothing.
#![expect(clippy::disallowed_methods, reason = "a benchmark takes its folder away")]

use std::env;
use std::path::PathBuf;

use bytes::Bytes;
use divan::counter::ItemsCount;
use durable_store::{Change, ImageKind, Opened, Options, Seq, Store, batch};

const RECORD_BYTES: usize = 200;

fn main() {
    divan::main();
}

/// So many new records of 200 bytes, whose keys rise from batch to batch as those of runs do.
fn changes(seq: Seq, count: usize) -> Vec<Change> {
    let value = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let change = |n: usize| {
        let key = Bytes::from(format!("r{seq:012}{n:06}"));
        Change { key, value: Some(value.clone()), is_new: true }
    };
    (0..count).map(change).collect()
}

fn folder(name: &str) -> PathBuf {
    let root = env::var_os("BENCH_FOLDER").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-store"),
        PathBuf::from,
    );
    root.join(format!("{name}-{}", std::process::id()))
}

fn open(name: &str) -> Opened {
    let options = Options::folder(folder(name), ImageKind::Memory);
    match Store::open(options) {
        Ok(opened) => opened,
        Err(error) => unreachable!("a new store opens: {error}"),
    }
}

#[divan::bench(args = [1, 100, 1_000])]
fn batch_encoded(bencher: divan::Bencher<'_, '_>, count: usize) {
    let changes = changes(1, count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| batch::encode(&changes));
}

#[divan::bench(args = [1, 100, 1_000])]
fn batch_decoded(bencher: divan::Bencher<'_, '_>, count: usize) {
    let encoded = batch::encode(&changes(1, count));
    bencher.counter(ItemsCount::new(count)).bench_local(|| batch::decode(&encoded));
}

/// One group commit: written and synced.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 200, sample_size = 1)]
fn batch_made_durable(bencher: divan::Bencher<'_, '_>, count: usize) {
    let mut opened = open("log");
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| batch::encode(&changes(1, count)))
        .bench_local_values(|encoded| {
            let next = opened.log.next_seq();
            opened.log.append(&[(next, encoded)])
        });
    drop(opened);
    std::fs::remove_dir_all(folder("log")).unwrap_or_default();
}

#[divan::bench(args = [1, 100, 1_000], sample_count = 100, sample_size = 1)]
fn batch_made_readable(bencher: divan::Bencher<'_, '_>, count: usize) {
    let opened = Store::open(Options::memory()).unwrap_or_else(|error| unreachable!("{error}"));
    let mut seq = opened.view.staged();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| {
            seq = seq.saturating_add(1);
            (seq, changes(seq, count))
        })
        .bench_local_values(|(seq, changes)| opened.view.stage(seq, &changes));
}

/// A record among so many that are not yet in the image.
#[divan::bench(args = [1_000, 100_000])]
fn record_read(bencher: divan::Bencher<'_, '_>, count: usize) {
    let opened = Store::open(Options::memory()).unwrap_or_else(|error| unreachable!("{error}"));
    let seq = opened.view.staged().saturating_add(1);
    let all = changes(seq, count);
    let staged = opened.view.stage(seq, &all);
    assert!(staged.is_ok(), "{staged:?}");
    let mut keys = all.iter().map(|change| &change.key).cycle();
    bencher.bench_local(|| keys.next().map(|key| opened.view.get(key)));
}
