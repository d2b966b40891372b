//! What flow control costs, by how many keys there are and how many runs wait: queues, slots and gates alone.
//!
//! Keys are taken at random, the worst case for caches: a bench at 1,000,000 keys waits mostly for memory. A
//! key's value has 12 bytes; a gate's whole name 17, a limit's 25, a queue's 31 and more, as in the shard.

use std::time::Duration;

use divan::counter::ItemsCount;
use durable_core::Timestamp;
use durable_core::flow::bench::{Against, Flow};
use durable_core::flow::gcra::Rate;

const MEASURED: u32 = 512_000;
/// Names are made so many at a time: reading what was written just before would hold up the processor.
const BLOCK: u32 = 64;
const SIZES: [u32; 2] = [1_000, 1_000_000];
/// Binds nobody.
const HIGH: u32 = 1_000_000;

fn main() {
    divan::main();
}

fn start() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// One in each so many microseconds, and `count` at once.
fn rate(micros: u64, count: u32) -> Rate {
    Rate::at_once(1, Duration::from_micros(micros), count)
}

/// Numbers below `below`, spread evenly and the same each time: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((u128::from(mixed) * u128::from(below)) >> 64).unwrap_or(0)
    }

    fn block(&mut self, below: u32) -> [u32; 64] {
        [(); 64].map(|()| self.below(below))
    }

    /// The same as traffic has it: the n-th key with a weight of about 1/n, as commits have their authors.
    fn skewed_block(&mut self, below: u32) -> [u32; 64] {
        [(); 64].map(|()| {
            let octave = self.below(below.ilog2() + 1);
            let place = (1 << octave) + self.below(1 << octave);
            (place - 1).min(below - 1)
        })
    }

    /// All numbers below `count`, in no order.
    fn order(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(usize_of(last), usize_of(self.below(last + 1)));
        }
        order
    }
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A name of `SIZE` bytes that ends with a key's value of 12.
fn name<const SIZE: usize>(kind: u8, key: u32) -> [u8; SIZE] {
    let mut name = [kind; SIZE];
    let end = name.last_chunk_mut::<12>();
    if let Some(end) = end {
        *end = *b"customer-000";
        if let Some(digits) = end.last_chunk_mut::<4>() {
            *digits = key.to_be_bytes();
        }
    }
    name
}

/// The names of a key: its queue, its two limits, its throttle.
struct Names {
    queue: [u8; 55],
    limits: [[u8; 25]; 2],
    gate: [u8; 17],
}

impl Names {
    fn of(key: u32) -> Self {
        let limits = [name(b'f', key), name(b'e', key)];
        Self { queue: name(b'q', key), limits, gate: name(b't', key) }
    }
}

/// A rate limit asked for and taken: one look-up by name and one GCRA step. Operations.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn rate_limits_passed(bencher: divan::Bencher<'_, '_>, keys: u32) {
    pass_rate_limits(bencher, keys, Chance::block);
}

/// The same by keys as traffic has them.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn rate_limits_passed_by_skewed_keys(bencher: divan::Bencher<'_, '_>, keys: u32) {
    pass_rate_limits(bencher, keys, Chance::skewed_block);
}

/// Draws a block of keys.
type Draw = fn(&mut Chance, u32) -> [u32; 64];

fn pass_rate_limits(bencher: divan::Bencher<'_, '_>, keys: u32, draw: Draw) {
    let (mut flow, mut chance) = (Flow::new(1), Chance(1));
    for key in chance.order(keys) {
        assert!(flow.try_gate(&name::<17>(b'r', key), rate(1, HIGH), start()), "it is open");
    }
    bencher.counter(ItemsCount::new(MEASURED)).bench_local(|| {
        for _ in 0..MEASURED / BLOCK {
            let names = draw(&mut chance, keys).map(|key| name::<17>(b'r', key));
            for name in &divan::black_box(names) {
                divan::black_box(flow.try_gate(name, rate(1, HIGH), start()));
            }
        }
    });
}

/// The same by keys that are new, until all are forgotten: what a key costs that comes once. Keys.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn rate_limits_made_and_forgotten(bencher: divan::Bencher<'_, '_>, keys: u32) {
    let rounds = (MEASURED / keys).max(1);
    let order = Chance(1).order(keys);
    bencher
        .counter(ItemsCount::new(keys * rounds))
        .with_inputs(|| Flow::new(1))
        .bench_local_values(|mut flow| {
            let mut now = start();
            for _ in 0..rounds {
                for key in &order {
                    flow.try_gate(&name::<17>(b'r', *key), rate(1, HIGH), now);
                }
                now = now.plus(Duration::from_mins(3));
                let mut forgotten = 0;
                while forgotten < order.len() {
                    forgotten += flow.tick(now);
                }
            }
            flow
        });
}

/// One keyed limit of 1: in each key one executes and one waits. The one ends, which wakes the other, which
/// takes the slot, and another is queued. Operations: three in each turn (release and wake, acquire, queue).
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_handed_on(bencher: divan::Bencher<'_, '_>, keys: u32) {
    hand_slots_on(bencher, keys, Chance::block);
}

