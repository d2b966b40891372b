//! What every live run's record must say: its events, its keys, what it gathers, when it may start, and
//! until when.

use std::time::Duration;

use durable_core::{Deadline, PendingState, RunId, RunRecord, Stretch, Timestamp};

use super::{Life, Model, require};
use crate::driver::Sealed;

impl Model {
    /// A record as this turn leaves it.
    pub(super) fn check_standing(
        &mut self,
        turn: &Sealed,
        id: RunId,
        record: &RunRecord,
    ) -> Result<(), String> {
        let Some(life) = self.runs.get(id) else { return Err(format!("unknown run {id}")) };
        let events = std::iter::once(&record.event).chain(&record.rest);
        let is_same = events.eq(&life.events)
            && record.function == life.function
            && record.rerun_of == life.rerun_of
            && record.created_at == life.created_at;
        require(is_same, || {
            let (events, made) = (&life.events, life.created_at);
            format!("run {id} is of {events:?} since {made:?}, and is kept as {record:?}")
        })?;
        require(life.keys.is(&record.keys), || {
            format!("run {id} has the keys {:?}, not {:?}", record.keys, life.keys)
        })?;
        let due = self.gathered_at(life);
        match (record.stretch, life.bucket.is_some()) {
            (Stretch::Gathering(at), true) => {
                require(due.is_some_and(|due| at <= due), || {
                    format!("run {id} gathers until {due:?} and looks again at {at:?}")
                })?;
            }
            (Stretch::Gathering(_), false) | (_, true) => {
                return Err(format!("run {id} should gather until {due:?}: {record:?}"));
            }
            (stretch, false) if life.ready_at.is_none() => {
                let waits = stretch == Stretch::BackingOff(life.starts_at);
                let is_time = life.starts_at <= turn.now;
                require(waits || is_time, || format!("run {id} starts early: {stretch:?}"))?;
                if let Some(life) = self.runs.get_mut(id).filter(|_| !waits) {
                    life.ready_at = Some(turn.now);
                }
            }
            (_, false) => {}
        }
        Ok(())
    }

    /// Every live run has the deadline that its function's timeouts, as they are now, give it.
    pub(super) fn check_deadlines(&self) -> Result<(), String> {
        for (id, life) in self.live() {
            let Some(record) = &life.record else {
                return Err(format!("run {id} is not kept"));
            };
            let wanted = self.deadline(life);
            require(record.deadline == wanted, || {
                format!("run {id} has the deadline {:?}, not {wanted:?}", record.deadline)
            })?;
        }
        Ok(())
    }

    /// When a run is cancelled if it does not get on.
    pub(super) fn deadline(&self, life: &Life) -> Option<Deadline> {
        let timeouts = self.spec(life.function)?.policies.timeouts.as_ref()?;
        let after = |from: Timestamp, ms: u64| from.plus(Duration::from_millis(ms));
        let started_at = life.record.as_ref().and_then(|record| record.started_at);
        if let Some(at) = started_at {
            return timeouts.finish_ms.map(|ms| Deadline::Finish(after(at, ms)));
        }
        let ready_at = life.ready_at?;
        timeouts.start_ms.map(|ms| Deadline::Start(after(ready_at, ms)))
    }

    /// Whatever of a run should have happened by now, where the shard says that it has nothing more to do.
    pub fn overdue(&self, now: Timestamp) -> Result<(), String> {
        self.overdue_tick(now)?;
        let is_due = |at: Timestamp| at.as_nanos().div_ceil(1_000_000) <= now.as_millis();
        for (id, life) in self.live() {
            let Some(record) = &life.record else { continue };
            let stretch = match record.stretch {
                Stretch::BackingOff(at) => Some(at),
                Stretch::Gathering(_) => Some(self.gathered_at(life).unwrap_or_default()),
                Stretch::Queued | Stretch::Executing(_) | Stretch::Parked => None,
            };
            let steps = record.pending.iter().filter_map(|step| match step.state {
                PendingState::BackingOff(at)
                | PendingState::Sleeping(at)
                | PendingState::Waiting(at) => Some(at),
                PendingState::Queued | PendingState::Executing(_) => None,
            });
            let deadline = self.deadline(life).map(Deadline::at);
            let late = stretch.into_iter().chain(deadline).chain(steps).find(|at| is_due(*at));
            require(late.is_none(), || {
                format!(
                    "run {id}: what was due at {late:?} has not happened at {now:?}: {record:?}"
                )
            })?;
        }
        Ok(())
    }

    /// No two live runs are the one run of a singleton.
    pub(super) fn check_singletons(&self) -> Result<(), String> {
        let mut holders = std::collections::BTreeMap::new();
        for (id, life) in self.live().filter(|(_, life)| life.bucket.is_none()) {
            let Some(key) = &life.keys.singleton else { continue };
            if let Some(other) = holders.insert((life.function, key), id) {
                return Err(format!("runs {other} and {id} are both the one of {key:?}"));
            }
        }
        Ok(())
    }
}
