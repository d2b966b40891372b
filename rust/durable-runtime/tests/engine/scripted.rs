//! An executor for tests: handlers are functions from what is remembered to what happens next.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{Epoch, EventId, NewEvent, Op, Outcome, Report, RunId, Timestamp};
use durable_runtime::{ClockChoice, Config, Engine, Item, Kind, Submission};
use durable_store::fault::FaultDisk;
use durable_store::{ImageKind, Options};

/// What is remembered, by step, and what a handler does then: ops, and whether it waits after them.
pub(crate) type Handler = fn(&BTreeMap<String, Outcome>) -> (Vec<Op>, bool);

/// So long a test waits for something that must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Live {
    memos: BTreeMap<String, Outcome>,
    memo_count: u32,
    epoch: Epoch,
    number: u32,
    inline: Vec<(String, Outcome)>,
}

/// See the file's first line.
pub(crate) struct Scripted<'a> {
    pub(crate) engine: &'a Engine,
    handler: Handler,
    live: BTreeMap<RunId, Live>,
    pub(crate) step_calls: Vec<String>,
    pub(crate) items: Vec<Item>,
}

impl<'a> Scripted<'a> {
    pub(crate) fn connect(engine: &'a Engine, handler: Handler) -> Self {
        engine.connect(vec!["f".to_owned()]).unwrap();
        Self { engine, handler, live: BTreeMap::new(), step_calls: Vec::new(), items: Vec::new() }
    }

    /// Works until an item of interest has come.
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&Item) -> bool) {
        loop {
            let items = self.engine.receive(PATIENCE);
            assert!(!items.is_empty(), "nothing came; before that: {:?}", self.items);
            let mut reports = Vec::new();
            let mut is_found = false;
            for item in items {
                is_found |= is_it(&item);
                reports.extend(self.take(&item));
                self.items.push(item);
            }
            self.engine.submit(Submission { reports, ..Submission::default() }).unwrap();
            if is_found {
                return;
            }
        }
    }

    /// Answers these items and takes no others.
    pub(crate) fn report(&mut self, items: &[Item]) {
        let reports = items.iter().filter_map(|item| self.take(item)).collect();
        self.engine.submit(Submission { reports, ..Submission::default() }).unwrap();
    }

    fn take(&mut self, item: &Item) -> Option<Report> {
        match item {
            Item::Work(offer) => {
                let live = self.live.entry(offer.run).or_default();
                if !offer.events.is_empty() {
                    *live = Live::default();
                }
                live.memos.extend(offer.memos.iter().map(|m| (m.name.clone(), m.outcome.clone())));
                (live.memo_count, live.epoch, live.number) = (offer.memo_count, offer.epoch, 0);
                match &offer.step {
                    None => Some(self.go_on(offer.run)),
                    Some(name) => {
                        self.step_calls.push(name.clone());
                        let ops = vec![Op::StepRun { name: name.clone(), data: json("1") }];
                        let (run, epoch) = (offer.run, offer.epoch);
                        Some(Report { run, epoch, number: 0, ops, parked_at: None })
                    }
                }
            }
            Item::Memos { run, memos, memo_count, .. } => {
                let live = self.live.get_mut(run)?;
                live.memos.extend(memos.iter().map(|m| (m.name.clone(), m.outcome.clone())));
                live.memo_count = *memo_count;
                None
            }
            Item::Confirm { run, epoch, memo_count, .. } => {
                let live = self.live.get_mut(run).filter(|live| live.epoch == *epoch)?;
                live.memo_count = *memo_count;
                live.memos.extend(std::mem::take(&mut live.inline));
                Some(self.go_on(*run))
            }
            Item::Finished(run, _) => {
                self.live.remove(run);
                None
            }
            Item::Answer { .. }
            | Item::Abandon { .. }
            | Item::Ended { .. }
            | Item::Unknown(_)
            | Item::Stirred(_)
            | Item::Poisoned(_)
            | Item::Room
            | Item::Idle(_) => None,
        }
    }

    fn go_on(&mut self, run: RunId) -> Report {
        let live = self.live.get_mut(&run).unwrap();
        let (ops, waits) = (self.handler)(&live.memos);
        for op in &ops {
            if let Op::StepRun { name, data } = op {
                self.step_calls.push(name.clone());
                live.inline.push((name.clone(), Outcome::Data(data.clone())));
            }
        }
        let number = live.number;
        live.number += 1;
        let parked_at = waits.then_some(live.memo_count);
        Report { run, epoch: live.epoch, number, ops, parked_at }
    }
}

/// One function `f` that events of the name `go` start.
pub(crate) fn open(config: &Config) -> Engine {
    let engine = Engine::open(config).unwrap();
    register(&engine);
    engine
}

/// When a clock was wrong by centuries, and a store was open meanwhile.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(10_000_000_000_000);

/// An engine on the system's clock, whose store is at [`FAR`], with one run.
pub(crate) fn open_ahead_of_the_wall() -> Engine {
    let disk = FaultDisk::healthy();
    let open = |clock| {
        let options = Options::on(Arc::new(disk.clone()), "/store", ImageKind::Memory);
        let engine = Engine::open_on(options, &Config { clock, ..Config::new("memory:") }).unwrap();
        register(&engine);
        engine
    };
    let wrong = open(ClockChoice::Virtual { is_auto: false, start: Some(FAR) });
    send(&wrong, 1);
    drop(wrong);
    open(ClockChoice::System)
}

pub(crate) fn register(engine: &Engine) {
    let mut spec = durable_core::FunctionSpec::new("app", "f");
    spec.triggers = vec!["go".to_owned()];
    engine.register("app", vec![spec]).unwrap();
}

pub(crate) fn go(user_id: Option<&str>) -> NewEvent {
    NewEvent {
        name: "go".to_owned(),
        data: json("{}"),
        user_id: user_id.map(str::to_owned),
        ..NewEvent::default()
    }
}

pub(crate) fn send(engine: &Engine, count: usize) -> Vec<EventId> {
    engine.send_wait(vec![go(None); count], None).unwrap()
}

pub(crate) fn json(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub(crate) fn complete() -> (Vec<Op>, bool) {
    (vec![Op::RunComplete { data: json("\"done\"") }], false)
}

pub(crate) fn is_idle(item: &Item) -> bool {
    matches!(item, Item::Idle(_))
}

pub(crate) fn is_poisoned(item: &Item) -> bool {
    matches!(item, Item::Poisoned(error) if error.kind != Kind::Closed)
}
