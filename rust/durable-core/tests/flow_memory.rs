//! What a key of flow control costs in memory while nothing of it happens, counted by the allocator.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use durable_core::Timestamp;
use durable_core::flow::bench::{Against, Flow};
use durable_core::flow::gcra::Rate;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Counts what the thread holds, as glibc does: a word for itself, in units of 16 bytes, 32 at least.
struct Counting;

const fn cost(layout: Layout) -> usize {
    let size = (layout.size() + 8).next_multiple_of(16);
    if size < 32 { 32 } else { size }
}

// SAFETY: all is handed on to the system's allocator, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(cost(layout)));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(cost(layout)));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn rate() -> Rate {
    Rate::new(10, Duration::from_mins(10), 0)
}

/// A name with a key of 12 bytes behind `head`.
fn name(head: &[u8], key: u32) -> Vec<u8> {
    [head, b"customer", &key.to_be_bytes()].concat()
}

/// Bytes for each of `keys` that stay behind `each`, and what they stay in.
fn bytes_for_each(keys: u32, mut each: impl FnMut(&mut Flow, u32)) -> (usize, Flow) {
    let before = HELD.get();
    let mut flow = Flow::new(7);
    (0..keys).for_each(|key| each(&mut flow, key));
    let held = HELD.get().wrapping_sub(before);
    (held.div_ceil(usize::try_from(keys).unwrap_or(usize::MAX)), flow)
}

/// One run of this key: queued, dispatched, and its code done or asleep.
fn pass(flow: &mut Flow, key: u32, against: Against<'_>) {
    let queue = name(b"a queue's name", key);
    flow.push(&queue, (key, 0), against);
    assert_eq!(flow.pop(NOW), Some(key));
    flow.release(&queue);
}

/// Counted where memory is used best and worst: right before and right after something has grown.
const COUNTS: [u32; 9] = [1_000, 4_097, 6_000, 8_193, 14_337, 100_000, 458_753, 917_505, 1_000_000];

#[test]
fn a_rate_limits_key_costs_at_most_100_bytes_until_it_is_forgotten() {
    for keys in COUNTS {
        let (bytes, mut flow) = bytes_for_each(keys, |flow, key| {
            assert!(flow.try_gate(&name(b"rFUNC", key), rate(), NOW), "it is new");
        });
        println!("{keys} keys of a rate limit: {bytes} bytes each");
        assert!(bytes <= 100, "{bytes} bytes each of {keys}");
        let later = NOW.plus(Duration::from_hours(1));
        while flow.tick(later) > 0 {}
        assert_eq!(flow.queue_and_key_counts(), (0, 0, 0));
    }
}

#[test]
fn a_throttles_key_costs_the_same() {
    for keys in COUNTS {
        let (bytes, flow) = bytes_for_each(keys, |flow, key| {
            let gate = name(b"tFUNC", key);
            pass(flow, key, Against { throttle: Some((&gate, rate())), ..Against::default() });
        });
        println!("{keys} keys of a throttle: {bytes} bytes each");
        assert!(bytes <= 100, "{bytes} bytes each of {keys}");
        let gates = usize::try_from(keys).unwrap();
        assert_eq!(flow.queue_and_key_counts(), (0, 0, gates), "only the gates are left");
    }
}

#[test]
fn a_concurrency_key_of_which_all_runs_sleep_costs_nothing() {
    let (bytes, flow) = bytes_for_each(100_000, |flow, key| {
        let limits = [(&name(b"fFUNCkeynames", key)[..], 3), (&name(b"e", key)[..], 5)];
        pass(flow, key, Against { limits: &limits, ..Against::default() });
    });
    assert_eq!(bytes, 1, "a few places for all of them");
    assert_eq!(flow.queue_and_key_counts(), (0, 0, 0));
}

/// Whole runs hold their slot while they sleep: the queue and the group stay.
#[test]
fn a_key_of_whole_runs_that_sleep_is_kept() {
    let (bytes, flow) = bytes_for_each(100_000, |flow, key| {
        let limit = name(b"RfFUNCkeynames", key);
        pass(flow, key, Against { run_limit: Some((&limit, 3)), ..Against::default() });
    });
    println!("a key of whole runs that sleep: {bytes} bytes");
    assert!(bytes <= 700, "{bytes} bytes");
    assert_eq!(flow.queue_and_key_counts(), (100_000, 100_000, 0));
}
