//! One shard: all that is known of its functions, events and runs, and what happens next.
//!
//! A turn is `handle` for each command, then `tick`, then `dispatch`, which closes it. Each verb has a
//! file of its own.

mod admit;
mod arrive;
mod check;
mod counts;
mod deadline;
mod dispatch;
mod end;
mod enqueue;
mod executor;
mod expire;
mod flow;
mod gather;
mod inspect;
mod invoke;
mod load;
mod pause;
mod program;
mod publish;
mod register;
mod report;
mod rerun;
mod retry;
mod route;
mod schedule;
mod signal;
mod tell;
mod tick;
mod wait;
mod withdraw;

use counts::Standings;
use program::Program;
use schedule::Wanted;

pub use check::Portrait;
pub use counts::{Counts, FunctionCounts, ParkedCounts};
pub use inspect::{LimitView, WaitView};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::channel::{ChannelRecord, Ring};
use crate::command::Command;
use crate::effect::{Effect, Refusal};
use crate::event::DedupRecord;
use crate::flow::ready_queue::ReadyQueues;
use crate::flow::singleton::Holders;
use crate::flow::timer_wheel::TimerWheel;
use crate::function::FunctionRecord;
use crate::id::{Epoch, EventId, ExecutorId, FunctionId, RunId};
use crate::map::Map;
use crate::run::{RunRecord, Standing};
use crate::time::Timestamp;
use crate::waits::Waits;
use crate::write::{Write, decode, encode, run_key};
use wait::Lately;

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
    /// How much of each channel is kept.
    pub ring: Ring,
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
            ring: Ring::default(),
            timer_window: Duration::from_mins(10),
            timer_count: 1_000_000,
        }
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
    /// Who waits for which events.
    waits: Waits,
    /// The last event of each name that came lately.
    lately: Lately,
    /// Waits for which earlier events are to be looked at.
    look_backs: BTreeSet<(RunId, u32)>,
    /// Runs of which something executes: at most as many as the executors have capacity.
    executing: BTreeSet<RunId>,
    wheel: TimerWheel,
    /// Timers below this key are in the wheel; the others only in the store.
    timers_loaded: Bytes,
    /// The window that was asked for and has not come: its first key, and the one behind its last.
    timers_asked: Option<(Bytes, Bytes)>,
    expiry: expire::Expiry,
    telling: tell::Telling,
    schedules: schedule::Schedules,
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
    /// The highest number that a schedule has had.
    last_schedule: u64,
    /// Events made before this one have been looked at for their age, and runs likewise.
    events_expired: EventId,
    runs_expired: RunId,
}

#[derive(Debug)]
struct Function {
    record: FunctionRecord,
    program: Program,
    standings: Standings,
    /// Who took work of it last.
    executor: Option<ExecutorId>,
    /// That one still does.
    is_served: bool,
    /// Since when, where one does: what was due before was missed.
    served_since: Timestamp,
}

/// A live run in memory: as the bytes of its record while nothing happens to it.
#[derive(Debug)]
enum Slot {
    Packed(Box<[u8]>),
    Open(Box<Open>),
}

/// A run to which something happens.
#[derive(Debug)]
struct Open {
    run: RunRecord,
    /// It is among those that this turn may have changed.
    is_touched: bool,
}

impl Slot {
    fn open(run: RunRecord, is_touched: bool) -> Self {
        Self::Open(Box::new(Open { run, is_touched }))
    }

    fn unpack(&self) -> RunRecord {
        match self {
            Self::Packed(bytes) => read("a live run", bytes),
            Self::Open(open) => open.run.clone(),
        }
    }
}

