//! The slow obvious model: what must follow from what was told to the shard, said a second time.
//!
//! It learns from what turns wrote and let go, and compares each with what it expects. It is cloned and
//! rolled back, as the store is, by a crash.

mod admission;
mod calls;
mod executors;
mod expiry;
mod flow;
mod gathering;
mod gcra;
mod keys;
mod lives;
mod messages;
mod progress;
mod repeating;
mod room;
pub mod says;
pub mod schedules;
mod signals;
mod standing;
mod telling;
mod waits;
mod walk;

pub use flow::DECISIONS;
pub(crate) use progress::holds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::storage::Change;
use durable_core::write::{
    CHANNEL, DEDUP, EVENT, FUNCTION, GATE, HISTORY, INBOX, MEMO, MESSAGE, META, RUN, SCHEDULE,
    TIMER, UNTOLD, decode, id_in_key, read_history,
};
use durable_core::{
    Effect, EventId, EventRecord, FunctionId, FunctionRecord, FunctionSpec, Memo, RunEnd, RunId,
    RunRecord, Settings, Timestamp,
};
use flow::Counted;
use gathering::Bucket;
use keys::Frozen;
pub use lives::Lives;
use walk::Walk;

use crate::driver::Sealed;
use crate::outside::Outside;
use crate::tally::Tally;

/// For so long an id starts no second run of a function.
const DEDUP_WINDOW: Duration = Duration::from_hours(24);

/// A run, from its creation on.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its function.
    pub function: FunctionId,
    /// Its events: one, or those of a batch in the order of their arrival.
    pub events: Vec<EventId>,
    /// Names of all events that ever went into it.
    names: Vec<String>,
    /// When it was created, or had gathered its events.
    created_at: Timestamp,
    /// What it counts against.
    keys: Frozen,
    /// What it gathers, while it does.
    bucket: Option<Bucket>,
    /// Not before this moment does it start.
    pub starts_at: Timestamp,
    starts_when_gathered: Option<Timestamp>,
    /// When it could start, once it could.
    ready_at: Option<Timestamp>,
    has_started: bool,
    /// How much else was handed out while something of it waited.
    passed_over: u32,
    /// As last written.
    pub record: Option<RunRecord>,
    /// The run that it repeats.
    rerun_of: Option<RunId>,
    /// What it must take over from that and has not yet.
    to_take: VecDeque<Memo>,
    /// How many of its memos are another run's.
    taken_count: usize,
    /// Its waits for events, and what cancels it.
    hearing: waits::Hearing,
    /// Its steps that wait for other runs' ends.
    calls: calls::Calls,
    /// Other runs' steps that wait for its end.
    invokers: calls::Invokers,
    /// Its memos.
    pub memos: Vec<Memo>,
    /// How it ended.
    pub end: Option<RunEnd>,
    /// Its history is kept no longer.
    is_forgotten: bool,
}

impl Life {
    fn new(function: FunctionId, event: EventId) -> Self {
        Self {
            function,
            events: vec![event],
            names: Vec::new(),
            created_at: Timestamp::default(),
            keys: Frozen::default(),
            bucket: None,
            starts_at: Timestamp::default(),
            starts_when_gathered: None,
            ready_at: None,
            has_started: false,
            passed_over: 0,
            record: None,
            rerun_of: None,
            to_take: VecDeque::new(),
            taken_count: 0,
            hearing: waits::Hearing::default(),
            calls: calls::Calls::new(),
            invokers: calls::Invokers::new(),
            memos: Vec::new(),
            end: None,
            is_forgotten: false,
        }
    }
}

/// What is known of a sender's id.
#[derive(Clone, Debug)]
struct Sender {
    first: EventId,
    runs: Vec<(FunctionId, RunId)>,
}

