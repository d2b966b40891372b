//! Executors outside of this process: nothing of a run is alive there, so each is given all of it each time.

use durable_core::Work;
use durable_store::View;

use super::local::{events, memos};
use crate::error::Result;
use crate::outbox::Offer;

/// Work with all that it is about.
pub(crate) fn offer(view: &View, work: Work) -> Result<Offer> {
    Ok(Offer {
        executor: work.executor,
        run: work.run,
        epoch: work.epoch,
        function: work.function,
        attempt: work.attempt,
        failure_count: work.failure_count,
        step_attempt: work.step_attempt,
        memo_count: work.memo_count,
        events: events(view, &work)?,
        memos: memos(view, work.run, 0, work.memo_count)?,
        step: work.step,
        pending: work.pending,
    })
}
