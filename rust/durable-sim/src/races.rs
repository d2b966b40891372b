//! Races around waits: many tiny worlds of a few runs that wait for events, invoke each other and are called off,
//! with time-outs, crashes and look-backs falling between any two turns. An oracle goes through the log of what
//! survived and says which event each wait must have taken.
//!
//! Smaller than [`crate::world`], so that a million schedules take minutes.

mod executor;
mod oracle;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    CancelOn, Command, Effect, EventId, EventRecord, FunctionSpec, Memo, NewEvent, Op, Pending,
    Policies, RunEnd, RunId, Settings, Shard, Ticket, Timestamp, Turn,
};

use crate::chance::Chance;
use executor::Held;
use store::Store;

/// A wait lasts at most so long.
const LENGTH: Duration = Duration::from_secs(10);
/// So much happens in one world, about.
const HAPPENINGS: u32 = 24;

/// What a turn left behind, for the oracle.
#[derive(Clone, Debug, Default)]
struct Past {
    now: Timestamp,
    events: Vec<(EventId, EventRecord)>,
    offers: Vec<RunId>,
    memos: Vec<(RunId, Memo)>,
    /// The pending steps of each run that was written.
    pending: BTreeMap<RunId, Vec<Pending>>,
    ends: Vec<(RunId, RunEnd)>,
}

/// One world.
struct Race {
    chance: Chance,
    settings: Settings,
    shard: Shard,
    store: Store,
    now: Timestamp,
    /// All turns whose traces are in the store, and how many of them are durable.
    log: Vec<Past>,
    durable_count: usize,
    /// Effects of turns that are not durable yet.
    leaving: Vec<Effect>,
    asked: Vec<Effect>,
    mailbox: Vec<Command>,
    held: BTreeMap<RunId, Held>,
    is_look_back_slow: bool,
}

/// Plays one world; `Err` says what should not be.
pub fn race(seed: u64) -> Result<(), String> {
    let mut race = Race::new(seed)?;
    for _ in 0..HAPPENINGS {
        race.happen()?;
    }
    race.finish()?;
    oracle::check(seed, &race.log)
}

fn functions(chance: &mut Chance) -> Vec<FunctionSpec> {
    let mut waiter =
        FunctionSpec { triggers: vec!["start".to_owned()], ..FunctionSpec::new("app", "waiter") };
    if chance.happens(500) {
        let stop = CancelOn {
            event: "stop".to_owned(),
            condition: Some("async.data.k == event.data.k".to_owned()),
            timeout_ms: None,
        };
        waiter.policies = Policies { cancel_on: vec![stop], ..Policies::default() };
    }
    let parent =
        FunctionSpec { triggers: vec!["ask".to_owned()], ..FunctionSpec::new("app", "parent") };
    vec![waiter, parent, FunctionSpec::new("app", "child")]
}

impl Race {
    fn new(seed: u64) -> Result<Self, String> {
        let mut chance = Chance::new(seed);
        let now = Timestamp::from_millis(1_800_000_000_000);
        let settings = Settings { seed, ..Settings::default() };
        let shard = Shard::load(settings.clone(), now, []).map_err(|why| why.to_string())?;
        let functions = functions(&mut chance);
        let is_look_back_slow = chance.happens(200);
        let mut race = Self {
            chance,
            settings,
            shard,
            store: Store::default(),
            now,
            log: Vec::new(),
            durable_count: 0,
            leaving: Vec::new(),
            asked: Vec::new(),
            mailbox: Vec::new(),
            held: BTreeMap::new(),
            is_look_back_slow,
        };
        let (ticket, app) = (Ticket(0), "app".to_owned());
        race.mailbox.push(Command::RegisterFunctions { ticket, app, functions });
        race.connect();
        race.turn()?;
        race.commit();
        Ok(race)
    }

    fn connect(&mut self) {
        let functions = ["waiter", "parent", "child"].map(str::to_owned).to_vec();
        self.mailbox.push(Command::ConnectExecutor { capacity: 100, functions });
    }

    fn happen(&mut self) -> Result<(), String> {
        match self.chance.below(100) {
            0..=29 => self.send(),
            30..=59 => self.execute(),
            60..=71 => self.now = self.now.plus(self.some_time()),
            72..=81 => self.commit(),
            82..=87 => return self.crash(),
            88..=90 => self.call_off(),
            _ => {}
        }
        if self.chance.happens(600) { self.turn() } else { Ok(()) }
    }

    fn some_time(&mut self) -> Duration {
        let lengths = [1, 10, 2_500, 9_999, 10_000, 10_001];
        Duration::from_millis(self.chance.pick(&lengths).copied().unwrap_or(1))
    }