/// What the store must hold, and why.
#[derive(Clone, Debug)]
pub struct Model {
    settings: Settings,
    is_honest: bool,
    /// It only follows a turn that was looked at before.
    is_following: bool,
    specs: Vec<(FunctionSpec, bool)>,
    functions: Vec<FunctionRecord>,
    inbox: BTreeMap<String, u64>,
    senders: BTreeMap<String, Sender>,
    /// Events that are kept.
    pub events: BTreeMap<EventId, EventRecord>,
    /// Every run there ever was.
    pub runs: Lives,
    paused: BTreeSet<FunctionId>,
    counts: BTreeMap<FunctionId, Counted>,
    passed: gcra::Passed,
    given: signals::Given,
    channels: BTreeMap<[u8; 16], messages::Channel>,
    telling: telling::Telling,
    schedules: schedules::Schedules,
    /// The last event, and the last before the present turn.
    last_event: EventId,
    last_before: EventId,
    /// What steps were told in the present turn.
    told: BTreeMap<(RunId, String), calls::Told>,
    /// Who takes work.
    executors: executors::Executors,
}

impl Model {
    /// Of an empty store. Of dishonest executors less is expected.
    pub fn new(settings: Settings, is_honest: bool) -> Self {
        Self {
            settings,
            is_honest,
            is_following: false,
            specs: Vec::new(),
            functions: Vec::new(),
            inbox: BTreeMap::new(),
            senders: BTreeMap::new(),
            events: BTreeMap::new(),
            runs: Lives::default(),
            paused: BTreeSet::new(),
            counts: BTreeMap::new(),
            passed: gcra::Passed::default(),
            given: signals::Given::default(),
            channels: BTreeMap::new(),
            telling: telling::Telling::default(),
            schedules: schedules::Schedules::default(),
            last_event: EventId::default(),
            last_before: EventId::default(),
            told: BTreeMap::new(),
            executors: executors::Executors::default(),
        }
    }

    /// The process has been started again: no executor is there.
    pub fn restart(&mut self) {
        self.executors = executors::Executors::default();
        self.telling.restart();
    }

    /// Runs that have not ended.
    pub fn live(&self) -> impl Iterator<Item = (RunId, &Life)> {
        self.runs.live()
    }

    /// The setting of a function.
    pub fn spec(&self, function: FunctionId) -> Option<&FunctionSpec> {
        self.specs.get(function.index()).map(|(spec, _)| spec)
    }

    /// Whether a step of a run is recorded.
    pub fn is_recorded(&self, run: RunId, step: &str) -> bool {
        let life = self.runs.get(run);
        life.is_some_and(|life| life.memos.iter().any(|memo| memo.name == step))
    }

    /// Takes a turn in that another model has looked at.
    pub fn follow(&mut self, turn: &Sealed, outside: &mut Outside) -> Result<(), String> {
        self.is_following = true;
        let taken = self.take(turn, outside, &mut Tally::default());
        self.is_following = false;
        taken
    }

    /// Takes a turn in. `Err` says what should not be.
    pub fn take(
        &mut self,
        turn: &Sealed,
        outside: &mut Outside,
        tally: &mut Tally,
    ) -> Result<(), String> {
        check_ends(turn)?;
        let mut walk = Walk::new(turn, tally)?;
        self.go_through(&mut walk)?;
        self.settle(&walk);
        let Walk { told, written, .. } = walk;
        self.told = told;
        for change in &turn.changes {
            self.take_change(turn, change, outside, tally)?;
        }
        self.check_told()?;
        self.check_hearing(&written)?;
        self.check_offers(turn, tally)?;
        self.check_room(turn, tally)?;
        self.check_lost(turn)?;
        self.check_signals(turn, tally)?;
        self.check_messages(turn, tally)?;
        self.check_untold()?;
        self.check_schedules(turn)?;
        if self.is_following {
            return Ok(());
        }
        self.check_deadlines()?;
        self.check_singletons()?;
        self.check_functions()
    }

