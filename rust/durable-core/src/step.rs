//! Steps: their names, what is remembered of them, and what still waits.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::expr::Known;
use crate::id::{EventId, RunId};
use crate::time::Timestamp;

/// The most bytes a step's name (its id and counter) may have.
pub(crate) const MAX_STEP_NAME_BYTES: usize = 256;

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepKind {
    /// A function that was called.
    Run,
    /// A sleep.
    Sleep,
    /// A wait for a signal.
    Signal,
    /// A wait for an event.
    Event,
    /// A wait for the end of a run that it started.
    Invoke,
}

impl StepKind {
    /// The word the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Sleep => "sleep",
            Self::Signal => "wait_for_signal",
            Self::Event => "wait_for_event",
            Self::Invoke => "invoke",
        }
    }
}

/// The remembered result of a step, on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The step's id, with its counter from the second use on: `id`, `id:1`, `id:2`.
    pub name: String,
    /// What it is.
    pub kind: StepKind,
    /// How often it was started.
    pub start_count: u32,
    /// When it was first asked for.
    pub asked_at: Timestamp,
    /// When this result was recorded.
    pub recorded_at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a step, or of a run: JSON bytes the core never reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A value.
    Data(Bytes),
    /// An error: a JSON object with `name`, `message`, `stack` and `code`.
    Error(Bytes),
}

impl Outcome {
    /// How many bytes of JSON it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::Data(json) | Self::Error(json) => json.len(),
        }
    }

    /// True where it holds no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A step that was asked for and has no memo yet. Lives inside its run's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The step's id with its counter.
    pub name: String,
    /// A number of its own within its run, never given twice.
    pub number: u32,
    /// Where it stands.
    pub state: PendingState,
    /// How often it was started.
    pub start_count: u32,
    /// How often it failed.
    pub failure_count: u32,
    /// When it was first asked for.
    pub asked_at: Timestamp,
    /// What it waits for, where that is something that may happen.
    pub awaits: Option<Awaits>,
}

impl Pending {
    /// Its name, and what it is.
    pub fn into_named(self) -> (String, StepKind) {
        let kind = self.kind();
        (self.name, kind)
    }

    /// What it is.
    pub const fn kind(&self) -> StepKind {
        match (self.state, &self.awaits) {
            (_, Some(awaits)) => awaits.kind(),
            (PendingState::Sleeping(_), None) => StepKind::Sleep,
            (
                PendingState::Queued
                | PendingState::Executing(_)
                | PendingState::BackingOff(_)
                | PendingState::Waiting(_),
                None,
            ) => StepKind::Run,
        }
    }
}

/// What a step may wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// A signal, by its name.
    Signal(String),
    /// An event.
    Event(Box<Awaited>),
    /// The end of this run, which it started.
    Run(RunId),
}

impl Awaits {
    /// What the step is that waits for this.
    pub(crate) const fn kind(&self) -> StepKind {
        match self {
            Self::Signal(_) => StepKind::Signal,
            Self::Event(_) => StepKind::Event,
            Self::Run(_) => StepKind::Invoke,
        }
    }
}

/// Which event is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Its name.
    pub event: String,
    /// What it must meet: CEL over `event`, the run's own, and `async`, the one that comes.
    pub expression: Option<String>,
    /// What the expression reads of the run's own event.
    pub known: Known,
    /// Events that came after this one, and before the wait, have not all been looked at yet.
    pub looks_from: Option<EventId>,
    /// It looks back to its run's start.
    pub is_since_run: bool,
}

/// Where a pending step stands. Each state has exactly one thing that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingState {
    /// In its function's ready queue.
    Queued,
    /// With an executor, under this epoch.
    Executing(crate::id::Epoch),
    /// It failed and is tried again at this moment: a timer.
    BackingOff(Timestamp),
    /// A sleep that ends at this moment: a timer.
    Sleeping(Timestamp),
    /// It waits for something to happen, until this moment at the latest: a timer.
    Waiting(Timestamp),
}

impl PendingState {
    /// The word the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Executing(_) => "running",
            Self::BackingOff(_) => "backing_off",
            Self::Sleeping(_) => "sleeping",
            Self::Waiting(_) => "waiting",
        }
    }

    /// The moment that ends it at the latest, if one does.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Queued | Self::Executing(_) => None,
            Self::BackingOff(until) | Self::Sleeping(until) | Self::Waiting(until) => Some(until),
        }
    }
}

/// An event that cancels a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub awaited: Awaited,
    /// For so long after the run's creation.
    pub length: Option<Duration>,
}
