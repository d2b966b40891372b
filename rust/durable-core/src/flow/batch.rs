//! Batches: many events start one run, when there are enough of them or the first has waited long enough.

use std::time::Duration;

use super::policy::Batch;
use crate::time::Timestamp;

/// A batch is full beyond so many bytes of data, however few its events: the reference server's cap.
pub const MAX_BATCH_BYTES: u64 = 10 * 1024 * 1024;

impl Batch {
    /// When a batch whose first event came then starts, full or not.
    pub fn due(&self, first_at: Timestamp) -> Timestamp {
        first_at.plus(Duration::from_millis(self.timeout_ms))
    }

    /// Whether a batch of so many events and bytes starts at once.
    pub fn is_full(&self, count: usize, bytes: u64) -> bool {
        count >= usize::try_from(self.max_size).unwrap_or(usize::MAX) || bytes >= MAX_BATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_by_events_or_by_bytes() {
        let batch = Batch { max_size: 5, timeout_ms: 5_000, key: None, condition: None };
        assert!(!batch.is_full(4, 100) && batch.is_full(5, 100));
        assert!(batch.is_full(2, MAX_BATCH_BYTES) && !batch.is_full(2, MAX_BATCH_BYTES - 1));
        assert_eq!(batch.due(Timestamp::from_millis(7)), Timestamp::from_millis(5_007));
    }
}