/// What must be remembered until the turn is closed.
#[derive(Debug, Default)]
struct TurnState {
    /// Runs that may have changed, each once, with the state that the counters have for them.
    touched: Vec<(RunId, Option<(FunctionId, Standing)>)>,
    /// Functions whose records have changed.
    functions: BTreeSet<FunctionId>,
    /// Senders' event ids of this turn, which the store cannot know yet.
    dedups: BTreeMap<String, DedupRecord>,
    /// Channels that have changed; `None`: forgotten.
    channels: BTreeMap<[u8; 16], Option<ChannelRecord>>,
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
            Command::InvokeFunction { ticket, function, data, once } => {
                self.invoke(ticket, &function, (data, once), turn);
            }
            Command::PauseFunction { ticket, function, is_paused } => {
                self.pause(ticket, &function, is_paused, turn);
            }
            Command::CancelRun { ticket, run } => self.cancel_asked(ticket, run, turn),
            Command::RerunRun { ticket, rerun } => self.rerun(ticket, *rerun, turn),
            Command::CancelEvent { ticket, event, record } => {
                self.withdraw(ticket, event, record.as_deref(), turn);
            }
            Command::SendSignal { ticket, signal, data } => {
                self.send_signal(ticket, &signal, &data, turn);
            }
            Command::Publish { ticket, message, known } => {
                self.publish(ticket, message, known.as_ref(), turn);
            }
            Command::PutSchedule { ticket, id, function, spec, data } => {
                self.put_schedule(ticket, Wanted { id, function, spec, data }, turn);
            }
            Command::ChangeSchedule { ticket, id, change } => {
                self.change_schedule(ticket, &id, change, turn);
            }
            Command::ConnectExecutor { executor, capacity, functions } => {
                self.connect((executor, capacity), &functions, turn);
            }
            Command::ServeFunctions { executor, functions } => {
                self.serve_all(executor, &functions, turn);
            }
            Command::DrainExecutors => self.queues.drain(),
            Command::WakeRun { run } => self.wake_by_itself(run),
            Command::Report(report) => self.report(report, turn),
            Command::LoadTimers { timers, is_complete } => self.load_timers(&timers, is_complete),
            Command::LookBack { run, number, before, records, is_complete } => {
                self.look_back((run, number), &before, (&records, is_complete), turn);
            }
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

    /// The event that started a live run, of a batch the first.
    pub fn event_of(&self, run: RunId) -> Option<EventId> {
        self.runs.get(run).map(|slot| match slot {
            Slot::Packed(_) => slot.unpack().event,
            Slot::Open(open) => open.run.event,
        })
    }

    /// The functions by number, as registered.
    pub fn functions(&self) -> impl Iterator<Item = &FunctionRecord> {
        self.functions.iter().map(|function| &function.record)
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

    /// The function of this name, unless its application has given it up.
    fn registered(&self, name: &str) -> Result<FunctionId, Refusal> {
        let id = self.names.get(name).copied();
        let id = id.filter(|id| !self.function(*id).record.is_archived);
        id.ok_or_else(|| Refusal::no_function(name))
    }

    fn function_mut(&mut self, id: FunctionId) -> &mut Function {
        let function = usize::try_from(id.0).ok().and_then(|index| self.functions.get_mut(index));
        function.unwrap_or_else(|| broken(&format!("there is no function number {}", id.0)))
    }

    /// A live run, unpacked and written with this turn; `None` where there is no such live run.
    fn open(&mut self, id: RunId) -> Option<&mut RunRecord> {
        let slot = self.runs.get_mut(id)?;
        if let Slot::Packed(bytes) = slot {
            *slot = Slot::open(read("a live run", bytes), false);
        }
        let Slot::Open(open) = slot else { return None };
        if !open.is_touched {
            open.is_touched = true;
            self.turn.touched.push((id, Some((open.run.function, open.run.standing()))));
        }
        Some(&mut open.run)
    }

    /// A run that was unpacked to be looked at is opened: with what was unpacked.
    fn reopen(&mut self, id: RunId, run: RunRecord) {
        if let Some(slot @ Slot::Packed(_)) = self.runs.get_mut(id) {
            *slot = Slot::open(run, false);
        }
    }

    /// A live run that is open, to be looked at.
    fn seen(&self, id: RunId) -> Option<&RunRecord> {
        match self.runs.get(id)? {
            Slot::Open(open) => Some(&open.run),
            Slot::Packed(_) => None,
        }
    }

    /// A run that must be there.
    fn opened(&mut self, id: RunId) -> &mut RunRecord {
        self.open(id).unwrap_or_else(|| broken(&format!("run {id} should be live and is not")))
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
            let Slot::Open(open) = slot else { continue };
            let run = &open.run;
            let (function, standing, value) = (run.function, run.standing(), encode(run));
            if standing == Standing::Running {
                self.executing.insert(id);
                open.is_touched = false;
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
        self.close_channels(turn);
        if !turn.writes.is_empty() {
            let key = Bytes::from_static(crate::write::META_KEY);
            turn.writes.push(Write::Put { key, value: encode(&self.meta) });
        }
    }
}

/// A record that the shard wrote itself.
fn read<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> T {
    decode(what, bytes).unwrap_or_else(|why| broken(&why.to_string()))
}

/// Stops the shard: what it believed is not so, and going on would make it worse.
#[expect(
    clippy::panic,
    reason = "a stop is cheaper than a lie: the runtime turns this into poison"
)]
fn broken(what: &str) -> ! {
    panic!("an invariant of the scheduler is broken: {what}")
}
