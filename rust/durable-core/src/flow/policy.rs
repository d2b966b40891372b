//! What a function asks of flow control, as its author declares it. Lengths are whole milliseconds, keys and
//! conditions are CEL texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All policies of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// For some triggers a condition that an event must meet to start a run.
    pub conditions: BTreeMap<String, String>,
    /// How much of it executes at one instant: at most two limits.
    pub concurrency: Vec<Concurrency>,
    /// How many starts there are in a time; later ones wait.
    pub throttle: Option<Throttle>,
    /// How many events start runs in a time; later ones are dropped.
    pub rate_limit: Option<RateLimit>,
    /// Of events with the same value of this expression the first of 24 hours starts a run.
    pub idempotency: Option<String>,
    /// Seconds of head start of a run before others, as an expression.
    pub priority: Option<String>,
    /// How many of its runs there are between their start and their end.
    pub run_concurrency: Option<Concurrency>,
    /// One run for a burst of events.
    pub debounce: Option<Debounce>,
    /// One run for many events.
    pub batch: Option<Batch>,
    /// No run beside one that has not ended.
    pub singleton: Option<Singleton>,
    /// When a run is cancelled.
    pub timeouts: Option<Timeouts>,
    /// Which events cancel a run.
    pub cancel_on: Vec<CancelOn>,
}

impl Policies {
    /// Nothing but a limit to how much of a function executes at one instant.
    pub fn limit(limit: u32) -> Self {
        let plain = Concurrency { limit, key: None, scope: Scope::Fn };
        Self { concurrency: vec![plain], ..Self::default() }
    }

    /// That limit, if there is one.
    pub fn plain_limit(&self) -> Option<u32> {
        self.concurrency.iter().find(|limit| limit.key.is_none()).map(|limit| limit.limit)
    }

    /// Why they cannot be applied, in words for their author.
    pub fn refusal(&self) -> Option<String> {
        if self.concurrency.len() > 2 {
            return Some(format!("{} concurrency limits; at most two", self.concurrency.len()));
        }
        let without_key = self.concurrency.iter().filter(|limit| limit.key.is_none());
        if without_key.count() > 1 {
            return Some("two concurrency limits without a key: one is enough".to_owned());
        }
        let limits = self.concurrency.iter().chain(&self.run_concurrency);
        if limits.clone().any(|limit| limit.key.is_none() && limit.scope != Scope::Fn) {
            return Some("a concurrency limit that others share needs a key".to_owned());
        }
        if limits.clone().any(|limit| limit.limit == 0) {
            return Some("a concurrency of 0 would never let it run".to_owned());
        }
        let throttle = self.throttle.iter().map(|throttle| (throttle.limit, throttle.period_ms));
        let rate_limit = self.rate_limit.iter().map(|limit| (limit.limit, limit.period_ms));
        if throttle.chain(rate_limit).any(|(limit, period_ms)| limit == 0 || period_ms == 0) {
            return Some(
                "a throttle or rate limit of 0, or in no time, lets nothing through".to_owned(),
            );
        }
        if self.idempotency.is_some() && self.rate_limit.is_some() {
            return Some(
                "idempotency is a rate limit of its own: give a key to the other instead"
                    .to_owned(),
            );
        }
        if self.cancel_on.len() > MAX_CANCEL_ON {
            let count = self.cancel_on.len();
            return Some(format!("{count} events that cancel; at most {MAX_CANCEL_ON}"));
        }
        self.refusal_of_gathering()
    }

    fn refusal_of_gathering(&self) -> Option<String> {
        if self.debounce.as_ref().is_some_and(|debounce| debounce.period_ms == 0) {
            return Some("a debounce of no time puts nothing off".to_owned());
        }
        let batch = self.batch.as_ref()?;
        if batch.max_size > MAX_BATCH {
            return Some(format!("a batch of {} events; at most {MAX_BATCH}", batch.max_size));
        }
        if batch.max_size < 2 || batch.timeout_ms == 0 {
            return Some("a batch of one event, or of no time, is no batch".to_owned());
        }
        let others = [
            ("cancel_on", !self.cancel_on.is_empty()),
            ("debounce", self.debounce.is_some()),
            ("singleton", self.singleton.is_some()),
            ("priority", self.priority.is_some()),
            ("a rate limit", self.rate_limit.is_some()),
        ];
        let other = others.iter().find(|(_, is_there)| *is_there);
        other.map(|(name, _)| format!("a batch cannot be combined with {name}"))
    }
}

/// Whom a concurrency limit's key is shared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nobody: it is the function's own.
    #[default]
    Fn,
    /// All functions of the environment with the same key value.
    Env,
    /// All functions of the account with the same key value.
    Account,
}

/// A concurrency limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// How much may execute at one instant.
    pub limit: u32,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
    /// Whom the key is shared with.
    #[serde(default)]
    pub scope: Scope,
}

/// A throttle: starts wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// So many in each period.
    pub limit: u32,
    /// The period.
    pub period_ms: u64,
    /// So many more at once.
    #[serde(default)]
    pub burst: u32,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
}

/// A rate limit: events are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// So many in each period.
    pub limit: u32,
    /// The period.
    pub period_ms: u64,
    /// So many at once beside the first.
    pub burst: u32,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
}

/// One run for a burst of events, with the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounce {
    /// How long it must be quiet.
    pub period_ms: u64,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
    /// How long after the first event it starts at the latest.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// One run for many events, in the order of their arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// So many make it start at once.
    pub max_size: u32,
    /// So long after the first event it starts with those that came.
    pub timeout_ms: u64,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
    /// An event that does not meet this gets a run of its own.
    #[serde(default, rename = "if")]
    pub condition: Option<String>,
}

/// The most events of a batch: a run's record names each, and is written again with each that comes.
pub const MAX_BATCH: u32 = 1_000;

/// One run at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Singleton {
    /// What becomes of an event that comes meanwhile.
    pub mode: SingletonMode,
    /// For each value of this expression.
    #[serde(default)]
    pub key: Option<String>,
}

/// What becomes of an event whose singleton has a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SingletonMode {
    /// It starts none.
    Skip,
    /// That run is cancelled, and its own starts.
    Cancel,
}

/// Events that cancel a run, from its creation on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOn {
    /// Their name.
    pub event: String,
    /// What they must meet: CEL over `event`, the run's own, and `async`.
    #[serde(default, rename = "if")]
    pub condition: Option<String>,
    /// For so long after the run's creation.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// The most of them that a function has.
pub const MAX_CANCEL_ON: usize = 5;

/// When a run is cancelled, also in the middle of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// So long after it could have started, if it has not.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// So long after it started.
    #[serde(default)]
    pub finish_ms: Option<u64>,
}

/// The values of a function's keys for one run, evaluated once and kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// For each concurrency limit that had a key: which, and its value.
    pub limits: Vec<LimitKey>,
    /// The value of the throttle's key, where it had one.
    pub throttle: Option<String>,
    /// That of the limit on whole runs.
    pub run_limit: Option<LimitKey>,
    /// That of the singleton, where it applies to the run.
    pub singleton: Option<LimitKey>,
    /// Seconds by which the run counts as older than it is, from -43,200 to 43,200.
    pub head_start: i32,
}

/// A key's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LimitKey {
    /// Whom it is shared with.
    pub scope: Scope,
    /// The expression, by its checksum: a limit that a deploy gives another number is still the same.
    pub expression: u64,
    /// Its value.
    pub value: String,
}
