//! What the scheduler itself costs, without disk, threads or Python.

use std::collections::BTreeMap;

use bytes::Bytes;
use divan::counter::ItemsCount;
use durable_core::{
    Command, Effect, FunctionSpec, NewEvent, Op, Report, Settings, Shard, Ticket, Timestamp, Turn,
    Until, Work,
};

fn main() {
    divan::main();
}

struct Bench {
    shard: Shard,
    now: Timestamp,
    offered: Vec<Work>,
}

impl Bench {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let Ok(shard) = Shard::load(Settings::default(), now, []) else {
            unreachable!("nothing to read")
        };
        let mut bench = Self { shard, now, offered: Vec::new() };
        let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "f") };
        let register = Command::RegisterFunctions {
            ticket: Ticket(0),
            app: "app".to_owned(),
            functions: vec![spec],
        };
        bench.turn(vec![register]);
        bench
    }

    fn connect(&mut self) {
        self.turn(vec![Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity: 1_000,
            functions: vec!["f".to_owned()],
        }]);
    }

    fn turn(&mut self, commands: Vec<Command>) {
        let mut turn = Turn::default();
        self.now = self.now.plus(std::time::Duration::from_micros(100));
        for command in commands {
            self.shard.handle(self.now, command, &mut turn);
        }
        self.shard.tick(self.now, &mut turn);
        self.shard.dispatch(self.now, &mut turn);
        let mut answers = Vec::new();
        for effect in turn.effects {
            if let Effect::OfferWork(work) = effect {
                self.offered.push(work);
            } else if matches!(effect, Effect::LoadTimers { .. }) {
                answers.push(Command::LoadTimers { timers: Vec::new(), is_complete: true });
            }
        }
        divan::black_box(turn.writes);
        if !answers.is_empty() {
            self.turn(answers);
        }
    }

    fn send(&mut self, count: usize) {
        let data = Bytes::from_static(b"{\"repo\":\"spacejam/sled\",\"files\":4}");
        let event = NewEvent { name: "a".to_owned(), data, ..NewEvent::default() };
        let events = vec![(event, None); count];
        self.turn(vec![Command::AcceptEvents { ticket: Ticket(1), events, source: None }]);
    }

    /// Everything offered reports `ops` as its report of this number.
    fn report(&mut self, number: u32, ops: &[Op], parked_at: Option<u32>, offered: &[Work]) {
        let reports = offered.iter().map(|work| {
            let (run, epoch) = (work.run, work.epoch);
            Command::Report(Report { run, epoch, number, ops: ops.to_vec(), parked_at })
        });
        let commands = reports.collect();
        self.turn(commands);
    }

    /// Completes `count` runs of one step in waves, as an executor with 64 in hand would.
    fn drain(&mut self, count: usize) {
        let step = [Op::StepRun { name: "s".to_owned(), data: Bytes::from_static(b"1") }];
        let end = [Op::RunComplete { data: Bytes::from_static(b"1") }];
        let mut done = 0;
        while done < count {
            let rest = self.offered.split_off(self.offered.len().min(64));
            let wave = std::mem::replace(&mut self.offered, rest);
            self.report(0, &step, None, &wave);
            self.report(1, &end, None, &wave);
            done += wave.len();
        }
    }
}

/// W1 and W7 in the core alone: runs of one step, with so many others waiting behind them.
#[divan::bench(args = [1_000, 100_000, 1_000_000], sample_count = 5, sample_size = 1)]
fn runs_of_one_step(bencher: divan::Bencher<'_, '_>, backlog: usize) {
    const MEASURED: usize = 20_000;
    bencher
        .counter(ItemsCount::new(MEASURED))
        .with_inputs(|| {
            let mut bench = Bench::new();
            bench.send(backlog.max(MEASURED));
            bench.connect();
            bench
        })
        .bench_local_values(|mut bench| {
            bench.drain(MEASURED);
            bench
        });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn events_accepted(bencher: divan::Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(100_000_usize)).with_inputs(Bench::new).bench_local_values(
        |mut bench| {
            (0..100).for_each(|_| bench.send(1_000));
            bench
        },
    );
}

/// A restart with so many sleeping runs, reading from memory.
#[divan::bench(args = [10_000, 1_000_000], sample_count = 3, sample_size = 1)]
fn sleeping_runs_loaded(bencher: divan::Bencher<'_, '_>, count: usize) {
    let mut store: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    let mut bench = Bench::new();
    let mut keep = |bench: &mut Bench, commands: Vec<Command>| {
        let mut turn = Turn::default();
        for command in commands {
            bench.shard.handle(bench.now, command, &mut turn);
        }
        bench.shard.dispatch(bench.now, &mut turn);
        for write in turn.writes {
            if let durable_core::Write::Insert { key, value }
            | durable_core::Write::Put { key, value } = write
                && durable_core::write::LOADED_PREFIXES
                    .iter()
                    .any(|prefix| key.starts_with(&[*prefix]))
            {
                store.insert(key, value);
            }
        }
        let offered = turn.effects.into_iter().filter_map(|effect| {
            if let Effect::OfferWork(work) = effect { Some(work) } else { None }
        });
        bench.offered.extend(offered);
    };
    let spec = FunctionSpec { triggers: vec!["a".to_owned()], ..FunctionSpec::new("app", "g") };
    let register = Command::RegisterFunctions {
        ticket: Ticket(0),
        app: "app".to_owned(),
        functions: vec![spec],
    };
    keep(&mut bench, vec![register]);
    let functions = vec!["g".to_owned()];
    keep(
        &mut bench,
        vec![Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity: u32::MAX,
            functions,
        }],
    );
    let event =
        NewEvent { name: "a".to_owned(), data: Bytes::from_static(b"{}"), ..NewEvent::default() };
    let events = vec![(event, None); count];
    keep(&mut bench, vec![Command::AcceptEvents { ticket: Ticket(1), events, source: None }]);
    let until = Until::For(std::time::Duration::from_hours(24));
    let ops = vec![Op::Sleep { name: "until tomorrow".to_owned(), until }];
    let sleeping = std::mem::take(&mut bench.offered).into_iter().map(|work| {
        let (run, epoch) = (work.run, work.epoch);
        Command::Report(Report { run, epoch, number: 0, ops: ops.clone(), parked_at: Some(0) })
    });
    keep(&mut bench, sleeping.collect());
    // the prefixes in the order the core wants them: functions before runs
    let records: Vec<_> = durable_core::write::LOADED_PREFIXES
        .iter()
        .flat_map(|prefix| store.iter().filter(|(key, _)| key.starts_with(&[*prefix])))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| records.clone())
        .bench_local_values(|records| Shard::load(Settings::default(), bench.now, records));
}
