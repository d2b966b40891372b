//! Steps: their names, what is remembered of them, and what still waits.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
    /// The signal that it waits for, where it waits for one.
    pub signal: Option<String>,
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
    /// It waits for its signal, until this moment at the latest: a timer.
    Waiting(Timestamp),
}
