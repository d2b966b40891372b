//! Steps that a call records while it goes on: each is on disk before the SDK hears that it is.

use durable_core::{Epoch, Op, Report, RunId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Executor, ops};

/// What an SDK says of a call that goes on.
#[derive(Debug, Deserialize)]
pub(crate) struct Checkpoint<'a> {
    /// Which call, as that was told.
    #[serde(default)]
    pub(crate) qi_id: String,
    /// What has been done.
    #[serde(borrow)]
    pub(crate) steps: &'a RawValue,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checkpointed {
    /// It is on disk.
    Recorded,
    /// The call is not the one that counts any more, and is to stop.
    Stale,
    /// It cannot be understood.
    Refused(String),
}

impl Executor {
    /// Records what has been done.
    pub(crate) async fn checkpoint(&self, said: &Checkpoint<'_>) -> Checkpointed {
        let ops = match ops::of_checkpoint(said.steps) {
            Ok(ops) => ops,
            Err(why) => return Checkpointed::Refused(why),
        };
        let Some((run, epoch)) = call_of(&said.qi_id) else {
            return Checkpointed::Refused(format!("'{}' names no call", said.qi_id));
        };
        self.confirmed((run, epoch), ops).await
    }

    /// Reports what a call has done that goes on, and waits until that is on disk.
    pub(super) async fn confirmed(
        &self,
        (run, epoch): (RunId, Epoch),
        ops: Vec<Op>,
    ) -> Checkpointed {
        let recorded = ops.iter().filter(|op| matches!(op, Op::StepRun { .. })).count();
        let recorded = u32::try_from(recorded).unwrap_or(u32::MAX);
        let (confirmed, is_confirmed) = oneshot::channel();
        if !self.submit_next((run, epoch), ops, (recorded, confirmed)) {
            return Checkpointed::Stale;
        }
        match is_confirmed.await {
            Ok(()) => Checkpointed::Recorded,
            Err(_abandoned) => Checkpointed::Stale,
        }
    }

    /// The next report of a call; false where nobody wants to hear of it any more.
    fn submit_next(
        &self,
        (run, epoch): (RunId, Epoch),
        ops: Vec<Op>,
        (recorded, confirmed): (u32, oneshot::Sender<()>),
    ) -> bool {
        let mut state = self.state.lock(); // reports of one call go out in the order of their numbers
        let Some(call) = state.calls.get_mut(&(run, epoch)) else { return false };
        let number = call.report_count;
        call.report_count = number.saturating_add(1);
        call.recorded = call.recorded.saturating_add(recorded);
        call.confirmed.push((number, confirmed));
        self.submit(Report { run, epoch, number, ops, parked_at: None });
        true
    }

    /// A report is on disk.
    pub(super) fn confirm(&self, call: (RunId, Epoch), number: u32) {
        let mut state = self.state.lock();
        let Some(call) = state.calls.get_mut(&call) else { return };
        for (_, confirmed) in call.confirmed.extract_if(.., |(waiting, _)| *waiting <= number) {
            let _heard = confirmed.send(()).is_ok();
        }
    }
}

fn call_of(item: &str) -> Option<(RunId, Epoch)> {
    let (run, epoch) = item.split_once('.')?;
    Some((RunId::parse(run)?, Epoch(epoch.parse().ok()?)))
}
