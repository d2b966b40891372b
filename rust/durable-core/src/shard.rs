//! One shard: all that is known of its functions, events and runs, and what happens next.
//!
//! A turn is `handle` for each command, then `tick`, then `dispatch`, which closes it. Each verb has a
//! file of its own.

mod admit;
mod arrive;
mod check;
mod deadline;
mod dispatch;
mod end;
mod enqueue;
mod executor;
mod expire;
mod flow;
mod gather;
mod inspect;
mod load;
mod pause;
mod program;
mod register;
mod report;
mod retry;
mod route;
mod signal;
mod tell;
mod tick;

use program::Program;

pub use check::Portrait;
pub use inspect::{LimitView, WaitView};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::effect::Effect;
use crate::event::DedupRecord;
use crate::flow::ready_queue::ReadyQueues;
use crate::flow::singleton::Holders;
use crate::flow::timer_wheel::TimerWheel;
use crate::function::FunctionRecord;
use crate::id::{Epoch, EventId, FunctionId, RunId};
use crate::map::Map;
use crate::run::{ParkedOn, RunRecord, Standing};
use crate::time::Timestamp;
use crate::write::{Write, decode, encode, run_key};

/// What a turn changed, and what it wants done once that is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// To be applied in order, all or none.
    pub writes: Vec<Write>,
    /// To be let go in order, after the writes are durable.
    pub effects: Vec<Effect>,
}

/// What may be set for a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What chance is drawn from: ids and jitter. Differs from start to start, but in tests.
    pub seed: u64,
    /// What names that senders choose are hashed behind: run ids tell the seed, and nothing tells this.
    pub secret: u64,
    /// How long events and ended runs are kept: a day at least.
    pub retention: Duration,
    /// What a single run may use.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            secret: 0,
            retention: Duration::from_hours(7 * 24),
            limits: Limits::default(),
        }
    }
}

/// What a single run may use, and what is kept in memory at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps with a memo and steps without, together.
    pub steps: u32,
    /// Steps without a memo at one time.
    pub pending_steps: usize,
    /// Bytes of one step's output, or of the run's result.
    pub output_bytes: usize,
    /// Bytes of all of its memos.
    pub state_bytes: u64,
    /// How far ahead a sleep may end.
    pub sleep: Duration,
    /// How far ahead timers are held in memory.
    pub timer_window: Duration,
    /// How many timers are held in memory, about.
    pub timer_count: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 1_000,
            pending_steps: 10_000,
            output_bytes: 4 * 1024 * 1024,
            state_bytes: 32 * 1024 * 1024,
            sleep: Duration::from_hours(366 * 24),
            timer_window: Duration::from_mins(10),
            timer_count: 1_000_000,
        }
    }
}

/// How many runs there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each function, in the order of their numbers.
    pub functions: Vec<FunctionCounts>,
    /// Runs that have not ended.
    pub live_count: usize,
    /// Pieces of work with the executor.
    pub executing_count: u32,
    /// Timers held in memory.
    pub timer_count: usize,
    /// Reports that counted for nothing, since the shard was loaded.
    pub stale_report_count: u64,
}

/// How many runs of one function there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// The function's name.
    pub name: String,
    /// Runs of which something is ready.
    pub queued: u64,
    /// Runs of which something executes.
    pub running: u64,
    /// Its stretches of code and steps that execute: the slots taken.
    pub executing: u32,
    /// Runs that wait, by what for.
    pub parked: ParkedCounts,
    /// Runs that ended well, ever.
    pub completed: u64,
    /// Runs that failed, ever.
    pub failed: u64,
    /// Runs that were cancelled, ever.
    pub cancelled: u64,
    /// Events that were not let start a run, ever.
    pub skipped: u64,
    /// Keys for which an event had no value, ever.
    pub missing_keys: u64,
    /// Priorities that gave no number, ever.
    pub priority_errors: u64,
    /// It is paused.
    pub is_paused: bool,
}

/// How many runs of one function wait for what. One that waits for several things is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedCounts {
    /// For a signal alone.
    pub signal: u64,
    /// For the end of a sleep, and nothing of them failed.
    pub sleep: u64,
    /// For the next try of something that failed.
    pub retry: u64,
    /// For more events, before they start.
    pub events: u64,
}

impl ParkedCounts {
    /// All that wait.
    pub fn total(self) -> u64 {
        self.going_on().saturating_add(self.signal)
    }

    /// Those that go on by themselves, in time.
    pub fn going_on(self) -> u64 {
        self.sleep.saturating_add(self.retry).saturating_add(self.events)
    }
}