/// The same by keys as traffic has them.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_handed_on_by_skewed_keys(bencher: divan::Bencher<'_, '_>, keys: u32) {
    hand_slots_on(bencher, keys, Chance::skewed_block);
}

fn hand_slots_on(bencher: divan::Bencher<'_, '_>, keys: u32, draw: Draw) {
    let mut flow = Flow::new(1);
    let mut chance = Chance(1);
    let mut score = 0;
    let push = |flow: &mut Flow, queue: &[u8], key: u32, score: u64| {
        let limits = [(&name::<25>(b'f', key)[..], 1)];
        let against = Against { limits: &limits, ..Against::default() };
        flow.push(queue, (key, score), against);
    };
    for _ in 0..2 {
        for key in chance.order(keys) {
            score += 1;
            push(&mut flow, &name::<31>(b'q', key), key, score);
        }
        while flow.pop(start()).is_some() {}
    }
    bencher.counter(ItemsCount::new(MEASURED * 3)).bench_local(|| {
        for _ in 0..MEASURED / BLOCK {
            let keys = draw(&mut chance, keys);
            let names = divan::black_box(keys.map(|key| name::<31>(b'q', key)));
            for (key, queue) in keys.iter().zip(&names) {
                score += 1;
                flow.release(queue);
                assert_eq!(flow.pop(start()), Some(*key), "it waited for this slot");
                push(&mut flow, queue, *key, score);
            }
        }
    });
}

/// The same in one key: so many wait for its one slot. Operations, three in each turn.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_handed_on_in_one_key(bencher: divan::Bencher<'_, '_>, waiting: u32) {
    let mut flow = Flow::new(1);
    let limits = [(&name::<25>(b'f', 1)[..], 1)];
    let against = Against { limits: &limits, ..Against::default() };
    let queue = name::<31>(b'q', 1);
    for number in 0..=waiting {
        flow.push(&queue, (number, number.into()), against);
    }
    let mut number = waiting;
    assert_eq!(flow.pop(start()), Some(0));
    bencher.counter(ItemsCount::new(MEASURED * 3)).bench_local(|| {
        for _ in 0..MEASURED {
            number += 1;
            flow.release(&queue);
            assert!(flow.pop(start()).is_some(), "the oldest goes");
            flow.push(&queue, (number, number.into()), against);
        }
    });
}

/// The same by runs of any age: what is queued goes anywhere into the line. Operations, three in each turn.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_handed_on_by_priority(bencher: divan::Bencher<'_, '_>, waiting: u32) {
    let (mut flow, mut chance) = (Flow::new(1), Chance(1));
    let limits = [(&name::<25>(b'f', 1)[..], 1)];
    let against = Against { limits: &limits, ..Against::default() };
    let queue = name::<31>(b'q', 1);
    for number in 0..=waiting {
        flow.push(&queue, (number, chance.below(86_400_000).into()), against);
    }
    let mut number = waiting;
    assert!(flow.pop(start()).is_some(), "one executes");
    bencher.counter(ItemsCount::new(MEASURED * 3)).bench_local(|| {
        for _ in 0..MEASURED {
            number += 1;
            flow.release(&queue);
            assert!(flow.pop(start()).is_some(), "the oldest goes");
            flow.push(&queue, (number, chance.below(86_400_000).into()), against);
        }
    });
}

/// So many keys, each with one run that waits, all before one limit that they share, of 64. Operations, three
/// in each turn.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_of_one_limit_for_many_keys(bencher: divan::Bencher<'_, '_>, keys: u32) {
    let (mut flow, mut chance) = (Flow::new(1), Chance(1));
    let shared = name::<25>(b'f', 0);
    let push = |flow: &mut Flow, key: u32, score: u64| {
        let limits = [(&shared[..], 64), (&name::<25>(b'e', key)[..], HIGH)];
        let against = Against { limits: &limits, ..Against::default() };
        flow.push(&name::<55>(b'q', key), (key, score), against);
    };
    let mut score = 0;
    for key in chance.order(keys) {
        score += 1;
        push(&mut flow, key, score);
    }
    let mut executing = std::collections::VecDeque::new();
    while let Some(key) = flow.pop(start()) {
        executing.push_back(key);
    }
    bencher.counter(ItemsCount::new(MEASURED * 3)).bench_local(|| {
        for _ in 0..MEASURED {
            score += 1;
            let key = executing.pop_front().unwrap_or(0);
            flow.release(&name::<55>(b'q', key));
            executing.extend(flow.pop(start()));
            push(&mut flow, key, score);
        }
    });
}

/// The life of work whose key nobody else uses, beside so many busy keys: queued, dispatched, done, forgotten.
/// Operations, three in each life.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn slots_of_keys_that_come_and_go(bencher: divan::Bencher<'_, '_>, busy: u32) {
    let mut flow = Flow::new(1);
    let push = |flow: &mut Flow, key: u32, limit: u32| {
        let limits = [(&name::<25>(b'f', key)[..], limit)];
        let against = Against { limits: &limits, ..Against::default() };
        flow.push(&name::<31>(b'q', key), (key, key.into()), against);
    };
    for _ in 0..2 {
        (0..busy).for_each(|key| push(&mut flow, key, 1));
        while flow.pop(start()).is_some() {}
    }
    let mut key = busy;
    bencher.counter(ItemsCount::new(MEASURED * 3)).bench_local(|| {
        for _ in 0..MEASURED {
            key += 1;
            push(&mut flow, key, 1);
            assert_eq!(flow.pop(start()), Some(key), "it is alone");
            flow.release(&name::<31>(b'q', key));
        }
    });
}

