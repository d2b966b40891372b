//! The generic cell rate algorithm, in whole nanoseconds: one moment says all that is known of a key.
//!
//! That moment is the *theoretical arrival time*: when the next one would come if all came evenly. Whoever
//! is not too far ahead of it is let in and moves it on. ITU-T I.371 (1996), as a virtual scheduling
//! algorithm; asking and taking are separate, and both are pure.

use std::time::Duration;

use crate::time::Timestamp;

/// So many at once, then one every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One comes every so many nanoseconds.
    interval_ns: u64,
    /// So far ahead of now may the arrival time be.
    window_ns: u64,
}

impl Rate {
    /// `limit` in each `period`, all of them and `burst` more at once if they come at once. Intervals are
    /// rounded up to whole nanoseconds: never more than the limit.
    pub fn new(limit: u32, period: Duration, burst: u32) -> Self {
        Self::at_once(limit, period, limit.max(1).saturating_add(burst))
    }

    /// `limit` in each `period`, and `count` at once if they come at once.
    pub fn at_once(limit: u32, period: Duration, count: u32) -> Self {
        let nanos = period.as_nanos().div_ceil(u128::from(limit.max(1))).max(1);
        let interval_ns = u64::try_from(nanos).unwrap_or(u64::MAX);
        Self { interval_ns, window_ns: interval_ns.saturating_mul(count.max(1).into()) }
    }

    /// May one come now? The key's arrival time afterwards, or the moment from when one may.
    ///
    /// `arrival` is what the last one that came has left, or the zero moment where none is remembered.
    pub fn ask(&self, arrival: Timestamp, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let next = arrival.max(now).as_nanos().saturating_add(self.interval_ns);
        let allowed = Timestamp::from_nanos(next.saturating_sub(self.window_ns));
        if allowed <= now { Ok(Timestamp::from_nanos(next)) } else { Err(allowed) }
    }

    /// When the next may come at the earliest, behind so many others that wait for the same.
    pub fn opens_at(&self, arrival: Timestamp, now: Timestamp, ahead: usize) -> Timestamp {
        let count = u64::try_from(ahead).unwrap_or(u64::MAX).saturating_add(1);
        let all_ns = self.interval_ns.saturating_mul(count);
        let next = arrival.max(now).as_nanos().saturating_add(all_ns);
        Timestamp::from_nanos(next.saturating_sub(self.window_ns)).max(now)
    }

    /// How many may still come at this moment.
    pub fn left(&self, arrival: Timestamp, now: Timestamp) -> u32 {
        let ahead_ns = arrival.as_nanos().saturating_sub(now.as_nanos());
        let room_ns = self.window_ns.saturating_sub(ahead_ns);
        u32::try_from(room_ns.checked_div(self.interval_ns).unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` came, where all would come at `from` and go on asking.
    fn admitted(rate: Rate, from: Timestamp, count: usize) -> Vec<u64> {
        let (mut arrival, mut now) = (Timestamp::default(), from);
        let mut times = Vec::new();
        while times.len() < count {
            match rate.ask(arrival, now) {
                Ok(next) => {
                    arrival = next;
                    times.push(now.since(from).as_millis().try_into().unwrap());
                }
                Err(allowed) => now = allowed,
            }
        }
        times
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The reference's documented case: limit 2, 6 s, burst 1 lets three in at once, then one every 3 s.
    #[test]
    fn limit_and_burst_come_at_once_and_then_one_each_interval() {
        let from = Timestamp::from_millis(1_000_000);
        let rate = Rate::new(2, seconds(6), 1);
        assert_eq!(admitted(rate, from, 6), [0, 0, 0, 3000, 6000, 9000]);
        assert_eq!(admitted(Rate::new(1, seconds(5), 0), from, 3), [0, 5000, 10_000]);
        assert_eq!(admitted(Rate::new(2, seconds(5), 0), from, 4), [0, 0, 2500, 5000]);
    }

    /// K6: the tables that the reference pins, and when those that are refused may come.
    #[test]
    fn k6_one_a_day_three_thousand_a_minute_and_bursts() {
        let from = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(
            admitted(Rate::new(1, seconds(86_400), 0), from, 3),
            [0, 86_400_000, 172_800_000]
        );
        let fast = admitted(Rate::new(3_000, seconds(60), 0), from, 3_100);
        assert!(fast.iter().take(3_000).all(|at| *at == 0));
        assert_eq!(fast.get(3_000..3_003), Some(&[20, 40, 60][..]));
        assert_eq!(admitted(Rate::at_once(10, seconds(60), 2), from, 4), [0, 0, 6_000, 12_000]);
        let rate = Rate::new(1, seconds(86_400), 0);
        let arrival = rate.ask(Timestamp::default(), from).unwrap();
        let later = from.plus(seconds(3_600));
        assert_eq!(rate.ask(arrival, later), Err(from.plus(seconds(86_400))));
        assert_eq!((rate.left(arrival, later), rate.left(Timestamp::default(), later)), (0, 1));
    }

    #[test]
    fn what_was_not_used_is_there_again_and_no_more() {
        let rate = Rate::new(10, seconds(60), 0);
        let (mut arrival, mut now) = (Timestamp::default(), Timestamp::from_millis(5_000_000));
        for _ in 0..3 {
            let mut count = 0;
            while let Ok(next) = rate.ask(arrival, now) {
                assert_eq!(rate.left(arrival, now), 10 - count);
                (arrival, count) = (next, count + 1);
            }
            assert_eq!((count, rate.left(arrival, now)), (10, 0));
            now = now.plus(seconds(3600));
        }
    }

    #[test]
    fn those_behind_others_know_when_they_may_come() {
        let (from, rate) = (Timestamp::from_millis(1_000_000), Rate::new(2, seconds(6), 1));
        let expected = admitted(rate, from, 9);
        let mut arrival = Timestamp::default();
        for came in 0..5 {
            let now = from.plus(Duration::from_millis(expected[came]));
            for (ahead, at) in expected[came..].iter().enumerate() {
                let opens_at = rate.opens_at(arrival, now, ahead).since(from).as_millis();
                assert_eq!(opens_at, u128::from(*at), "{came} came, {ahead} ahead");
            }
            arrival = rate.ask(arrival, now).unwrap();
        }
    }

    #[test]
    fn a_limit_that_does_not_divide_its_period_is_never_exceeded() {
        let from = Timestamp::from_millis(1);
        let rate = Rate::new(7, seconds(1), 0);
        let times = admitted(rate, from, 7001);
        assert!(times.last().is_some_and(|last| *last >= 999_000), "{:?}", times.last());
    }
}
