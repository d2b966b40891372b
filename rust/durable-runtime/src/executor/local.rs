//! The executor in this process: what it has been given, so that it is given only what is new.

use durable_core::{
    Epoch, EventId, EventRecord, ExecutorId, Memo, PendingState, RunId, RunRecord, Stretch, Work,
    write,
};
use durable_store::View;
use rustc_hash::FxHashMap;

use crate::error::{Error, Kind, Result};
use crate::outbox::{Item, Offer};

/// Runs whose handlers are alive on the other side, with how many memos each has seen.
#[derive(Debug, Default)]
pub(crate) struct LocalExecutor {
    seen: FxHashMap<RunId, u32>,
}

impl LocalExecutor {
    /// A new one connects: it has nothing.
    pub(crate) fn forget_all(&mut self) {
        self.seen.clear();
    }

    pub(crate) fn forget(&mut self, run: RunId) -> bool {
        self.seen.remove(&run).is_some()
    }

    /// Work with the payloads the executor lacks. A live run's code learns of new memos only with
    /// work for that code: a step of it may execute meanwhile, but the code may not go on.
    pub(crate) fn offer(&mut self, view: &View, work: Work) -> Result<Offer> {
        let known = self.seen.get(&work.run).copied();
        let (from, upto) = match (known, &work.step) {
            (None, _) => (0, work.memo_count),
            (Some(seen), None) => (seen, work.memo_count),
            (Some(seen), Some(_)) => (seen, seen),
        };
        let events = match known {
            None => events(view, &work)?,
            Some(_) => Vec::new(),
        };
        let memos = memos(view, work.run, from, upto)?;
        self.seen.insert(work.run, upto);
        Ok(Offer {
            executor: work.executor,
            run: work.run,
            epoch: work.epoch,
            function: work.function,
            step: work.step,
            attempt: work.attempt,
            step_attempt: work.step_attempt,
            failure_count: work.failure_count,
            memo_count: upto,
            events,
            memos,
            // Live code knows what it waits for.
            pending: if known.is_none() { work.pending } else { Vec::new() },
        })
    }

    /// The memos of a run whose code executes and which that code has not seen.
    pub(crate) fn deliver(
        &mut self,
        view: &View,
        (run, epoch): (RunId, Epoch),
        memo_count: u32,
    ) -> Result<Option<Item>> {
        let Some(seen) = self.seen.get_mut(&run) else { return Ok(None) };
        let from = std::mem::replace(seen, memo_count.max(*seen));
        if from >= memo_count {
            return Ok(None);
        }
        let memos = memos(view, run, from, memo_count)?;
        Ok(Some(Item::Memos { run, epoch, memo_count, memos }))
    }

    /// A report is taken: what was remembered with it, the executor knows.
    pub(crate) fn confirm(&mut self, run: RunId, memo_count: u32) {
        if let Some(seen) = self.seen.get_mut(&run) {
            *seen = memo_count.max(*seen);
        }
    }

    /// The same work once more and whole, if it still is the executor's.
    pub(crate) fn reload(&mut self, view: &View, id: RunId, epoch: Epoch) -> Result<Option<Offer>> {
        let Some(record) = view.get(&write::run_key(id))? else { return Ok(None) };
        let run: RunRecord = write::decode("a live run", &record)?;
        let (step, start_count, step_start_count, failure_count) =
            if run.stretch == Stretch::Executing(epoch) {
                (None, run.start_count, run.step_start_count(), run.failure_count)
            } else {
                let is_it = |state| state == PendingState::Executing(epoch);
                let Some(step) = run.pending.iter().find(|step| is_it(step.state)) else {
                    return Ok(None);
                };
                (Some(step.name.clone()), step.start_count, step.start_count, step.failure_count)
            };
        let work = Work {
            executor: ExecutorId::LOCAL,
            run: id,
            epoch,
            function: run.function,
            event: run.event,
            rest: run.rest,
            step,
            attempt: start_count.saturating_sub(1),
            step_attempt: step_start_count.saturating_sub(1),
            failure_count,
            memo_count: run.memo_count,
            pending: run.pending.into_iter().map(|step| step.name).collect(),
        };
        self.offer(view, work).map(Some)
    }
}

pub(crate) fn events(view: &View, work: &Work) -> Result<Vec<(EventId, EventRecord)>> {
    let mut events = Vec::with_capacity(work.rest.len().saturating_add(1));
    for id in std::iter::once(&work.event).chain(&work.rest) {
        let record = view.get(&write::event_key(*id))?;
        let record = record.ok_or_else(|| missing(work.run, &format!("its event {id}")))?;
        events.push((*id, write::decode("an event", &record)?));
    }
    Ok(events)
}

pub(crate) fn memos(view: &View, run: RunId, from: u32, upto: u32) -> Result<Vec<Memo>> {
    let mut memos = Vec::new();
    for number in from..upto {
        let record = view.get(&write::memo_key(run, number))?;
        let record = record.ok_or_else(|| missing(run, &format!("its memo number {number}")))?;
        memos.push(write::decode("a memo", &record)?);
    }
    Ok(memos)
}

fn missing(run: RunId, what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("run {run} lives, but {what} is not in the store"))
}