/// The scheduler of one namespace. See the crate's first page for how it is used.
#[derive(Debug)]
pub struct Shard {
    settings: Settings,
    chance: u64,
    meta: Meta,
    functions: Vec<Function>,
    names: BTreeMap<String, FunctionId>,
    routes: BTreeMap<String, Vec<FunctionId>>,
    inbox: BTreeMap<String, u64>,
    runs: Map<RunId, Slot>,
    queues: ReadyQueues,
    /// For each singleton's key its run.
    singletons: Holders,
    /// For each key for which events are gathered the run that does.
    gatherings: Holders,
    /// For each signal that is waited for who does: the run, and the number of its step.
    signals: Holders<(RunId, u32)>,
    /// Runs of which something executes: at most as many as the executor has capacity.
    executing: BTreeSet<RunId>,
    capacity: u32,
    wheel: TimerWheel,
    /// Timers below this key are in the wheel; the others only in the store.
    timers_loaded: Bytes,
    /// The window that was asked for and has not come: its first key, and the one behind its last.
    timers_asked: Option<(Bytes, Bytes)>,
    expiry: expire::Expiry,
    telling: tell::Telling,
    stale_report_count: u64,
    /// Reports of paused functions' code that are not confirmed yet, while steps of it execute.
    withheld: BTreeMap<RunId, (Epoch, Vec<u32>)>,
    /// Timers that are due have not fired, and functions with timeouts wait for them.
    is_behind: bool,
    turn: TurnState,
}

/// The shard's own record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    /// Time inside the core never goes backwards, restarts included.
    now: Timestamp,
    last_event: EventId,
    last_run: RunId,
    /// Events made before this one have been looked at for their age, and runs likewise.
    events_expired: EventId,
    runs_expired: RunId,
}

#[derive(Debug)]
struct Function {
    record: FunctionRecord,
    program: Program,
    standings: Standings,
    /// An executor takes work of it.
    is_served: bool,
}

/// How many runs of a function stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standings {
    queued: u64,
    running: u64,
    parked: ParkedCounts,
}

impl Standings {
    fn count(&mut self, standing: Standing, change: i8) {
        let counter = match standing {
            Standing::Queued => &mut self.queued,
            Standing::Running => &mut self.running,
            Standing::Parked(ParkedOn::Signal) => &mut self.parked.signal,
            Standing::Parked(ParkedOn::Sleep) => &mut self.parked.sleep,
            Standing::Parked(ParkedOn::Retry) => &mut self.parked.retry,
            Standing::Parked(ParkedOn::Events) => &mut self.parked.events,
        };
        *counter = counter.saturating_add_signed(change.into());
    }
}

/// A live run in memory: as the bytes of its record while nothing happens to it.
#[derive(Debug)]
enum Slot {
    Packed(Box<[u8]>),
    Open(Box<RunRecord>),
}

impl Slot {
    fn unpack(&self) -> RunRecord {
        match self {
            Self::Packed(bytes) => {
                decode("a live run", bytes).unwrap_or_else(|why| broken(&why.to_string()))
            }
            Self::Open(run) => run.as_ref().clone(),
        }
    }
}

/// What must be remembered until the turn is closed.
#[derive(Debug, Default)]
struct TurnState {
    /// Runs that may have changed, with the state that the counters have for them.
    touched: BTreeMap<RunId, Option<(FunctionId, Standing)>>,
    /// Functions whose records have changed.
    functions: BTreeSet<FunctionId>,
    /// Senders' event ids of this turn, which the store cannot know yet.
    dedups: BTreeMap<String, DedupRecord>,
}

impl Shard {
    /// Obeys one command.
    pub fn handle(&mut self, now: Timestamp, command: Command, turn: &mut Turn) {
        self.advance_clock(now);
        match command {
            Command::RegisterFunctions { ticket, app, functions } => {
                self.register(ticket, &app, functions, turn);
            }
            Command::AcceptEvents { ticket, events, source } => {
                self.accept(ticket, events, source, turn);
            }
            Command::InvokeFunction { ticket, function, data } => {
                self.invoke(ticket, &function, data, turn);
            }
            Command::PauseFunction { ticket, function, is_paused } => {
                self.pause(ticket, &function, is_paused, turn);
            }
            Command::CancelRun { ticket, run } => self.cancel_asked(ticket, run, turn),
            Command::SendSignal { ticket, signal, data } => {
                self.send_signal(ticket, &signal, &data, turn);
            }
            Command::ConnectExecutor { capacity, functions } => self.connect(capacity, &functions),
            Command::DrainExecutor => self.capacity = 0,
            Command::WakeRun { run } => self.wake_by_itself(run),
            Command::Report(report) => self.report(report, turn),
            Command::LoadTimers { timers, is_complete } => self.load_timers(&timers, is_complete),
            Command::TellEnd { run, records } => self.tell_end(run, &records, turn),
            Command::Expire { from, before, records, is_complete } => {
                self.expire((&from, &before), &records, is_complete, turn);
            }
        }
    }

    /// When to call [`Self::tick`] next, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [
            self.wheel.next_due(),
            self.timers_wanted_at(),
            self.queues.next_alarm(),
            Some(self.expiry.next_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The shard's own time: the latest moment it was told.
    pub fn now(&self) -> Timestamp {
        self.meta.now
    }

    /// How far a source of events has got: the position of its last accepted batch.
    pub fn source_position(&self, source: &str) -> Option<u64> {
        self.inbox.get(source).copied()
    }

    /// Whether timers that are due have not fired yet: meanwhile nothing of functions with timeouts is handed
    /// out, since some of it may be too late.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The functions by number, as registered.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionRecord> {
        self.functions.iter().map(|function| &function.record)
    }

