//! How large commits are and how long they take, counted in powers of two.

use std::time::Duration;

/// A histogram whose buckets double: a percentile is right within a factor of two.
#[derive(Clone, Debug)]
struct Doubling {
    counts: [u64; 64],
}

impl Default for Doubling {
    fn default() -> Self {
        Self { counts: [0; 64] }
    }
}

impl Doubling {
    fn add(&mut self, value: u64) {
        let bucket = usize::try_from(value.checked_ilog2().unwrap_or(0)).unwrap_or(0);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// The upper end of the bucket in which the value lies that `percent` of all are not above.
    fn percentile(&self, percent: u64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = total.saturating_mul(percent).div_ceil(100);
        let mut seen = 0_u64;
        for (count, bucket) in self.counts.iter().zip(0_u32..) {
            seen = seen.saturating_add(*count);
            if seen >= wanted && total > 0 {
                return 2_u64.saturating_pow(bucket.saturating_add(1)).saturating_sub(1);
            }
        }
        0
    }
}

/// What is known of all commits since the engine was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommitTimes {
    count: u64,
    turns: u64,
    bytes: u64,
    sizes: Doubling,
    micros: Doubling,
}

/// Commits in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// How many there were.
    pub count: u64,
    /// How many turns they held.
    pub turns: u64,
    /// How many bytes they held.
    pub bytes: u64,
    /// Half of them had at most so many bytes, within a factor of two.
    pub size_p50: u64,
    /// All but a hundredth of them had at most so many bytes, within a factor of two.
    pub size_p99: u64,
    /// Half of them took at most so many microseconds, within a factor of two.
    pub time_p50_us: u64,
    /// All but a hundredth of them took at most so many microseconds, within a factor of two.
    pub time_p99_us: u64,
}

impl CommitTimes {
    pub(crate) fn add(&mut self, turns: usize, bytes: usize, took: Duration) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.count = self.count.saturating_add(1);
        self.turns = self.turns.saturating_add(u64::try_from(turns).unwrap_or(u64::MAX));
        self.bytes = self.bytes.saturating_add(bytes);
        self.sizes.add(bytes);
        self.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn stats(&self) -> CommitStats {
        CommitStats {
            count: self.count,
            turns: self.turns,
            bytes: self.bytes,
            size_p50: self.sizes.percentile(50),
            size_p99: self.sizes.percentile(99),
            time_p50_us: self.micros.percentile(50),
            time_p99_us: self.micros.percentile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_factor_of_two() {
        let mut times = CommitTimes::default();
        for millis in 1..=100 {
            times.add(1, 1000, Duration::from_millis(millis));
        }
        let stats = times.stats();
        assert_eq!((stats.count, stats.bytes), (100, 100_000));
        assert!((50_000..100_000).contains(&stats.time_p50_us), "{stats:?}");
        assert!((99_000..198_000).contains(&stats.time_p99_us), "{stats:?}");
        assert!((1_000..2_000).contains(&stats.size_p50), "{stats:?}");
        assert_eq!(CommitTimes::default().stats(), CommitStats::default());
    }
}
