//! What a key of flow control, or a wait for an event, costs in memory while nothing of it happens, counted by the
//! allocator.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use durable_core::flow::bench::{Against, Flow};
use durable_core::flow::gcra::Rate;
use durable_core::write::EVENT;
use durable_core::{
    Command, Effect, FunctionSpec, NewEvent, Op, Record, Report, Settings, Shard, Since, Ticket,
    Timestamp, Turn, Until, Write,
};

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

/// So many runs of one function, each parked on what `op` says, given its event; bytes for each.
#[expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
fn bytes_for_each_run(count: usize, op: impl Fn(Record) -> Op) -> usize {
    let settings = Settings { retention: Duration::from_hours(48), ..Settings::default() };
    let mut shard = Shard::load(settings, NOW, []).unwrap();
    let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "f") };
    let (ticket, app, functions) = (Ticket(0), "app".to_owned(), vec![spec]);
    let mut turn = Turn::default();
    shard.handle(NOW, Command::RegisterFunctions { ticket, app, functions }, &mut turn);
    let functions = vec!["f".to_owned()];
    shard.handle(
        NOW,
        Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity: u32::MAX,
            functions,
        },
        &mut turn,
    );
    shard.dispatch(NOW, &mut turn);
    let before = HELD.get();
    for number in 0..count {
        let data = Bytes::from(format!("{{\"order_id\":\"order-{number:07}\",\"cents\":4200}}"));
        let event = NewEvent { name: "a".to_owned(), data, ..NewEvent::default() };
        let mut turn = Turn::default();
        let events = vec![(event, None)];
        shard.handle(NOW, Command::AcceptEvents { ticket, events, source: None }, &mut turn);
        shard.dispatch(NOW, &mut turn);
        let own = turn.writes.iter().find_map(|write| match write {
            Write::Insert { key, value } if key.first() == Some(&EVENT) => {
                Some((key.clone(), value.clone()))
            }
            Write::Insert { .. }
            | Write::Put { .. }
            | Write::Delete { .. }
            | Write::Archive { .. } => None,
        });
        let run = turn.effects.iter().find_map(|effect| {
            if let Effect::OfferWork(work) = effect { Some((work.run, work.epoch)) } else { None }
        });
        let ((run, epoch), ops) = (run.unwrap(), vec![op(own.unwrap())]);
        let report = Report { run, epoch, number: 0, ops, parked_at: Some(0) };
        shard.handle(NOW, Command::Report(report), &mut Turn::default());
        shard.dispatch(NOW, &mut Turn::default());
    }
    HELD.get().wrapping_sub(before).div_ceil(count)
}

#[test]
fn a_wait_costs_at_most_200_bytes_more_than_a_sleep() {
    let until = Until::For(Duration::from_hours(24));
    let name = || "until tomorrow".to_owned();
    for count in [1_000, 14_337, 100_000] {
        let sleep = bytes_for_each_run(count, |_| Op::Sleep { name: name(), until });
        let wait = bytes_for_each_run(count, |own| Op::WaitForEvent {
            name: name(),
            event: "shop/order.paid".to_owned(),
            expression: Some("event.data.order_id == async.data.order_id".to_owned()),
            own: Some(own),
            until,
            since: Since::Stretch,
            behind: None,
        });
        println!("{count} runs: {sleep} bytes asleep, {wait} bytes waiting");
        assert!(wait - sleep <= 200, "{wait} and {sleep} bytes each of {count}");
    }
}