    /// How many runs there are of each kind. Costs nothing that grows with them.
    pub fn counts(&self) -> Counts {
        let numbered = (0..).map(FunctionId).zip(&self.functions);
        let functions = numbered.map(|(id, function)| FunctionCounts {
            executing: self.queues.executing_count(id),
            name: function.record.spec.name.clone(),
            queued: function.standings.queued,
            running: function.standings.running,
            parked: function.standings.parked,
            completed: function.record.completed_count,
            failed: function.record.failed_count,
            cancelled: function.record.cancelled_count,
            skipped: function.record.skipped_count,
            missing_keys: function.record.missing_key_count,
            priority_errors: function.record.priority_error_count,
            is_paused: function.record.is_paused,
        });
        Counts {
            functions: functions.collect(),
            live_count: self.runs.len(),
            executing_count: self.queues.taken_count(),
            timer_count: self.wheel.len(),
            stale_report_count: self.stale_report_count,
        }
    }

    fn advance_clock(&mut self, now: Timestamp) -> Timestamp {
        self.meta.now = self.meta.now.max(now);
        self.meta.now
    }

    /// A number that nobody can guess: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over the seed.
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn next_event_id(&mut self) -> EventId {
        let now = self.now();
        let chance = u128::from(self.draw()) << 16;
        self.meta.last_event = EventId::after(self.meta.last_event, now, chance);
        self.meta.last_event
    }

    fn next_run_id(&mut self) -> RunId {
        let now = self.now();
        let chance = u128::from(self.draw()) << 16;
        self.meta.last_run = RunId::after(self.meta.last_run, now, chance);
        self.meta.last_run
    }

    fn function(&self, id: FunctionId) -> &Function {
        let function = usize::try_from(id.0).ok().and_then(|index| self.functions.get(index));
        function.unwrap_or_else(|| broken(&format!("there is no function number {}", id.0)))
    }

    fn function_mut(&mut self, id: FunctionId) -> &mut Function {
        let function = usize::try_from(id.0).ok().and_then(|index| self.functions.get_mut(index));
        function.unwrap_or_else(|| broken(&format!("there is no function number {}", id.0)))
    }

    /// A live run, unpacked and written with this turn; `None` where there is no such live run.
    fn open(&mut self, id: RunId) -> Option<&mut RunRecord> {
        let slot = self.runs.get_mut(id)?;
        if let Slot::Packed(bytes) = slot {
            let record = decode("a live run", bytes).unwrap_or_else(|why| broken(&why.to_string()));
            *slot = Slot::Open(Box::new(record));
        }
        let Slot::Open(run) = slot else { return None };
        self.turn.touched.entry(id).or_insert_with(|| Some((run.function, run.standing())));
        Some(run)
    }

    /// A run that must be there.
    fn opened(&mut self, id: RunId) -> &mut RunRecord {
        self.open(id).unwrap_or_else(|| broken(&format!("run {id} should be live and is not")))
    }

    fn count(&mut self, function: FunctionId, standing: Standing, change: i8) {
        self.function_mut(function).standings.count(standing, change);
    }

    /// Writes what the turn has changed. Runs in which nothing executes are packed.
    fn close(&mut self, turn: &mut Turn) {
        for (id, before) in std::mem::take(&mut self.turn.touched) {
            if let Some((function, standing)) = before {
                self.count(function, standing, -1);
            }
            let Some(slot) = self.runs.get_mut(id) else {
                self.executing.remove(&id);
                continue;
            };
            let Slot::Open(run) = slot else { continue };
            let (function, standing, value) = (run.function, run.standing(), encode(run.as_ref()));
            if standing == Standing::Running {
                self.executing.insert(id);
            } else {
                self.executing.remove(&id);
                *slot = Slot::Packed(value.as_ref().into());
            }
            self.count(function, standing, 1);
            let key = run_key(id);
            turn.writes.push(match before {
                None => Write::Insert { key, value },
                Some(_) => Write::Put { key, value },
            });
        }
        for id in std::mem::take(&mut self.turn.functions) {
            let value = encode(&self.function(id).record);
            turn.writes.push(Write::Put { key: crate::write::function_key(id), value });
        }
        self.turn.dedups.clear();
        if !turn.writes.is_empty() {
            let key = Bytes::from_static(crate::write::META_KEY);
            turn.writes.push(Write::Put { key, value: encode(&self.meta) });
        }
    }
}

/// Stops the shard: what it believed is not so, and going on would make it worse.
#[expect(
    clippy::panic,
    reason = "a stop is cheaper than a lie: the runtime turns this into poison"
)]
fn broken(what: &str) -> ! {
    panic!("an invariant of the scheduler is broken: {what}")
}
