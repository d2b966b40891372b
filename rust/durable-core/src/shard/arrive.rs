//! What an event does for one function: it starts a run, joins one that gathers events, or is skipped.

use std::time::Duration;

use super::{Function, Shard, Turn};
use crate::event::{NewEvent, Skip};
use crate::expr::Given;
use crate::flow::gcra::Rate;
use crate::flow::policy::{Keys, LimitKey, RateLimit, SingletonMode};
use crate::id::{EventId, FunctionId, RunId};
use crate::system::StartedBy;

use super::flow::{checksum, passed, policy_name};

/// An event on its way to a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving<'a> {
    pub(super) id: EventId,
    pub(super) event: &'a NewEvent,
    pub(super) given: &'a Given<'a>,
}

impl Arriving<'_> {
    /// What the run that it starts is told to be of.
    pub(super) fn cause(&self) -> (EventId, StartedBy) {
        (self.id, StartedBy::of(&self.event.name))
    }
}

/// For so long an idempotency key starts no second run.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

impl Shard {
    /// In the order that is promised. `is_known`: the sender's id has a run of this function already.
    pub(super) fn arrive(
        &mut self,
        function: FunctionId,
        arriving: Arriving<'_>,
        is_known: bool,
        turn: &mut Turn,
    ) -> Result<Option<RunId>, Skip> {
        let arrived = self.decide(function, arriving, is_known, turn);
        if arrived.is_err() {
            self.note_skip(function);
        }
        arrived
    }

    pub(super) fn note_skip(&mut self, function: FunctionId) {
        let record = &mut self.function_mut(function).record;
        record.skipped_count = record.skipped_count.saturating_add(1);
        self.turn.functions.insert(function);
    }

    fn decide(
        &mut self,
        function: FunctionId,
        arriving: Arriving<'_>,
        is_known: bool,
        turn: &mut Turn,
    ) -> Result<Option<RunId>, Skip> {
        if self.function(function).record.is_paused {
            return if is_known { Ok(None) } else { Err(Skip::Paused) };
        }
        self.let_through(function, arriving.given, turn)?;
        if is_known {
            return Ok(None);
        }
        if let Some(run) = self.gather(function, arriving, turn) {
            return Ok(Some(run));
        }
        let keys = self.keys(function, arriving.given);
        self.make_way(function, &keys, turn)?;
        let starts_at = arriving.event.starts_at.or(arriving.event.ts);
        let cancels = self.function(function).program.cancels(arriving.given);
        Ok(Some(self.create_run(function, arriving.cause(), (starts_at, keys, cancels), turn)))
    }

    /// Whether an event may start a run of a function, by the function's rate limit and idempotency.
    fn let_through(
        &mut self,
        id: FunctionId,
        given: &Given<'_>,
        turn: &mut Turn,
    ) -> Result<(), Skip> {
        let now = self.now();
        let Function { program, record, .. } = self.function(id);
        let policies = &record.spec.policies;
        let limited = policies.rate_limit.as_ref().map(|limit| {
            let expression = limit.key.as_deref().map_or(0, checksum);
            (b'r', expression, program.rate_key(given), rate_of(limit), Skip::RateLimit)
        });
        let once = policies.idempotency.as_ref().map(|key| {
            let value = program.idempotency_key(given);
            (b'i', checksum(key), value, idempotency_rate(), Skip::Idempotency)
        });
        for (kind, expression, value, rate, skip) in limited.into_iter().chain(once) {
            let Some(value) = value else {
                self.note_missing_keys(id, 1);
                continue;
            };
            let name = policy_name(kind, id, expression, &value);
            match self.queues.try_gate(&name, rate, now) {
                Some(arrival) => turn.writes.push(passed(&name, arrival)),
                None => return Err(skip),
            }
        }
        Ok(())
    }

    /// What a run of this event counts against.
    pub(super) fn keys(&mut self, function: FunctionId, given: &Given<'_>) -> Keys {
        let found = self.function(function).program.keys(given);
        if found.has_bad_priority {
            let record = &mut self.function_mut(function).record;
            record.priority_error_count = record.priority_error_count.saturating_add(1);
            self.turn.functions.insert(function);
        }
        self.note_missing_keys(function, found.missing_count);
        found.keys
    }

    pub(super) fn note_missing_keys(&mut self, function: FunctionId, count: u32) {
        if count > 0 {
            let record = &mut self.function_mut(function).record;
            record.missing_key_count = record.missing_key_count.saturating_add(count.into());
            self.turn.functions.insert(function);
        }
    }

    /// A singleton's new run starts only once there is no other.
    pub(super) fn make_way(
        &mut self,
        function: FunctionId,
        keys: &Keys,
        turn: &mut Turn,
    ) -> Result<(), Skip> {
        let Some(key) = &keys.singleton else { return Ok(()) };
        let singleton = &self.function(function).record.spec.policies.singleton;
        let Some(mode) = singleton.as_ref().map(|singleton| singleton.mode) else { return Ok(()) };
        let Some(holder) = self.singletons.holder(&singleton_name(function, key)) else {
            return Ok(());
        };
        match mode {
            SingletonMode::Skip => Err(Skip::Singleton),
            SingletonMode::Cancel => {
                let why = "a later event of its singleton came";
                self.cancel_run(holder, why, turn);
                Ok(())
            }
        }
    }
}

pub(super) fn rate_of(limit: &RateLimit) -> Rate {
    let period = Duration::from_millis(limit.period_ms);
    Rate::at_once(limit.limit, period, limit.burst.saturating_add(1))
}

pub(super) fn idempotency_rate() -> Rate {
    Rate::new(1, IDEMPOTENCY_WINDOW, 0)
}

/// A singleton, for one key value.
pub(super) fn singleton_name(function: FunctionId, key: &LimitKey) -> Box<[u8]> {
    policy_name(b's', function, key.expression, &key.value)
}
