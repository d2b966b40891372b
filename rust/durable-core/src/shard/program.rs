//! A function's expressions, compiled, and what they say of an event.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::flow::checksum;
use super::wait::wrong_name;
use crate::event::NewEvent;
use crate::expr::{EventView, Expression, Given, Key, Scope as Variables};
use crate::flow::policy::{CancelOn, Keys, LimitKey, Policies, Scope};
use crate::step::{Awaited, Cancel};
use crate::time::Timestamp;

/// A day in which a run may go before others, or after them.
const MOST_HEAD_START: i64 = 43_200;

/// All expressions of a function.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    conditions: BTreeMap<String, Expression>,
    limits: Vec<(Scope, u64, Expression)>,
    throttle: Option<Expression>,
    rate_limit: Option<Expression>,
    idempotency: Option<Expression>,
    priority: Option<Expression>,
    run_limit: Option<(Scope, u64, Expression)>,
    is_singleton: bool,
    singleton: Option<(u64, Expression)>,
    /// The key of a debounce or batch.
    gathering: Option<(u64, Expression)>,
    batch_condition: Option<Expression>,
    cancels: Vec<CancelProgram>,
}

/// An event that cancels a run, and what it must meet.
#[derive(Clone, Debug)]
struct CancelProgram {
    event: String,
    condition: Option<Expression>,
    length: Option<Duration>,
}

/// What keys and priority say of an event, and how many of them said nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Evaluated {
    pub(super) keys: Keys,
    pub(super) missing_count: u32,
    pub(super) has_bad_priority: bool,
}

impl Program {
    /// Why one of them cannot be used, in words for its author.
    pub(super) fn compile(policies: &Policies) -> Result<Self, String> {
        let compile = |text: &String| {
            Expression::compile(text, Variables::Event).map_err(|mistake| mistake.to_string())
        };
        let optional = |text: Option<&String>| text.map(compile).transpose();
        let cancels = policies.cancel_on.iter().map(CancelProgram::compile);
        let conditions =
            policies.conditions.iter().map(|(on, text)| Ok((on.clone(), compile(text)?)));
        let keyed =
            policies.concurrency.iter().filter_map(|limit| Some((limit, limit.key.as_ref()?)));
        let limits = keyed.map(|(limit, key)| Ok((limit.scope, checksum(key), compile(key)?)));
        let counted = |key: &String| Ok::<_, String>((checksum(key), compile(key)?));
        let run_limit = policies.run_concurrency.as_ref().and_then(|one| one.key.as_ref());
        let run_scope = policies.run_concurrency.as_ref().map_or(Scope::Fn, |one| one.scope);
        let singleton = policies.singleton.as_ref().and_then(|one| one.key.as_ref());
        let debounce = policies.debounce.as_ref().and_then(|one| one.key.as_ref());
        let batch = policies.batch.as_ref();
        let gathering = batch.and_then(|one| one.key.as_ref()).or(debounce);
        Ok(Self {
            conditions: conditions.collect::<Result<_, String>>()?,
            limits: limits.collect::<Result<_, String>>()?,
            throttle: optional(policies.throttle.as_ref().and_then(|one| one.key.as_ref()))?,
            rate_limit: optional(policies.rate_limit.as_ref().and_then(|one| one.key.as_ref()))?,
            idempotency: optional(policies.idempotency.as_ref())?,
            priority: optional(policies.priority.as_ref())?,
            run_limit: run_limit
                .map(counted)
                .transpose()?
                .map(|(number, key)| (run_scope, number, key)),
            is_singleton: policies.singleton.is_some(),
            singleton: singleton.map(counted).transpose()?,
            gathering: gathering.map(counted).transpose()?,
            batch_condition: optional(batch.and_then(|one| one.condition.as_ref()))?,
            cancels: cancels.collect::<Result<_, String>>()?,
        })
    }

    /// Whether an event that this trigger matches by name starts a run.
    pub(super) fn is_met(&self, trigger: &str, given: &Given<'_>) -> bool {
        self.conditions.get(trigger).is_none_or(|condition| condition.matches(given))
    }

    /// The value under which a rate limit counts this event; `None`: the event is not limited.
    pub(super) fn rate_key(&self, given: &Given<'_>) -> Option<String> {
        match &self.rate_limit {
            None => Some(String::new()),
            Some(key) => key.key_unless_false(given).map(shortened),
        }
    }

    /// The value of which only the first event of a day starts a run; `None`: each may.
    pub(super) fn idempotency_key(&self, given: &Given<'_>) -> Option<String> {
        self.idempotency.as_ref()?.key_unless_false(given).map(shortened)
    }

    /// The value whose events a debounce or batch gathers together, with its key's checksum; and whether
    /// the event has none.
    pub(super) fn gathering_key(&self, given: &Given<'_>) -> (u64, String, bool) {
        let Some((expression, key)) = &self.gathering else { return (0, String::new(), false) };
        let (value, is_missing) = bucket(key, given);
        (*expression, value, is_missing)
    }