    fn send(&mut self) {
        let names = ["go", "go", "go", "go", "start", "start", "ask", "stop"];
        let name = self.chance.pick(&names).copied().unwrap_or("go");
        let (k, n) = (self.chance.below(2), self.chance.below(3));
        let data = Bytes::from(format!("{{\"k\":{k},\"n\":{n}}}"));
        let event = NewEvent { name: name.to_owned(), data, ..NewEvent::default() };
        let events = vec![(event, None)];
        self.mailbox.push(Command::AcceptEvents { ticket: Ticket(1), events, source: None });
    }

    fn call_off(&mut self) {
        let runs: Vec<RunId> = self.store.live();
        if let Some(run) = self.chance.pick(&runs).copied() {
            self.mailbox.push(Command::CancelRun { ticket: Ticket(2), run });
        }
    }

    /// What was asked of the store is answered first, as the runtime does, but for look-backs that are slow.
    fn turn(&mut self) -> Result<(), String> {
        let mut turn = Turn::default();
        for ask in std::mem::take(&mut self.asked) {
            let is_look_back = matches!(ask, Effect::LookBack { .. });
            if is_look_back && self.is_look_back_slow && self.chance.happens(500) {
                self.asked.push(ask);
            } else if let Some(answer) = self.store.answer(&ask) {
                self.shard.handle(self.now, answer, &mut turn);
            }
        }
        for mut command in std::mem::take(&mut self.mailbox) {
            self.remember(&mut command);
            self.shard.handle(self.now, command, &mut turn);
        }
        self.shard.tick(self.now, &mut turn);
        self.shard.dispatch(self.now, &mut turn);
        let past = self.store.apply(self.now, turn.writes, &turn.effects)?;
        self.log.push(past);
        for effect in turn.effects {
            let is_ask = matches!(
                effect,
                Effect::LoadTimers { .. } | Effect::FindExpired { .. } | Effect::LookBack { .. }
            );
            if is_ask { &mut self.asked } else { &mut self.leaving }.push(effect);
        }
        if self.chance.happens(100) { self.examine() } else { Ok(()) }
    }

    /// Puts with each wait its run's event.
    fn remember(&self, command: &mut Command) {
        let Command::Report(report) = command else { return };
        let own = self.shard.event_of(report.run).and_then(|event| self.store.event(event));
        for place in report.ops.iter_mut().filter_map(Op::own_event) {
            place.clone_from(&own);
        }
    }

    fn examine(&self) -> Result<(), String> {
        self.shard.audit()?;
        let loaded = self.load()?;
        if loaded.portrait() == self.shard.portrait() {
            Ok(())
        } else {
            Err(format!("loaded it is {:#?}, live {:#?}", loaded.portrait(), self.shard.portrait()))
        }
    }

    fn load(&self) -> Result<Shard, String> {
        let records = self.store.records();
        Shard::load(self.settings.clone(), self.now, records).map_err(|why| why.to_string())
    }

    /// All that is staged is durable, and its effects leave.
    fn commit(&mut self) {
        self.store.commit();
        self.durable_count = self.log.len();
        for effect in std::mem::take(&mut self.leaving) {
            if let Effect::OfferWork(work) = effect {
                self.held.insert(work.run, Held::new(work));
            } else if let Effect::AbandonWork { run, epoch } = effect {
                self.held.retain(|held, work| *held != run || !work.is_under(epoch));
            }
        }
    }

    /// The process dies: what is not durable never was.
    fn crash(&mut self) -> Result<(), String> {
        self.store.roll_back();
        self.log.truncate(self.durable_count);
        self.leaving.clear();
        self.asked.clear();
        self.mailbox.clear();
        self.held.clear();
        self.shard = self.load()?;
        self.connect();
        self.turn()
    }

    /// Something that is held goes on a little.
    fn execute(&mut self) {
        let runs: Vec<RunId> = self.held.keys().copied().collect();
        let Some(run) = self.chance.pick(&runs).copied() else { return };
        let Some(mut held) = self.held.remove(&run) else { return };
        let memos = self.store.memos(run);
        let function = self.store.function(run);
        let (report, is_over) = held.go_on(function, &memos, run);
        self.mailbox.push(Command::Report(report));
        if !is_over {
            self.held.insert(run, held);
        }
    }

    /// Nothing comes any more, and time passes until all has ended.
    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            self.is_look_back_slow = false;
            while !self.held.is_empty() {
                self.execute();
            }
            self.turn()?;
            self.commit();
            let is_quiet = self.held.is_empty() && self.asked.is_empty();
            if is_quiet && self.store.live().is_empty() {
                return self.examine();
            }
            if is_quiet {
                self.now = self.now.plus(LENGTH / 4);
            }
        }
        Err(format!("runs that do not end: {:?}", self.store.live()))
    }
}
