//! Races around waits: many tiny worlds of a few runs that wait for events, invoke each other and are called off,
//! with time-outs, crashes and look-backs falling between any two turns. An oracle goes through the log of what
//! survived and says which event each wait must have taken.
//!
//! Smaller than [`crate::world`], so that a million schedules take minutes.

mod elsewhere;
mod executor;
mod oracle;

use std::collections::BTreeMap;
use std::mem::replace;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use durable_core::write::{RUN, id_in_key};
use durable_core::{
    CancelOn, Command, Effect, FunctionSpec, NewEvent, Policies, RunId, Settings, Ticket, Timestamp,
};

use crate::chance::Chance;
use crate::driver::{Driver, Sealed};
use crate::storage::{Cut, MapStorage, Storage};
use executor::Held;
use oracle::Past;

/// A wait lasts at most so long.
const LENGTH: Duration = Duration::from_secs(10);
/// So much happens in one world, about.
const HAPPENINGS: u32 = 24;
/// So few records are read at once that look-backs go on for several turns.
const PAGE: usize = 2;

/// One world.
struct Race {
    chance: Chance,
    has_cancel_on: bool,
    settings: Settings,
    driver: Driver,
    now: Timestamp,
    /// All turns that are in the store, and how many of them are durable.
    log: Vec<Rc<Sealed>>,
    durable_count: usize,
    held: BTreeMap<RunId, Held>,
    places: elsewhere::Places,
}

/// Plays one world; `Err` says what should not be.
pub fn race(seed: u64) -> Result<(), String> {
    let mut race = Race::new(seed)?;
    for _ in 0..HAPPENINGS {
        race.happen()?;
    }
    race.finish()?;
    let past: Result<Vec<Past>, String> = race.log.iter().map(|turn| Past::of(turn)).collect();
    oracle::check(seed, &past?, race.has_cancel_on)
}

fn functions(has_cancel_on: bool) -> Vec<FunctionSpec> {
    let mut waiter =
        FunctionSpec { triggers: vec!["start".to_owned()], ..FunctionSpec::new("app", "waiter") };
    if has_cancel_on {
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
        let has_cancel_on = chance.happens(500);
        let functions = functions(has_cancel_on);
        let storage: Box<dyn Storage> = Box::<MapStorage>::default();
        let driver = Driver::open(storage, settings.clone(), now, (PAGE, None))?;
        let (log, held) = (Vec::new(), BTreeMap::new());
        let (durable_count, places) = (0, elsewhere::Places::draw(seed));
        let mut race =
            Self { chance, has_cancel_on, settings, driver, now, log, durable_count, held, places };
        let (ticket, app) = (Ticket(0), "app".to_owned());
        race.driver.mailbox.push_back(Command::RegisterFunctions { ticket, app, functions });
        race.connect();
        race.turn()?;
        race.commit()?;
        Ok(race)
    }

    fn happen(&mut self) -> Result<(), String> {
        match self.chance.below(100) {
            0..=29 => self.send(),
            30..=59 => self.execute(),
            60..=71 => self.now = self.now.plus(self.some_time()),
            72..=81 => self.commit()?,
            82..=87 => return self.crash(),
            88..=90 => self.call_off(),
            91..=97 => self.disturb(),
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
        self.driver.mailbox.push_back(Command::AcceptEvents {
            ticket: Ticket(1),
            events,
            source: None,
        });
    }

    fn call_off(&mut self) {
        let runs = self.live();
        if let Some(run) = self.chance.pick(&runs).copied() {
            self.driver.mailbox.push_back(Command::CancelRun { ticket: Ticket(2), run });
        }
    }

    /// The runs that have not ended.
    fn live(&self) -> Vec<RunId> {
        let records = self.driver.storage.scan(&[RUN], &[RUN + 1], usize::MAX);
        let ids = records.iter().filter_map(|(key, _)| id_in_key(key));
        ids.map(RunId::from_bytes).collect()
    }

    fn turn(&mut self) -> Result<(), String> {
        let turn = self.driver.turn((self.now, self.now), usize::MAX, &mut self.chance)?;
        self.log.push(turn);
        if self.chance.happens(100) { self.driver.examine(&self.settings) } else { Ok(()) }
    }

    /// All that is staged is durable, and its effects leave.
    fn commit(&mut self) -> Result<(), String> {
        let turns = self.driver.commit()?;
        for (effect, memos) in turns.iter().flat_map(|turn| &turn.effects) {
            if let Effect::OfferWork(work) = effect {
                let held = Held::new(work.clone(), memos.clone());
                let before = self.held.insert(work.run, held);
                self.places.late.extend(before.filter(|held| !held.is_here()));
            } else if let Effect::AbandonWork { run, epoch } = effect {
                self.held.retain(|held, work| held != run || !work.is_under(*epoch));
            }
        }
        self.durable_count = self.log.len();
        Ok(())
    }

    /// The process dies: what is not durable never was.
    fn crash(&mut self) -> Result<(), String> {
        let nothing: Box<dyn Storage> = Box::<MapStorage>::default();
        let mut storage = replace(&mut self.driver.storage, nothing);
        storage.reopen(Cut::Kill, &mut self.chance)?;
        self.driver = Driver::open(storage, self.settings.clone(), self.now, (PAGE, None))?;
        self.log.truncate(self.durable_count);
        let held = std::mem::take(&mut self.held).into_values();
        self.places.late.extend(held.filter(|held| !held.is_here()));
        self.connect();
        self.turn()
    }

    /// Something that is held goes on a little.
    fn execute(&mut self) {
        let runs: Vec<RunId> = self.held.keys().copied().collect();
        let Some(run) = self.chance.pick(&runs).copied() else { return };
        let Some(mut held) = self.held.remove(&run) else { return };
        let (report, is_over) = held.go_on();
        self.driver.mailbox.push_back(Command::Report(report));
        if !is_over {
            self.held.insert(run, held);
        }
    }

    /// Nothing comes any more, and time passes until all has ended.
    fn finish(&mut self) -> Result<(), String> {
        self.come_back();
        for _ in 0..400 {
            while !self.held.is_empty() {
                self.execute();
            }
            self.turn()?;
            self.commit()?;
            let is_quiet = self.held.is_empty() && self.driver.asked.is_empty();
            if is_quiet && self.live().is_empty() {
                return self.driver.examine(&self.settings);
            }
            if is_quiet {
                self.now = self.now.plus(LENGTH / 4);
            }
        }
        Err(format!("runs that do not end: {:?}", self.live()))
    }
}
