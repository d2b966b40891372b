//! Runs: what is kept of one while it lives, and what remains when it has ended.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::flow::policy::Keys;
use crate::flow::timeouts::Deadline;
use crate::id::{Epoch, EventId, FunctionId, RunId};
use crate::step::{Awaits, Cancel, Memo, Outcome, Pending, PendingState, StepKind};
use crate::system::StartedBy;
use crate::time::Timestamp;

/// A live run. One record on disk says all of it but its memos, which have keys of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The function it is a run of.
    pub function: FunctionId,
    /// The event that started it.
    pub event: EventId,
    /// The events behind that one, where a batch started it.
    pub rest: Vec<EventId>,
    /// The run that it repeats.
    pub rerun_of: Option<RunId>,
    /// What decides whether its end is told.
    pub started_by: StartedBy,
    /// When it was created, or had gathered its events; older runs' work goes first.
    pub created_at: Timestamp,
    /// What it counts against, as its event said when it was created.
    pub keys: Keys,
    /// The events that cancel it, as its own said when it was created.
    pub cancels: Vec<Cancel>,
    /// What it has gathered, while it does.
    pub gathering: Option<Gathering>,
    /// When it is cancelled unless it gets on: a timer.
    pub deadline: Option<Deadline>,
    /// When its handler was first called.
    pub started_at: Option<Timestamp>,
    /// The epoch of what was last offered to an executor.
    pub epoch: Epoch,
    /// Where its code between steps stands.
    pub stretch: Stretch,
    /// When that code could begin, began, went on, or reported last.
    pub active_at: Timestamp,
    /// The last event that was accepted before something of it began to execute; `None` while it stands still,
    /// with nothing to do but to wait. Its waits see what came later.
    pub busy_since: Option<EventId>,
    /// The events that ended waits of it meanwhile, by their steps' names: code that goes on behind one of them
    /// looks for later ones.
    pub heard: Vec<(String, EventId)>,
    /// How often the present stretch of code was started, and how often it failed.
    pub start_count: u32,
    /// See `start_count`.
    pub failure_count: u32,
    /// Of these starts, how many failed before they came to a step: a step inside the stretch does not count them.
    pub idle_count: u32,
    /// How many reports of the present stretch have been taken.
    pub report_count: u32,
    /// How many memos it has: they are numbered from 0.
    pub memo_count: u32,
    /// Bytes of all its memos.
    pub state_bytes: u64,
    /// The number for its next pending step.
    pub next_pending: u32,
    /// The steps, of other runs, that wait for its end: by their runs and numbers, with the event of each call.
    pub invokers: Vec<(RunId, u32, EventId)>,
    /// Its steps without a memo.
    pub pending: Vec<Pending>,
}

impl RunRecord {
    /// Under which epochs something of it executes.
    pub fn epochs(&self) -> Vec<Epoch> {
        let stretch = match self.stretch {
            Stretch::Executing(epoch) => Some(epoch),
            Stretch::Queued | Stretch::BackingOff(_) | Stretch::Gathering(_) | Stretch::Parked => {
                None
            }
        };
        let steps = self.pending.iter().filter_map(|step| match step.state {
            PendingState::Executing(epoch) => Some(epoch),
            PendingState::Queued
            | PendingState::BackingOff(_)
            | PendingState::Sleeping(_)
            | PendingState::Waiting(_) => None,
        });
        stretch.into_iter().chain(steps).collect()
    }

    /// How often a step inside the present stretch may have been started.
    pub fn step_start_count(&self) -> u32 {
        self.start_count.saturating_sub(self.idle_count)
    }

    /// What the run looks like from outside: whatever of it is furthest.
    pub fn status(&self) -> RunStatus {
        match self.standing() {
            Standing::Running => RunStatus::Running,
            Standing::Queued => RunStatus::Queued,
            Standing::Parked(_) => RunStatus::Parked,
        }
    }

    /// The same, and what it is parked on.
    pub(crate) fn standing(&self) -> Standing {
        let stretch = match self.stretch {
            Stretch::Executing(_) => Standing::Running,
            Stretch::Queued => Standing::Queued,
            Stretch::BackingOff(_) => Standing::Parked(ParkedOn::Retry),
            Stretch::Gathering(_) => Standing::Parked(ParkedOn::Events),
            Stretch::Parked => Standing::Parked(ParkedOn::Signal),
        };
        let steps = self.pending.iter().map(|pending| match pending.state {
            PendingState::Executing(_) => Standing::Running,
            PendingState::Queued => Standing::Queued,
            PendingState::BackingOff(_) => Standing::Parked(ParkedOn::Retry),
            PendingState::Sleeping(_) => Standing::Parked(ParkedOn::Sleep),
            PendingState::Waiting(_) => Standing::Parked(match &pending.awaits {
                Some(Awaits::Event(_)) => ParkedOn::Wait,
                Some(Awaits::Run(_)) => ParkedOn::Invoke,
                Some(Awaits::Signal(_)) | None => ParkedOn::Signal,
            }),
        });
        steps.fold(stretch, Standing::max)
    }
}

/// Where a live run stands, the least urgent first: of several things the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Parked(ParkedOn),
    Queued,
    Running,
}

/// Why nothing of a run is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ParkedOn {
    /// A signal.
    Signal,
    /// An event.
    Wait,
    /// The end of a run that it started.
    Invoke,
    /// The end of a sleep.
    Sleep,
    /// The next try of what failed.
    Retry,
    /// More events, before it starts.
    Events,
}

