//! A world: one shard, its store, its executor, its callers, and all that goes wrong, out of one seed.

mod clockwork;
mod crash;
mod elsewhere;
mod people;
mod policies;
mod release;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use durable_core::write::META;
use durable_core::{Command, Epoch, EventId, ExecutorId, FunctionSpec, RunId, Timestamp};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::disk_storage::DiskStorage;
use crate::driver::{Driver, Sealed};
use crate::executor::Executor;
use crate::mistake::Mistake;
use crate::mix::Mix;
use crate::model::Model;
use crate::outside::Outside;
use crate::remotes::Remotes;
use crate::storage::{Change, Flaws, MapStorage, Records, Storage};
use crate::tally::Tally;
use elsewhere::Places;

/// More turns in which nothing happens than any sleep takes.
const MOST_IDLE_TURNS: u32 = 4_000;

/// What a world came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Stands for every write and every effect.
    pub hash: u64,
    /// Turns of the shard.
    pub turns: u64,
    /// What happened in it.
    pub tally: Tally,
}

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The seed that shows it.
    pub seed: u64,
    /// It is that of a world about flow control.
    pub is_dense: bool,
    /// After so many turns.
    pub turns: u64,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, turns, what, is_dense } = self;
        let dense = if *is_dense { " --dense" } else { "" };
        write!(
            f,
            "seed {seed}, turn {turns}: {what}\nrerun: cargo run -p durable-sim -- --seed {seed}{dense}"
        )
    }
}

impl std::error::Error for Finding {}

/// What happens at a moment.
#[derive(Clone, Debug)]
enum Happening {
    Mail(Command),
    Turn,
    Commit,
    Release,
    CallEnds { run: RunId, epoch: Epoch, call: usize },
    RemoteCallEnds(u64),
    AppReturns(ExecutorId),
    Caller,
    ExecutorDies,
    Reopen,
}

/// See the module.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the world")]
pub struct World {
    seed: u64,
    is_dense: bool,
    mix: Rc<Mix>,
    mistake: Option<Mistake>,
    chance: Chance,
    clock: Clock,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    order: u64,
    driver: Driver,
    executor: Executor,
    remotes: Remotes,
    places: Places,
    outside: Outside,
    /// What the view holds, and what is durable.
    model: Model,
    durable: (Model, Records),
    /// Turns that are durable and whose effects have not left.
    leaving: VecDeque<Rc<Sealed>>,
    specs: Vec<FunctionSpec>,
    questions: BTreeMap<u64, Command>,
    next_ticket: u64,
    positions: BTreeMap<String, u64>,
    acknowledged: Vec<EventId>,
    promised_runs: Vec<RunId>,
    announced: Vec<RunId>,
    calls_left: u64,
    /// So many waits for events are still answered: what is sent starts runs, which wait.
    answers_left: u64,
    losses: u32,
    is_safe: bool,
    is_poisoned: bool,
    is_drained: bool,
    is_clock_stopped: bool,
    is_connected: bool,
    turns: u64,
    idle_turns: u32,
    digest: Digest,
    tally: Tally,
    /// Says what happens, for a reader.
    pub is_loud: bool,
}

/// Runs a world from its beginning to its end. A panic in it is a finding, too.
pub fn run(seed: u64, mistake: Option<Mistake>, is_loud: bool) -> Result<Outcome, Finding> {
    run_with((seed, false), (mistake, is_loud))
}

/// The same where many events meet little room: most of what happens is decided by flow control.
pub fn run_dense(seed: u64, mistake: Option<Mistake>, is_loud: bool) -> Result<Outcome, Finding> {
    run_with((seed, true), (mistake, is_loud))
}

fn run_with(
    (seed, is_dense): (u64, bool),
    (mistake, is_loud): (Option<Mistake>, bool),
) -> Result<Outcome, Finding> {
    let all = || {
        let mut world = World::new((seed, is_dense), mistake)?;
        world.is_loud = is_loud;
        if is_loud {
            world.tell_mix();
        }
        world.live()
    };
    std::panic::catch_unwind(all).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = format!("a panic: {}", text.unwrap_or_default());
        Err(Finding { seed, is_dense, turns: 0, what })
    })
}

