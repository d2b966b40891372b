//! A function's expressions, compiled, and what they say of an event.

use std::collections::BTreeMap;

use super::flow::checksum;
use crate::event::NewEvent;
use crate::expr::{EventView, Expression, Given, Scope as Variables};
use crate::flow::policy::{Keys, LimitKey, Policies, Scope};
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
}

impl Program {
    /// Why one of them cannot be used, in words for its author.
    pub(super) fn compile(policies: &Policies) -> Result<Self, String> {
        let compile = |text: &String| {
            Expression::compile(text, Variables::Event).map_err(|mistake| mistake.to_string())
        };
        let optional = |text: Option<&String>| text.map(compile).transpose();
        let conditions =
            policies.conditions.iter().map(|(on, text)| Ok((on.clone(), compile(text)?)));
        let keyed =
            policies.concurrency.iter().filter_map(|limit| Some((limit, limit.key.as_ref()?)));
        let limits = keyed.map(|(limit, key)| Ok((limit.scope, checksum(key), compile(key)?)));
        Ok(Self {
            conditions: conditions.collect::<Result<_, String>>()?,
            limits: limits.collect::<Result<_, String>>()?,
            throttle: optional(policies.throttle.as_ref().and_then(|one| one.key.as_ref()))?,
            rate_limit: optional(policies.rate_limit.as_ref().and_then(|one| one.key.as_ref()))?,
            idempotency: optional(policies.idempotency.as_ref())?,
            priority: optional(policies.priority.as_ref())?,
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
            Some(key) => key.key(given).into_value(),
        }
    }

    /// The value of which only the first event of a day starts a run; `None`: each may.
    pub(super) fn idempotency_key(&self, given: &Given<'_>) -> Option<String> {
        self.idempotency.as_ref()?.key(given).into_value()
    }

    /// What a run of this event counts against.
    pub(super) fn keys(&self, given: &Given<'_>) -> Keys {
        let limits = self.limits.iter().map(|(scope, expression, key)| LimitKey {
            scope: *scope,
            expression: *expression,
            value: bucket(key, given),
        });
        let seconds =
            self.priority.as_ref().and_then(|priority| priority.number(given)).unwrap_or(0);
        let head_start = seconds.clamp(-MOST_HEAD_START, MOST_HEAD_START);
        Keys {
            limits: limits.collect(),
            throttle: self.throttle.as_ref().map(|key| bucket(key, given)),
            head_start: i32::try_from(head_start).unwrap_or(0),
        }
    }
}

/// A key's value; events without one share a bucket of their own, which no value falls into.
fn bucket(key: &Expression, given: &Given<'_>) -> String {
    key.key(given).into_value().unwrap_or_else(|| "\0missing".to_owned())
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
