//! How long a failed attempt waits before the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A table of delays, the last of which repeats, with some jitter on top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The delay after the first failure, after the second, and so on.
    pub delays: Vec<Duration>,
    /// Up to so much is added, evenly spread.
    pub jitter: Duration,
}

/// The shortest and the longest wait that an error itself may ask for.
const ASKED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24));

impl Default for Backoff {
    /// 15 s, 30 s, 1 m, 2 m, 5 m, 10 m, 20 m, 40 m, 1 h, 2 h, each with up to 30 s more: the table of
    /// the reference server (its `pkg/backoff`).
    fn default() -> Self {
        let seconds = [15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200];
        Self { delays: seconds.map(Duration::from_secs).to_vec(), jitter: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The wait after the `failure_count`th failure (from 1), with `chance` choosing the jitter.
    pub fn delay(&self, failure_count: u32, chance: u64) -> Duration {
        let index = usize::try_from(failure_count.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = self.delays.get(index).or(self.delays.last()).copied().unwrap_or_default();
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        delay.saturating_add(Duration::from_nanos(chance.checked_rem(jitter).unwrap_or(0)))
    }

    /// What an error asked for, held within one second and one day.
    pub fn asked(delay: Duration) -> Duration {
        delay.clamp(ASKED.0, ASKED.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_followed_and_its_last_entry_repeats() {
        let backoff = Backoff { jitter: Duration::ZERO, ..Backoff::default() };
        let waits: Vec<u64> = (1..=12).map(|n| backoff.delay(n, 7).as_secs()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200, 7200]);
    }

    #[test]
    fn jitter_stays_below_its_limit_for_any_chance() {
        let backoff = Backoff::default();
        for chance in [0, 1, 29_999_999_999, 30_000_000_000, u64::MAX] {
            let wait = backoff.delay(1, chance);
            assert!(wait >= Duration::from_secs(15) && wait < Duration::from_secs(45), "{wait:?}");
        }
    }

    #[test]
    fn an_asked_wait_is_held_within_a_second_and_a_day() {
        assert_eq!(Backoff::asked(Duration::ZERO), Duration::from_secs(1));
        assert_eq!(Backoff::asked(Duration::from_hours(900)), Duration::from_hours(24));
        assert_eq!(Backoff::asked(Duration::from_secs(77)), Duration::from_secs(77));
    }
}