    /// Whether an event goes into a batch, where there are batches.
    pub(super) fn is_for_batch(&self, given: &Given<'_>) -> bool {
        self.batch_condition.as_ref().is_none_or(|condition| condition.matches(given))
    }

    /// What a run of this event counts against.
    pub(super) fn keys(&self, given: &Given<'_>) -> Evaluated {
        let mut found = Evaluated::default();
        let mut value = |key: &Expression| {
            let (value, is_missing) = bucket(key, given);
            found.missing_count = found.missing_count.saturating_add(is_missing.into());
            value
        };
        let mut limit_key = |(scope, expression, key): &(Scope, u64, Expression)| LimitKey {
            scope: *scope,
            expression: *expression,
            value: value(key),
        };
        let limits = self.limits.iter().map(&mut limit_key).collect();
        let run_limit = self.run_limit.as_ref().map(&mut limit_key);
        let throttle = self.throttle.as_ref().map(&mut value);
        let singleton = self.singleton_key(given, &mut found.missing_count);
        let seconds = self.priority.as_ref().map(|priority| priority.number(given));
        found.has_bad_priority = seconds == Some(None);
        let seconds = seconds.flatten().unwrap_or(0).clamp(-MOST_HEAD_START, MOST_HEAD_START);
        let head_start = i32::try_from(seconds).unwrap_or(0);
        found.keys = Keys { limits, throttle, run_limit, singleton, head_start };
        found
    }

    /// What cancels a run of this event.
    pub(super) fn cancels(&self, given: &Given<'_>) -> Vec<Cancel> {
        self.cancels.iter().map(|cancel| cancel.of(given)).collect()
    }

    fn singleton_key(&self, given: &Given<'_>, missing_count: &mut u32) -> Option<LimitKey> {
        let (expression, value) = match &self.singleton {
            None if !self.is_singleton => return None,
            None => (0, Some(String::new())),
            Some((expression, key)) => (*expression, key.key_unless_false(given).map(shortened)),
        };
        *missing_count = missing_count.saturating_add(value.is_none().into());
        value.map(|value| LimitKey { scope: Scope::Fn, expression, value })
    }
}

impl CancelProgram {
    fn compile(cancel: &CancelOn) -> Result<Self, String> {
        if let Some(why) = wrong_name(&cancel.event) {
            return Err(why);
        }
        let compile = |text: &String| Expression::compile_plain(text, Variables::EventAndAsync);
        let condition = cancel.condition.as_ref().map(compile).transpose();
        Ok(Self {
            event: cancel.event.clone(),
            condition: condition.map_err(|mistake| mistake.to_string())?,
            length: cancel.timeout_ms.map(Duration::from_millis),
        })
    }

    /// What cancels a run of this event.
    fn of(&self, given: &Given<'_>) -> Cancel {
        let condition = self.condition.as_ref();
        let awaited = Awaited {
            event: self.event.clone(),
            expression: condition.map(|condition| condition.text().to_owned()),
            known: condition.map(|condition| condition.known(&given.event)).unwrap_or_default(),
            looks_from: None,
            is_since_run: false,
        };
        Cancel { awaited, length: self.length }
    }
}

/// A key's value, and whether it has none: such events share a bucket of their own, which no value falls into.
fn bucket(key: &Expression, given: &Given<'_>) -> (String, bool) {
    match key.key(given) {
        Key::Value(value) => (shortened(value), false),
        Key::Missing => (MISSING.to_owned(), true),
    }
}

/// Stands for the value of a key that has none. What begins with a zero byte is ours: values that do get one
/// more.
pub(super) const MISSING: &str = "\0missing";

/// Begins a value that is kept as its beginning and a hash.
pub(super) const SHORTENED: &str = "\0#";

/// A value longer than this is kept as its beginning and a hash of all of it.
const LONGEST_VALUE: usize = 128;

/// A value as it is kept: short, so that neither runs nor the store's keys grow with what senders send. The
/// hash is `SipHash` 2-4 of 128 bits (Aumasson, Bernstein, 2012), the same in each process.
fn shortened(value: String) -> String {
    if value.len() <= LONGEST_VALUE {
        return if value.starts_with('\0') { format!("\0{value}") } else { value };
    }
    let mut hasher = SipHasher24::new();
    hasher.write(value.as_bytes());
    let head = value.char_indices().take_while(|(place, _)| *place < LONGEST_VALUE / 2);
    let head: String = head.map(|(_, letter)| letter).collect();
    format!("{SHORTENED}{head}\u{2026}{:032x}", hasher.finish128().as_u128())
}

/// An event as expressions see it.
pub(super) fn view<'a>(event: &'a NewEvent, id: &'a str, now: Timestamp) -> Given<'a> {
    let event = EventView {
        id: event.user_id.as_deref().unwrap_or(id),
        name: &event.name,
        data: &event.data,
        ts_ms: event.ts.unwrap_or(now).as_millis(),
        user: event.user.as_deref(),
        version: event.version.as_deref(),
    };
    Given { event, other: None, now }
}
