//! What waits for events cost in the core: to register one, and an event that ends one, beside so many others.
//!
//! `cargo bench -p durable-core --bench waits` prints a table. A registration is compared with that of a sleep, an
//! event that matches with one that nobody waits for: each the median of several rounds, in turn.

use std::time::Duration;

use bytes::Bytes;
use durable_core::write::event_key;
use durable_core::{
    Command, Effect, FunctionSpec, NewEvent, Op, Record, Report, Settings, Shard, Since, Ticket,
    Timestamp, Turn, Until, Work, Write,
};

const COUNTS: [u32; 3] = [1_000, 100_000, 1_000_000];
const ROUNDS: usize = 5;

fn main() {
    println!("{:>9}  {:>12} {:>12}  {:>12} {:>12}", "waits", "sleep", "wait", "no match", "match");
    println!("{:>9}  {:>12} {:>12}  {:>12} {:>12}", "", "us each", "us each", "us each", "us each");
    for count in COUNTS {
        let (mut sleep, mut wait) = (Vec::new(), Vec::new());
        let (mut miss, mut hit) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let mut world = World::new(count);
            let measured = count.min(10_000);
            let (first, rest) = world.offered.split_at(world.offered.len() - measured as usize);
            let (first, rest) = (first.to_vec(), rest.to_vec());
            world.report(&first, |work, own| wait_op(work, own));
            let half = rest.len() / 2;
            let (one, other) = rest.split_at(half);
            sleep.push(world.report(one, |_, _| sleep_op()));
            wait.push(world.report(other, |work, own| wait_op(work, own)));
            world.turn(vec![Command::DrainExecutor]);
            let from = (round as u32 * 7) % 13;
            miss.push(world.send("nobody", from, half));
            hit.push(world.send("go", from, half.min(count as usize / 2)));
        }
        let [sleep, wait, miss, hit] = [sleep, wait, miss, hit].map(median);
        println!("{count:>9}  {sleep:>12.2} {wait:>12.2}  {miss:>12.2} {hit:>12.2}");
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn until() -> Until {
    Until::For(Duration::from_hours(24))
}

fn sleep_op() -> Op {
    Op::Sleep { name: "until tomorrow".to_owned(), until: until() }
}

fn wait_op(_: &Work, own: Option<Record>) -> Op {
    Op::WaitForEvent {
        name: "until tomorrow".to_owned(),
        event: "go".to_owned(),
        expression: Some("event.data.order_id == async.data.order_id".to_owned()),
        own,
        until: until(),
        since: Since::Stretch,
    }
}

struct World {
    shard: Shard,
    now: Timestamp,
    offered: Vec<Work>,
    events: Vec<Record>,
}

impl World {
    fn new(count: u32) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let shard = Shard::load(Settings::default(), now, []).expect("an empty store");
        let mut world = Self { shard, now, offered: Vec::new(), events: Vec::new() };
        let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "f") };
        let (ticket, app) = (Ticket(0), "app".to_owned());
        world.turn(vec![Command::RegisterFunctions { ticket, app, functions: vec![spec] }]);
        let functions = vec!["f".to_owned()];
        world.turn(vec![Command::ConnectExecutor { capacity: u32::MAX, functions }]);
        world.send("a", 0, count as usize);
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
                _ => {}
            }
        }
        for write in turn.writes {
            match write {
                Write::Insert { key, value } if key.starts_with(&event_key_prefix()) => {
                    self.events.push((key, value));
                }
                _ => {}
            }
        }
        if !answers.is_empty() {
            self.turn(answers);
        }
        took
    }

    /// Sends events, a thousand at a time: their data says 0, 1, 2.. from `from` on. Microseconds for each.
    fn send(&mut self, name: &str, from: u32, count: usize) -> f64 {
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
        took * 1e6 / count.max(1) as f64
    }

    fn report(&mut self, offered: &[Work], op: impl Fn(&Work, Option<Record>) -> Op) -> f64 {
        let mut took = 0.0;
        for some in offered.chunks(1_000) {
            let reports = some.iter().map(|work| {
                let place =
                    self.events.binary_search_by(|(key, _)| key.cmp(&event_key(work.event)));
                let own = self.events[place.expect("its event")].clone();
                let (run, epoch) = (work.run, work.epoch);
                let ops = vec![op(work, Some(own))];
                Command::Report(Report { run, epoch, number: 0, ops, parked_at: Some(0) })
            });
            let commands = reports.collect();
            took += self.turn(commands);
        }
        took * 1e6 / offered.len().max(1) as f64
    }
}

/// What this thread has had of a processor: what else runs on the machine counts for little.
fn cpu_seconds() -> f64 {
    let all = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = all.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0);
    nanos / 1e9
}

fn event_key_prefix() -> [u8; 1] {
    [durable_core::write::EVENT]
}