/// Where a run's code between steps stands. Each state has exactly one thing that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stretch {
    /// In its function's ready queue.
    Queued,
    /// With an executor, under the run's `epoch` at that time.
    Executing(Epoch),
    /// Not before this moment: a timer. Its code failed, or its event lies in the future.
    BackingOff(Timestamp),
    /// It has not begun, and more events may join it until this moment or later: a timer.
    Gathering(Timestamp),
    /// It waits for a pending step.
    Parked,
}

/// What a debounce or a batch knows of the events that it has gathered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathering {
    /// Whose they are: the function, debounce or batch, and the key's value.
    pub name: Bytes,
    /// When the first came.
    pub first_at: Timestamp,
    /// When the last came.
    pub last_at: Timestamp,
    /// When the one happened that a debounce has kept.
    pub ts: Timestamp,
    /// When that one's run starts, where it lies in the future.
    pub starts_at: Option<Timestamp>,
    /// Bytes of data of all that a batch holds.
    pub bytes: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Its handler returned.
    Completed,
    /// Its handler, or a limit, failed it for good.
    Failed,
    /// It was called off.
    Cancelled,
}

/// An ended run, without its memos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The function it was a run of.
    pub function: FunctionId,
    /// The event that started it.
    pub event: EventId,
    /// The events behind that one, where a batch started it.
    pub rest: Vec<EventId>,
    /// The run that it repeated.
    pub rerun_of: Option<RunId>,
    /// How it ended.
    pub ending: Ending,
    /// Its result or its error.
    pub outcome: Outcome,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its handler was first called.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its steps that were asked for and had no memo when it ended, in the order in which they were asked for.
    pub unrecorded: Vec<(String, StepKind)>,
}

/// All that is kept of an ended run: one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// How it ended.
    pub end: RunEnd,
    /// Its memos in the order in which they were recorded.
    pub memos: Vec<Memo>,
}

/// What a run looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunStatus {
    /// Something of it is ready and waits for a slot.
    Queued,
    /// Something of it is with an executor.
    Running,
    /// It waits for a moment or for something to happen.
    Parked,
    /// Its handler returned.
    Completed,
    /// It failed for good.
    Failed,
    /// It was called off.
    Cancelled,
}

impl RunStatus {
    /// All of them.
    const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Parked, Self::Completed, Self::Failed, Self::Cancelled];

    /// The one of this word; `Err` says in words which there are.
    pub fn named(word: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|status| status.as_str() == word);
        named.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("status '{word}': it is one of {known}")
        })
    }

    /// The word the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Ending> for RunStatus {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Completed => Self::Completed,
            Ending::Failed => Self::Failed,
            Ending::Cancelled => Self::Cancelled,
        }
    }
}

/// Everything a user may ask about one run, live or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// Its state.
    pub status: RunStatus,
    /// The function it is a run of.
    pub function: FunctionId,
    /// The events that started it: one, or those of a batch.
    pub events: Vec<EventId>,
    /// The run that it repeats.
    pub rerun_of: Option<RunId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its handler was first called.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its result or its error, once it has ended.
    pub outcome: Option<Outcome>,
    /// When its code between steps is tried again, where it failed.
    pub retry_at: Option<Timestamp>,
    /// Its remembered steps, in the order in which they were recorded.
    pub memos: Vec<Memo>,
    /// Its steps without a memo.
    pub pending: Vec<Pending>,
}

impl RunView {
    /// A live run and its memos.
    pub fn of_live(run: RunRecord, memos: Vec<Memo>) -> Self {
        Self {
            status: run.status(),
            function: run.function,
            events: std::iter::once(run.event).chain(run.rest).collect(),
            rerun_of: run.rerun_of,
            created_at: run.created_at,
            started_at: run.started_at,
            ended_at: None,
            outcome: None,
            retry_at: match run.stretch {
                Stretch::BackingOff(until) => Some(until),
                Stretch::Queued
                | Stretch::Executing(_)
                | Stretch::Gathering(_)
                | Stretch::Parked => None,
            },
            memos,
            pending: run.pending,
        }
    }

    /// An ended run.
    pub fn of_ended(history: History) -> Self {
        let History { end, memos } = history;
        Self {
            status: end.ending.into(),
            function: end.function,
            events: std::iter::once(end.event).chain(end.rest).collect(),
            rerun_of: end.rerun_of,
            created_at: end.created_at,
            started_at: end.started_at,
            ended_at: Some(end.ended_at),
            outcome: Some(end.outcome),
            retry_at: None,
            memos,
            pending: Vec::new(),
        }
    }
}

/// An error the engine itself gives a run, in the shape that handlers' errors have.
pub(crate) fn engine_error(code: &str, message: &str) -> Bytes {
    let (code, message) = (json_text(code), json_text(message));
    Bytes::from(format!("{{\"name\":{code},\"message\":{message},\"stack\":\"\"}}"))
}

/// A text as JSON.
pub(crate) fn json_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len().saturating_add(2));
    put_json_text(&mut json, text);
    json
}

/// The same behind what is there. Most texts stand in JSON as they are.
pub(crate) fn put_json_text(json: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        #[expect(clippy::expect_used, reason = "every text has its JSON")]
        json.push_str(&serde_json::to_string(text).expect("a text is written into memory"));
    }
}
