//! Debounce: a burst of events starts one run, once it has been quiet for a while.

use std::time::Duration;

use super::policy::Debounce;
use crate::time::Timestamp;

impl Debounce {
    /// When the run of a burst starts, whose first and last events came then.
    pub fn due(&self, first_at: Timestamp, last_at: Timestamp) -> Timestamp {
        let quiet = last_at.plus(Duration::from_millis(self.period_ms));
        let latest = self.timeout_ms.map(|timeout| first_at.plus(Duration::from_millis(timeout)));
        latest.map_or(quiet, |latest| quiet.min(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_puts_it_off_and_none_beyond_the_timeout() {
        let at = Timestamp::from_millis;
        let endless = Debounce { period_ms: 5_000, key: None, timeout_ms: None };
        assert_eq!(endless.due(at(0), at(0)), at(5_000));
        assert_eq!(endless.due(at(0), at(100_000)), at(105_000));
        let capped = Debounce { timeout_ms: Some(8_000), ..endless };
        assert_eq!(capped.due(at(0), at(2_000)), at(7_000));
        assert_eq!(capped.due(at(0), at(6_000)), at(8_000));
    }
}
