//! What sleeping costs the scheduler: a sleep reached, and a sleep that ends, behind so many others.

use std::time::Duration;

use bytes::Bytes;
use divan::counter::ItemsCount;
use durable_core::{
    Command, Effect, FunctionSpec, NewEvent, Op, Report, Settings, Shard, Ticket, Timestamp, Turn,
    Until, Work,
};

const MEASURED: usize = 10_000;

fn main() {
    divan::main();
}

struct Sleepers {
    shard: Shard,
    now: Timestamp,
    offered: Vec<Work>,
}

impl Sleepers {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let Ok(shard) = Shard::load(Settings::default(), now, []) else {
            unreachable!("nothing to read")
        };
        let mut sleepers = Self { shard, now, offered: Vec::new() };
        let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "f") };
        let (app, functions) = ("app".to_owned(), vec![spec]);
        sleepers.turn(vec![Command::RegisterFunctions { ticket: Ticket(0), app, functions }]);
        let functions = vec!["f".to_owned()];
        sleepers.turn(vec![Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity: u32::MAX,
            functions,
        }]);
        sleepers
    }

    fn turn(&mut self, commands: Vec<Command>) {
        let mut turn = Turn::default();
        for command in commands {
            self.shard.handle(self.now, command, &mut turn);
        }
        self.shard.tick(self.now, &mut turn);
        self.shard.dispatch(self.now, &mut turn);
        let mut is_asked = false;
        for effect in turn.effects {
            if let Effect::OfferWork(work) = effect {
                self.offered.push(work);
            } else if matches!(effect, Effect::LoadTimers { .. }) {
                is_asked = true;
            }
        }
        divan::black_box(turn.writes);
        if is_asked {
            self.turn(vec![Command::LoadTimers { timers: Vec::new(), is_complete: true }]);
        }
    }

    fn start(&mut self, count: usize) {
        let data = Bytes::from_static(b"{}");
        let event = NewEvent { name: "a".to_owned(), data, ..NewEvent::default() };
        let events = vec![(event, None); count];
        self.turn(vec![Command::AcceptEvents { ticket: Ticket(1), events, source: None }]);
    }

    /// All that was offered goes to sleep, spread over `within` from `after` on.
    fn sleep(&mut self, after: Duration, within: Duration) {
        let offered = std::mem::take(&mut self.offered);
        let share = within / u32::try_from(offered.len().max(1)).unwrap_or(u32::MAX);
        let mut due = after;
        let reports = offered.iter().map(|work| {
            due += share;
            let ops = vec![Op::Sleep { name: "nap".to_owned(), until: Until::For(due) }];
            let (run, epoch) = (work.run, work.epoch);
            Command::Report(Report { run, epoch, number: 0, ops, parked_at: Some(0) })
        });
        let commands = reports.collect();
        self.turn(commands);
    }
}

/// A run reaches its sleep, with so many asleep already.
#[divan::bench(args = [1_000, 500_000], sample_count = 3, sample_size = 1)]
fn sleeps_reached(bencher: divan::Bencher<'_, '_>, asleep: usize) {
    bencher
        .counter(ItemsCount::new(MEASURED))
        .with_inputs(|| {
            let mut sleepers = Sleepers::new();
            sleepers.start(asleep);
            sleepers.sleep(Duration::from_mins(1), Duration::from_mins(5));
            sleepers.start(MEASURED);
            sleepers
        })
        .bench_local_values(|mut sleepers| {
            sleepers.sleep(Duration::from_mins(1), Duration::from_mins(5));
            sleepers
        });
}

/// W4 in the core alone: sleeps end millisecond by millisecond within one second, with so many others asleep.
#[divan::bench(args = [1_000, 500_000], sample_count = 3, sample_size = 1)]
fn sleeps_ended(bencher: divan::Bencher<'_, '_>, asleep: usize) {
    bencher
        .counter(ItemsCount::new(MEASURED))
        .with_inputs(|| {
            let mut sleepers = Sleepers::new();
            sleepers.start(asleep);
            sleepers.sleep(Duration::from_mins(1), Duration::from_mins(5));
            sleepers.start(MEASURED);
            sleepers.sleep(Duration::from_secs(10), Duration::from_secs(1));
            sleepers.now = sleepers.now.plus(Duration::from_secs(10));
            sleepers
        })
        .bench_local_values(|mut sleepers| {
            for _ in 0..1_001 {
                sleepers.now = sleepers.now.plus(Duration::from_millis(1));
                sleepers.turn(Vec::new());
            }
            assert_eq!(sleepers.offered.len(), MEASURED, "each of them woke");
            sleepers
        });
}