impl World {
    /// A world before its first moment.
    pub fn new((seed, is_dense): (u64, bool), mistake: Option<Mistake>) -> Result<Self, Finding> {
        let mut chance = Chance::new(seed);
        let mix = if is_dense { Mix::dense(&mut chance) } else { Mix::draw(&mut chance) };
        let mix = Rc::new(mix);
        let flaws = Flaws {
            skips_sync: mistake == Some(Mistake::SkipsSync),
            tears: mistake == Some(Mistake::TearsTurns),
        };
        let start = |what| Finding { seed, is_dense, turns: 0, what };
        let storage: Box<dyn Storage> = if mix.has_disk && mistake.is_none_or(Mistake::is_of_driver)
        {
            Box::new(DiskStorage::new(&mut chance, flaws.skips_sync).map_err(start)?)
        } else {
            Box::new(MapStorage::new(flaws))
        };
        let clock = Clock::new();
        let driver = Driver::open(storage, mix.settings.clone(), clock.wall(), (mix.page, mistake));
        let driver = driver.map_err(start)?;
        let model = Model::new(mix.settings.clone(), !mix.is_hostile);
        let executor = Executor::new(chance.fork(), &mix);
        let remotes = Remotes::new(Chance::new(!seed), Rc::clone(&mix));
        let mut world = Self {
            seed,
            is_dense,
            mistake,
            clock,
            agenda: BTreeMap::new(),
            order: 0,
            driver,
            executor,
            remotes,
            places: Places::default(),
            outside: Outside::new(Rc::clone(&mix), chance.draw()),
            durable: (model.clone(), Records::new()),
            model,
            leaving: VecDeque::new(),
            specs: Vec::new(),
            questions: BTreeMap::new(),
            next_ticket: 0,
            positions: BTreeMap::new(),
            acknowledged: Vec::new(),
            promised_runs: Vec::new(),
            announced: Vec::new(),
            calls_left: mix.call_count,
            answers_left: mix.call_count,
            losses: 0,
            is_safe: false,
            is_poisoned: false,
            is_drained: false,
            is_clock_stopped: false,
            is_connected: false,
            turns: 0,
            idle_turns: 0,
            digest: Digest::default(),
            tally: Tally::default(),
            is_loud: false,
            mix,
            chance,
        };
        world.specs = world.draw_specs();
        world.draw_places();
        world.start_application(true);
        world.plan(Duration::ZERO, Happening::Caller);
        Ok(world)
    }

    /// First with faults, then without until all runs have ended, then until all is forgotten.
    pub fn live(&mut self) -> Result<Outcome, Finding> {
        let result = self.all_phases();
        let (seed, is_dense, turns) = (self.seed, self.is_dense, self.turns);
        result.map_err(|what| Finding { seed, is_dense, turns, what })?;
        let (hash, tally) = (self.digest.value(), self.tally.clone());
        Ok(Outcome { hash, turns, tally })
    }

    fn all_phases(&mut self) -> Result<(), String> {
        while self.calls_left > 0 {
            self.step()?;
        }
        for _ in 0..self.chance.within(0, 60) {
            self.step()?;
        }
        self.begin_liveness()?;
        while !self.is_at_rest() {
            self.step()?;
        }
        self.check_rest()?;
        let until = self.clock.latest().plus(self.mix.settings.retention * 2).plus(LONGEST_MEMORY);
        let stride = self.mix.settings.retention / 16;
        while self.clock.wall() < until {
            self.clock.reach(self.clock.steady().plus(stride));
            self.turn()?;
            while !self.is_at_rest() {
                self.step()?;
                self.kill_while_forgetting()?;
            }
        }
        self.check_forgotten()
    }

    /// Nothing is under way and no run lives.
    fn is_at_rest(&self) -> bool {
        self.agenda.is_empty()
            && self.driver.asked.is_empty()
            && self.driver.mailbox.is_empty()
            && self.driver.uncommitted.is_empty()
            && self.leaving.is_empty()
            && self.model.live().next().is_none()
    }

    /// Whatever comes next: a happening, or a deadline of the shard.
    fn step(&mut self) -> Result<(), String> {
        let deadline = self.driver.shard.next_deadline().map(|at| self.clock.when(at));
        let deadline = deadline.filter(|_| !self.is_poisoned);
        let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let is_deadline = deadline.is_some_and(|deadline| next.is_none_or(|next| deadline < next));
        if is_deadline || next.is_none() {
            let at = deadline.unwrap_or_else(|| self.clock.steady());
            let at = self.oversleep(at, next);
            self.clock.reach(at);
            return self.turn();
        }
        let Some(((at, _), happening)) = self.agenda.pop_first() else { return Ok(()) };
        self.clock.reach(at);
        if self.is_loud {
            self.tell(&happening);
        }
        self.happen(happening)?;
        if self.is_safe { Ok(()) } else { self.draw_faults() }
    }

