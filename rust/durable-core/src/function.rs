//! What the engine knows of a registered function.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::flow::backoff::Backoff;
use crate::flow::policy::Policies;
use crate::schedule::CronTrigger;

/// A function as an application registers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Its id, unique in the shard.
    pub name: String,
    /// The application it belongs to.
    pub app: String,
    /// Names of the events that start it; a trailing `*` after `/` or `.` matches any ending.
    pub triggers: Vec<String>,
    /// Where it is called, if not in the process that has the store: opaque here.
    pub endpoint: Option<String>,
    /// When it is started by the clock.
    pub crons: Vec<CronTrigger>,
    /// How many more tries each step, and each stretch of code between steps, gets: 0 to 20.
    pub retries: u8,
    /// How long each of them waits.
    pub backoff: Backoff,
    /// What protects whatever stands behind it.
    pub policies: Policies,
}

/// A function on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// As last registered.
    pub spec: FunctionSpec,
    /// Its application no longer registers it: no event starts it, its runs wait for its return.
    pub is_archived: bool,
    /// Its runs stop at their next step, and events start none.
    pub is_paused: bool,
    /// Runs that ended well since the store was made.
    pub completed_count: u64,
    /// Runs that failed since the store was made.
    pub failed_count: u64,
    /// Runs that were cancelled since the store was made.
    pub cancelled_count: u64,
    /// Events that would have started a run and were not let, since the store was made.
    pub skipped_count: u64,
    /// Keys for which an event had no value, since the store was made.
    pub missing_key_count: u64,
    /// Priorities that gave no number, since the store was made.
    pub priority_error_count: u64,
}

impl FunctionRecord {
    /// A function of which nothing is known but what its application says.
    pub fn new(spec: FunctionSpec) -> Self {
        Self {
            spec,
            is_archived: false,
            is_paused: false,
            completed_count: 0,
            failed_count: 0,
            cancelled_count: 0,
            skipped_count: 0,
            missing_key_count: 0,
            priority_error_count: 0,
        }
    }
}

impl FunctionSpec {
    /// The most tries beyond the first.
    pub const MAX_RETRIES: u8 = 20;

    /// A function with the default settings: four retries, the standard back-off, no limit.
    pub fn new(app: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            app: app.into(),
            triggers: Vec::new(),
            endpoint: None,
            crons: Vec::new(),
            retries: 4,
            backoff: Backoff::default(),
            policies: Policies::default(),
        }
    }

    /// Why this function cannot be registered, in words for its author.
    pub fn refusal(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() || name.len() > 256 {
            return Some(format!("function '{name}': an id has 1 to 256 bytes"));
        }
        if self.retries > Self::MAX_RETRIES {
            return Some(format!(
                "function '{name}': retries is {}; it may be 0 to 20",
                self.retries
            ));
        }
        if let Some(why) = self.policies.refusal() {
            return Some(format!("function '{name}': {why}"));
        }
        if let Some(why) = CronTrigger::refusal_of_all(&self.crons) {
            return Some(format!("function '{name}': {why}"));
        }
        let count = self.triggers.len().saturating_add(self.crons.len());
        if count > 10 {
            return Some(format!("function '{name}' has {count} triggers; the limit is 10"));
        }
        if self.backoff.delays.iter().any(|delay| *delay > Duration::from_hours(366 * 24)) {
            return Some(format!("function '{name}': a back-off delay is at most 366 days"));
        }
        None
    }
}
