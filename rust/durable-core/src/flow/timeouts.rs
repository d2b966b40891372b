//! Timeouts: until when a run must have started, and until when it must have ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::Timeouts;
use crate::time::Timestamp;

/// A run that has not got on by then is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Deadline {
    /// It must have started.
    Start(Timestamp),
    /// It must have ended.
    Finish(Timestamp),
}

impl Deadline {
    /// The moment.
    pub const fn at(self) -> Timestamp {
        match self {
            Self::Start(at) | Self::Finish(at) => at,
        }
    }
}

impl Timeouts {
    /// The deadline of a run that could have started at `ready_at`, and has at `started_at`.
    pub fn deadline(&self, ready_at: Timestamp, started_at: Option<Timestamp>) -> Option<Deadline> {
        let after = |from: Timestamp, ms: u64| from.plus(Duration::from_millis(ms));
        match started_at {
            Some(started_at) => self.finish_ms.map(|ms| Deadline::Finish(after(started_at, ms))),
            None => self.start_ms.map(|ms| Deadline::Start(after(ready_at, ms))),
        }
    }
}