    /// Where nothing but the shard's own housekeeping happens, the machine sleeps for a while.
    fn oversleep(&mut self, at: Timestamp, next: Option<Timestamp>) -> Timestamp {
        if self.idle_turns < 20 {
            return at;
        }
        let later = at.plus(Duration::from_secs(self.chance.below(12 * 3_600)));
        next.map_or(later, |next| later.min(next).max(at))
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Mail(command) => {
                self.driver.mailbox.push_back(command);
                if !self.is_planned(&Happening::Turn) {
                    let wait = self.chance.length(Duration::from_micros(500));
                    self.plan(wait, Happening::Turn);
                }
                Ok(())
            }
            Happening::Turn => self.turn(),
            Happening::Commit => self.commit(),
            Happening::Release => self.release(),
            Happening::CallEnds { run, epoch, call } => {
                let now = self.clock.wall();
                self.executor.end_call((run, epoch, call), &mut self.outside, now);
                self.carry_out()
            }
            Happening::RemoteCallEnds(call) => {
                self.remotes.end_call(call, &self.outside);
                self.carry_out()
            }
            Happening::AppReturns(executor) => {
                self.return_to_work(executor);
                Ok(())
            }
            Happening::Caller => {
                self.call();
                if self.calls_left > 0 {
                    let pause = self.chance.length(self.mix.pause);
                    self.plan(pause, Happening::Caller);
                }
                Ok(())
            }
            Happening::ExecutorDies => {
                self.replace_executor();
                Ok(())
            }
            Happening::Reopen => self.fall(crate::storage::Cut::Kill),
        }
    }

    fn turn(&mut self) -> Result<(), String> {
        if self.is_poisoned {
            return Ok(());
        }
        self.turns = self.turns.saturating_add(1);
        if self.turns > self.mix.most_turns || self.idle_turns > MOST_IDLE_TURNS {
            return Err(format!("no rest after {} turns: {}", self.turns, self.what_lives()));
        }
        let times = (self.clock.wall(), self.clock.latest());
        let most = self.chance.size(1, 6);
        let sealed = self.driver.turn(times, most, &mut self.chance)?;
        self.digest.take(&sealed);
        if self.is_loud {
            Self::tell_turn(&sealed);
        }
        self.watch(&sealed)?;
        self.stop_the_clock_in_time();
        let is_reading = |command: &Command| {
            matches!(command, Command::LoadTimers { .. } | Command::Expire { .. })
        };
        let is_mark = |change: &Change| change.key.first() == Some(&META);
        let is_idle = sealed.changes.iter().all(is_mark) && sealed.commands.iter().all(is_reading);
        self.idle_turns = if is_idle { self.idle_turns.saturating_add(1) } else { 0 };
        if !self.driver.mailbox.is_empty() || !self.driver.asked.is_empty() {
            self.plan(Duration::ZERO, Happening::Turn);
        }
        if let Some(Mistake::OffersEarly | Mistake::AnswersEarly) = self.mistake {
            self.let_out(&sealed, true)?;
        }
        if !self.is_planned(&Happening::Commit) {
            let wait = self.chance.length(self.mix.commit);
            self.plan(wait, Happening::Commit);
        }
        Ok(())
    }

    fn has_disk(&self) -> bool {
        self.mix.has_disk && self.mistake.is_none_or(Mistake::is_of_driver)
    }

    fn plan(&mut self, wait: Duration, happening: Happening) {
        self.order = self.order.saturating_add(1);
        self.agenda.insert((self.clock.steady().plus(wait), self.order), happening);
    }

    fn is_planned(&self, what: &Happening) -> bool {
        let kind = std::mem::discriminant(what);
        self.agenda.values().any(|happening| std::mem::discriminant(happening) == kind)
    }

    fn what_lives(&self) -> String {
        let live: Vec<String> =
            self.model.live().map(|(id, life)| format!("{id}: {:?}", life.record)).collect();
        format!("{} agenda {:?}", live.join("\n"), self.agenda)
    }

    #[expect(clippy::print_stderr, reason = "only for a reader who asked for it")]
    fn tell_mix(&self) {
        eprintln!("{:#?}", self.mix);
    }

    #[expect(clippy::print_stderr, reason = "only for a reader who asked for it")]
    fn tell(&self, happening: &Happening) {
        eprintln!("{} turn {}: {happening:?}", self.clock.wall().as_millis(), self.turns);
    }
}

/// Longer than any id is remembered.
const LONGEST_MEMORY: Duration = Duration::from_hours(48);