    /// Functions are kept as they were registered, paused and counted.
    fn check_functions(&self) -> Result<(), String> {
        for (function, (spec, is_archived)) in (0..).map(FunctionId).zip(&self.specs) {
            let written = self.functions.get(function.index());
            let counted = self.counts.get(&function).copied().unwrap_or_default();
            let is_same = written.is_some_and(|kept| {
                kept.spec == *spec
                    && kept.is_archived == *is_archived
                    && kept.is_paused == self.is_paused(function)
                    && counts_of(kept) == counted
            });
            require(is_same, || {
                format!("function '{}' is kept as {written:?}, not {counted:?}", spec.name)
            })?;
        }
        Ok(())
    }

    fn take_change(
        &mut self,
        turn: &Sealed,
        change: &Change,
        outside: &mut Outside,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let key = &change.key;
        let id = || id_in_key(key).ok_or_else(|| "a key is cut short".to_owned());
        match (key.first(), &change.value) {
            (Some(&RUN), Some(value)) => {
                self.take_run(turn, RunId::from_bytes(id()?), value, tally)
            }
            (Some(&MEMO), Some(value)) => {
                let memo: Memo = read("a memo", value)?;
                calls::note_memo(&memo, tally);
                self.take_memo(turn, RunId::from_bytes(id()?), (key, memo), outside)
            }
            (Some(&HISTORY), Some(value)) => {
                let history = read_history(value).map_err(|why| why.to_string())?;
                self.take_history(turn, (RunId::from_bytes(id()?), &history), outside, tally)
            }
            (Some(&RUN | &MEMO), None) => {
                let run = RunId::from_bytes(id()?);
                let is_ended = self.runs.get(run).is_some_and(|life| life.end.is_some());
                require(is_ended, || format!("a record of run {run} goes while the run lives"))
            }
            (Some(&HISTORY), None) => self.expire_run(turn, RunId::from_bytes(id()?), tally),
            (Some(&EVENT), None) => self.expire_event(turn, EventId::from_bytes(id()?), tally),
            (Some(&DEDUP), None) => self.expire_sender(turn, key),
            (Some(&FUNCTION), Some(value)) => {
                let number: [u8; 4] =
                    key.get(1..5).and_then(|b| b.try_into().ok()).unwrap_or([0; 4]);
                let place = FunctionId(u32::from_be_bytes(number)).index();
                let record: FunctionRecord = read("a function", value)?;
                if place == self.functions.len() {
                    self.functions.push(record);
                } else if let Some(kept) = self.functions.get_mut(place) {
                    *kept = record;
                }
                Ok(())
            }
            (Some(&UNTOLD), value) => self.take_untold(RunId::from_bytes(id()?), value.as_deref()),
            (Some(&EVENT | &DEDUP | &META | &INBOX), Some(_))
            | (Some(&TIMER | &GATE | &SCHEDULE | &CHANNEL | &MESSAGE), _) => Ok(()),
            (other, _) => Err(format!("an unexpected change of {other:?}")),
        }
    }
}

fn counts_of(kept: &FunctionRecord) -> Counted {
    Counted {
        completed: kept.completed_count,
        failed: kept.failed_count,
        cancelled: kept.cancelled_count,
        skipped: kept.skipped_count,
        missing_keys: kept.missing_key_count,
        priority_errors: kept.priority_error_count,
    }
}

/// Each end is announced once, in the turn in which it is recorded.
fn check_ends(turn: &Sealed) -> Result<(), String> {
    let announced = turn.effects.iter().filter_map(|(effect, _)| match effect {
        Effect::AnnounceEnd { run, ending, outcome, .. } => Some((*run, *ending, outcome)),
        Effect::Answer { .. }
        | Effect::OfferWork(_)
        | Effect::DeliverMemo { .. }
        | Effect::ConfirmReport { .. }
        | Effect::AbandonWork { .. }
        | Effect::LoadTimers { .. }
        | Effect::LookBack { .. }
        | Effect::FindEnd { .. }
        | Effect::FindExpired { .. } => None,
    });
    let recorded = turn.ends.iter().map(|(run, end)| (*run, end.ending, &end.outcome));
    require(announced.eq(recorded), || "ends recorded and ends announced differ".to_owned())
}

pub(crate) fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, String> {
    decode(what, bytes).map_err(|why| why.to_string())
}
