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
        if without_key.clone().count() > 1 {
            return Some("two concurrency limits without a key: one is enough".to_owned());
        }
        if without_key.clone().any(|limit| limit.scope != Scope::Fn) {
            return Some("a concurrency limit that others share needs a key".to_owned());
        }
        if self.concurrency.iter().any(|limit| limit.limit == 0) {
            return Some("a concurrency of 0 would never let it run".to_owned());
        }
        let throttle = self.throttle.iter().map(|throttle| (throttle.limit, throttle.period_ms));
        let rate_limit = self.rate_limit.iter().map(|limit| (limit.limit, limit.period_ms));
        if throttle.chain(rate_limit).any(|(limit, period_ms)| limit == 0 || period_ms == 0) {
            return Some(
                "a throttle or rate limit of 0, or in no time, lets nothing through".to_owned(),
            );
        }
        (self.idempotency.is_some() && self.rate_limit.is_some()).then(|| {
            "idempotency is a rate limit of its own: give a key to the other instead".to_owned()
        })
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

/// The values of a function's keys for one run, evaluated once and kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// For each concurrency limit that had a key: which, and its value.
    pub limits: Vec<LimitKey>,
    /// The value of the throttle's key, where it had one.
    pub throttle: Option<String>,
    /// Seconds by which the run counts as older than it is, from -43,200 to 43,200.
    pub head_start: i32,
}

/// A concurrency key's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LimitKey {
    /// Whom it is shared with.
    pub scope: Scope,
    /// The expression, by its checksum: a limit that a deploy gives another number is still the same.
    pub expression: u64,
    /// Its value.
    pub value: String,
}