/// Queues up a run in each of so many keys, against two keyed limits and a throttle.
fn push_against_all(flow: &mut Flow, key: u32, number: u32) {
    let Names { queue, limits: [one, two], gate } = Names::of(key);
    let limits = [(&one[..], 10), (&two[..], 20)];
    let throttle = Some((&gate[..], rate(1, HIGH)));
    flow.push(
        &queue,
        (number, number.into()),
        Against { limits: &limits, run_limit: None, throttle },
    );
}

/// What waits is dispatched, each past two keyed limits and a throttle. Dispatches; queueing is not counted.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn dispatches_past_two_limits_and_a_throttle(bencher: divan::Bencher<'_, '_>, keys: u32) {
    let queued = || {
        let (mut flow, mut chance) = (Flow::new(1), Chance(1));
        // what executes keeps each queue where it is in memory: the order of dispatch is another
        for _ in 0..2 {
            while flow.pop(start()).is_some() {}
            for key in chance.order(keys) {
                push_against_all(&mut flow, key, key);
            }
        }
        flow
    };
    let rounds = (MEASURED / keys).max(1);
    bencher
        .counter(ItemsCount::new(keys * rounds))
        .with_inputs(|| (0..rounds).map(|_| queued()).collect::<Vec<_>>())
        .bench_local_values(|mut flows| {
            for flow in &mut flows {
                while flow.pop(start()).is_some() {}
            }
            flows
        });
}

/// The whole of it: queued, dispatched past two keyed limits and a throttle, done, and all but the throttle
/// forgotten. Runs.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn runs_past_two_limits_and_a_throttle(bencher: divan::Bencher<'_, '_>, keys: u32) {
    let (mut flow, mut chance) = (Flow::new(1), Chance(1));
    for key in chance.order(keys) {
        push_against_all(&mut flow, key, key);
        while let Some(key) = flow.pop(start()) {
            flow.release(&Names::of(key).queue);
        }
    }
    bencher.counter(ItemsCount::new(MEASURED)).bench_local(|| {
        for _ in 0..MEASURED {
            let key = chance.below(keys);
            push_against_all(&mut flow, key, key);
            assert_eq!(flow.pop(start()), Some(key), "nothing binds");
            flow.release(&Names::of(key).queue);
        }
    });
}

/// So many keys wait before one throttle; each millisecond it lets one start, which ends, and one comes.
/// Starts.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn starts_before_one_throttle(bencher: divan::Bencher<'_, '_>, waiting: u32) {
    let (mut flow, mut chance) = (Flow::new(1), Chance(1));
    let gate = name::<17>(b't', 0);
    let push = |flow: &mut Flow, key: u32, score: u64| {
        let limits = [(&name::<25>(b'f', key)[..], 10)];
        let throttle = Some((&gate[..], rate(1_000, 1)));
        let against = Against { limits: &limits, run_limit: None, throttle };
        flow.push(&name::<31>(b'q', key), (key, score), against);
    };
    let (mut now, mut score) = (start(), 0);
    for key in chance.order(waiting) {
        score += 1;
        push(&mut flow, key, score);
    }
    while flow.pop(now).is_some() {}
    bencher.counter(ItemsCount::new(MEASURED)).bench_local(|| {
        for _ in 0..MEASURED {
            now = now.plus(Duration::from_millis(1));
            flow.tick(now);
            while let Some(key) = flow.pop(now) {
                flow.release(&name::<31>(b'q', key));
                score += 1;
                push(&mut flow, key, score);
            }
        }
    });
}

/// A deploy of new limits while so many keys wait before one limit that they share. Queues.
#[divan::bench(args = [1_000, 30_000], sample_count = 3, sample_size = 1)]
fn queues_given_new_limits(bencher: divan::Bencher<'_, '_>, keys: u32) {
    let mut flow = Flow::new(1);
    let shared = name::<25>(b'f', 0);
    let limits = |limit| [(shared, limit)];
    for key in Chance(1).order(keys) {
        let limits = limits(1).map(|(name, limit)| (name, limit));
        let limits = [(&limits[0].0[..], limits[0].1)];
        let against = Against { limits: &limits, ..Against::default() };
        flow.push(&name::<31>(b'q', key), (key, key.into()), against);
    }
    while flow.pop(start()).is_some() {}
    bencher.counter(ItemsCount::new(keys)).with_inputs(|| flow.clone()).bench_local_values(
        |mut flow| {
            let limits = [(&shared[..], 2)];
            flow.deploy(Against { limits: &limits, ..Against::default() });
            while flow.pop(start()).is_some() {}
            flow
        },
    );
}
