//! What a run counts against, as its event said when it was created.

use durable_core::flow::policy::{Keys, LimitKey, Scope};
use durable_core::{Concurrency, FunctionId, Policies};

use super::says;

/// The values of a function's keys for one run, each with the text of its expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frozen {
    /// For each concurrency limit with a key.
    limits: Vec<Counted>,
    /// The throttle's, where it has one.
    pub(super) throttle: Option<String>,
    /// For the limit on whole runs, where it has a key.
    run_limit: Option<Counted>,
    /// The singleton's expression and value, where it is for this event.
    pub(super) singleton: Option<(String, String)>,
    /// Seconds by which the run counts as older.
    pub(super) head_start: i64,
}

/// Whom a limit is shared with, its expression, and its value.
type Counted = (Scope, String, String);

/// What shares a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Own(FunctionId),
    OwnKey(FunctionId, String, String),
    Env(String),
    Account(String),
}

/// Keys, and what is counted of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Evaluated {
    pub(super) keys: Frozen,
    pub(super) missing_count: u64,
    pub(super) is_bad_priority: bool,
}

/// The bucket of those that have no value.
const MISSING: &str = "\0missing";

pub(super) fn evaluate(policies: &Policies, data: &[u8]) -> Evaluated {
    let mut found = Evaluated::default();
    let mut value = |text: &String| {
        says::key(text, data).unwrap_or_else(|| {
            found.missing_count += 1;
            MISSING.to_owned()
        })
    };
    let mut counted = |limit: &Concurrency| {
        let text = limit.key.clone()?;
        let value = value(&text);
        Some((limit.scope, text, value))
    };
    let limits = policies.concurrency.iter().filter_map(&mut counted).collect();
    let run_limit = policies.run_concurrency.as_ref().and_then(&mut counted);
    let throttle = policies.throttle.as_ref().and_then(|one| one.key.as_ref()).map(&mut value);
    let singleton = policies.singleton.as_ref().and_then(|singleton| match &singleton.key {
        None => Some((String::new(), String::new())),
        Some(text) => {
            let value = says::key_unless_false(text, data);
            found.missing_count += u64::from(value.is_none());
            value.map(|value| (text.clone(), value))
        }
    });
    let seconds = policies.priority.as_ref().map(|text| says::head_start(text, data));
    found.is_bad_priority = seconds == Some(None);
    let head_start = seconds.flatten().unwrap_or(0);
    found.keys = Frozen { limits, throttle, run_limit, singleton, head_start };
    found
}

impl Frozen {
    /// Whether a record says the same.
    pub(super) fn is(&self, keys: &Keys) -> bool {
        let same = |one: &Counted, other: &LimitKey| one.0 == other.scope && one.2 == other.value;
        let limits = self.limits.len() == keys.limits.len()
            && self.limits.iter().zip(&keys.limits).all(|(one, other)| same(one, other));
        let run_limit = match (&self.run_limit, &keys.run_limit) {
            (Some(one), Some(other)) => same(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let singleton = self.singleton.as_ref().map(|(_, value)| value);
        limits
            && run_limit
            && self.throttle == keys.throttle
            && singleton == keys.singleton.as_ref().map(|key| &key.value)
            && self.head_start == i64::from(keys.head_start)
    }

    /// Whether two runs of one function wait in one queue.
    pub(super) fn shares_queue(&self, other: &Self) -> bool {
        self.limits == other.limits
            && self.throttle == other.throttle
            && self.run_limit == other.run_limit
    }

    /// What a run's work counts against by the policies as they are now, each with its number. Of two numbers
    /// for one group the smaller.
    pub(super) fn groups(&self, function: FunctionId, policies: &Policies) -> Vec<(Group, u32)> {
        let mut groups: Vec<(Group, u32)> = Vec::new();
        for limit in &policies.concurrency {
            let group = group_of(limit, function, &self.limits);
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, number)) => *number = limit.limit.min(*number),
                None => groups.push((group, limit.limit)),
            }
        }
        groups
    }

    /// What a whole run counts against.
    pub(super) fn run_group(
        &self,
        function: FunctionId,
        policies: &Policies,
    ) -> Option<(Group, u32)> {
        let limit = policies.run_concurrency.as_ref()?;
        Some((group_of(limit, function, self.run_limit.as_slice()), limit.limit))
    }
}

/// A run that is older than the limit has no value for it.
fn group_of(limit: &Concurrency, function: FunctionId, frozen: &[Counted]) -> Group {
    let Some(text) = &limit.key else { return Group::Own(function) };
    let known = frozen.iter().find(|(scope, of, _)| *scope == limit.scope && of == text);
    let value = known.map_or(MISSING, |(_, _, value)| value).to_owned();
    match limit.scope {
        Scope::Fn => Group::OwnKey(function, text.clone(), value),
        Scope::Env => Group::Env(value),
        Scope::Account => Group::Account(value),
    }
}
