//! What waits for events cost in the core: to register one, and an event that ends one, beside so many others.
//!
//! `cargo bench -p durable-core --bench waits` prints a table; with numbers behind `--` for so many waits. A registration is compared with that of a sleep, an
//! event that matches with one that nobody waits for: each the median of several rounds, in turn. Memory is the wheel's allocator's.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its table"
)]

use std::time::Duration;

use bytes::Bytes;
use durable_core::write::{EVENT, event_key};
use durable_core::{
    Command, Effect, FunctionSpec, NewEvent, Op, Record, Report, Settings, Shard, Since, Ticket,
    Timestamp, Turn, Until, Work, Write,
};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNTS: [usize; 4] = [1_000, 40_000, 200_000, 1_000_000];
const MEASURED: usize = 20_000;
const ROUNDS: usize = 5;

fn main() {
    println!("CPU us each, medians of {ROUNDS} rounds");
    println!("    waits     sleep      wait  no match     match");
    let given: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    for count in if given.is_empty() { COUNTS.to_vec() } else { given } {
        let rounds: Vec<[f64; 4]> = (0..ROUNDS).map(|_| round(count)).collect();
        let median = |place: usize| {
            let mut all: Vec<f64> = rounds.iter().map(|round| round[place]).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let [sleep, wait, miss, hit] = [0, 1, 2, 3].map(median);
        println!("{count:>9} {sleep:>9.2} {wait:>9.2} {miss:>9.2} {hit:>9.2}");
    }
}

/// Of so many runs all but some wait; those few sleep, or wait, and are measured; then some waits are met.
fn round(count: usize) -> [f64; 4] {
    let mut world = World::new(count);
    let measured = MEASURED.min(count / 2);
    let mut offered = std::mem::take(&mut world.offered);
    let last = offered.split_off(count - measured);
    let sleepers = offered.split_off(offered.len() - measured);
    world.report(&offered, wait_op);
    let sleep = world.report(&sleepers, |_| sleep_op());
    let wait = world.report(&last, wait_op);
    world.turn(vec![Command::DrainExecutors]);
    let miss = world.send("nobody", count - measured, measured);
    let hit = world.send("go", count - measured, measured);
    [sleep, wait, miss, hit]
}

fn until() -> Until {
    Until::For(Duration::from_hours(24))
}

fn sleep_op() -> Op {
    Op::Sleep { name: "until tomorrow".to_owned(), until: until() }
}

fn wait_op(own: Option<Record>) -> Op {
    Op::WaitForEvent {
        name: "until tomorrow".to_owned(),
        event: "go".to_owned(),
        expression: Some("event.data.order_id == async.data.order_id".to_owned()),
        own,
        until: until(),
        since: Since::Stretch,
        behind: None,
    }
}

struct World {
    shard: Shard,
    now: Timestamp,
    offered: Vec<Work>,
    events: Vec<Record>,
}

impl World {
    fn new(count: usize) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let shard = Shard::load(Settings::default(), now, []).expect("an empty store");
        let mut world = Self { shard, now, offered: Vec::new(), events: Vec::new() };
        let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "f") };
        let (ticket, app) = (Ticket(0), "app".to_owned());
        world.turn(vec![Command::RegisterFunctions { ticket, app, functions: vec![spec] }]);
        let functions = vec!["f".to_owned()];
        world.turn(vec![Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity: u32::MAX,
            functions,
        }]);
        world.send("a", 0, count);
        world
    }

    fn turn(&mut self, commands: Vec<Command>) -> f64 {
        let mut turn = Turn::default();
        self.now = self.now.plus(Duration::from_micros(100));
        let begun = cpu_seconds();
        for command in commands {
            self.shard.handle(self.now, command, &mut turn);
        }
        self.shard.tick(self.now, &mut turn);
        self.shard.dispatch(self.now, &mut turn);
        let took = cpu_seconds() - begun;
        let mut answers = Vec::new();
        for effect in turn.effects {
            match effect {
                Effect::OfferWork(work) => self.offered.push(work),
                Effect::LoadTimers { .. } => {
                    answers.push(Command::LoadTimers { timers: Vec::new(), is_complete: true });
                }
                Effect::LookBack { .. } => panic!("nothing to look back at"),
                Effect::Answer { .. }
                | Effect::DeliverMemo { .. }
                | Effect::ConfirmReport { .. }
                | Effect::AbandonWork { .. }
                | Effect::AnnounceEnd { .. }
                | Effect::FindEnd { .. }
                | Effect::FindExpired { .. } => {}
            }
        }
        for write in turn.writes {
            if let Write::Insert { key, value } = write
                && key.first() == Some(&EVENT)
            {
                self.events.push((key, value));
            }
        }
        if !answers.is_empty() {
            self.turn(answers);
        }
        took
    }

    /// Sends events, a thousand at a time: their data says 0, 1, 2.. from `from` on. Microseconds for each.
    fn send(&mut self, name: &str, from: usize, count: usize) -> f64 {
        let events: Vec<_> = (from..)
            .take(count)
            .map(|number| {
                let data =
                    Bytes::from(format!("{{\"order_id\":\"order-{number}\",\"cents\":4200}}"));
                (NewEvent { name: name.to_owned(), data, ..NewEvent::default() }, None)
            })
            .collect();
        let mut took = 0.0;
        for some in events.chunks(1_000) {
            let events = some.to_vec();
            took +=
                self.turn(vec![Command::AcceptEvents { ticket: Ticket(1), events, source: None }]);
        }
        per_item(took, count)
    }

    fn report(&mut self, offered: &[Work], op: impl Fn(Option<Record>) -> Op) -> f64 {
        let mut took = 0.0;
        for some in offered.chunks(1_000) {
            let reports = some.iter().map(|work| {
                let place =
                    self.events.binary_search_by(|(key, _)| key.cmp(&event_key(work.event)));
                let own = self.events[place.expect("its event")].clone();
                let (run, epoch) = (work.run, work.epoch);
                let ops = vec![op(Some(own))];
                Command::Report(Report { run, epoch, number: 0, ops, parked_at: Some(0) })
            });
            let commands = reports.collect();
            took += self.turn(commands);
        }
        per_item(took, offered.len())
    }
}

/// What this thread has had of a processor: what else runs on the machine counts for little.
fn cpu_seconds() -> f64 {
    let had = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    had.expect("no time before the thread began").as_secs_f64()
}

fn per_item(seconds: f64, count: usize) -> f64 {
    seconds * 1e6 / u32::try_from(count).map_or(f64::MAX, f64::from)
}
