//! Whether a failure is tried again, and when.

use std::time::Duration;

use super::Shard;
use crate::command::Retry;
use crate::flow::backoff::Backoff;
use crate::id::RunId;

impl Shard {
    /// How long to wait after the `failure_count`th failure of one piece of a run; `None`: it is final.
    pub(super) fn wait_before_retry(
        &mut self,
        id: RunId,
        failure_count: u32,
        retry: Retry,
    ) -> Option<Duration> {
        let chance = self.draw();
        let function = self.opened(id).function;
        let spec = &self.function(function).record.spec;
        if failure_count > u32::from(spec.retries) {
            return None;
        }
        match retry {
            Retry::Backoff => Some(spec.backoff.delay(failure_count, chance)),
            Retry::After(wait) => Some(Backoff::asked(wait)),
            Retry::Never => None,
        }
    }
}
