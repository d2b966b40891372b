//! The generic cell rate algorithm over a list of all that were ever let through, told again each time.

use std::collections::BTreeMap;

use durable_core::{FunctionId, RateLimit, Throttle, Timestamp};

/// Which of a function's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Throttle,
    RateLimit,
    Idempotency,
}

/// A rate: so many at once, then one in each interval of nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    at_once: u128,
    interval: u128,
}

impl Rate {
    pub(super) fn of_throttle(throttle: &Throttle) -> Self {
        let at_once = u128::from(throttle.limit) + u128::from(throttle.burst);
        Self { at_once, interval: interval(throttle.limit, throttle.period_ms) }
    }

    pub(super) fn of_limit(limit: &RateLimit) -> Self {
        let at_once = u128::from(limit.burst) + 1;
        Self { at_once, interval: interval(limit.limit, limit.period_ms) }
    }

    /// One in a day.
    pub(super) fn daily() -> Self {
        Self { at_once: 1, interval: interval(1, 24 * 3_600 * 1_000) }
    }
}

/// Never more than the limit: a fraction of a nanosecond counts as one.
fn interval(limit: u32, period_ms: u64) -> u128 {
    (u128::from(period_ms) * 1_000_000).div_ceil(u128::from(limit))
}

/// All that were let through, by policy, function and key: when, and the interval of that time.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed(BTreeMap<(Kind, FunctionId, String), Vec<(u128, u128)>>);

impl Passed {
    /// Whether one more may pass.
    pub(super) fn has_room(
        &self,
        gate: &(Kind, FunctionId, String),
        rate: Rate,
        now: Timestamp,
    ) -> bool {
        let passed = self.0.get(gate).into_iter().flatten();
        let next = passed.fold(0, |next: u128, (at, interval)| next.max(*at) + interval);
        let now = u128::from(now.as_nanos());
        (next.max(now) + rate.interval).saturating_sub(rate.interval * rate.at_once) <= now
    }

    /// One passes.
    pub(super) fn pass(&mut self, gate: (Kind, FunctionId, String), rate: Rate, now: Timestamp) {
        self.0.entry(gate).or_default().push((u128::from(now.as_nanos()), rate.interval));
    }
}
