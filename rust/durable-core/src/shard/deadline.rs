//! Deadlines: a run that has not started, or not ended, in its time is cancelled; and what cancelling is.

use super::enqueue::{FINISH_BY, START_BY};
use super::flow::policies_of;
use super::{Shard, Turn};
use crate::effect::{Answer, Effect};
use crate::flow::timeouts::Deadline;
use crate::flow::timer_wheel::Timer;
use crate::id::{FunctionId, RunId, Ticket};
use crate::run::{Ending, RunRecord, Stretch};
use crate::step::Outcome;

impl Shard {
    /// A run has the deadline that its function's timeouts, as they are now, give it.
    pub(super) fn set_deadline(&mut self, id: RunId, turn: &mut Turn) {
        self.open(id);
        let Some(run) = self.seen(id) else { return };
        let (before, wanted) = (run.deadline, self.deadline_of(run));
        if before == wanted {
            return;
        }
        self.opened(id).deadline = wanted;
        if let Some(before) = before {
            Self::stop_timer(timer_of(id, before), turn);
        }
        if let Some(wanted) = wanted {
            self.start_timer(timer_of(id, wanted), turn);
        }
    }

    fn deadline_of(&self, run: &RunRecord) -> Option<Deadline> {
        let timeouts = policies_of(&self.functions, run.function).timeouts.as_ref()?;
        let is_put_off = matches!(run.stretch, Stretch::BackingOff(_) | Stretch::Gathering(_));
        if run.started_at.is_none() && is_put_off {
            return None;
        }
        timeouts.deadline(run.active_at, run.started_at)
    }

    /// A deadline has passed, unless a deploy has moved it.
    pub(super) fn fire_deadline(&mut self, timer: Timer, turn: &mut Turn) {
        let now = self.now();
        let id = RunId::from_bytes(timer.id);
        let Some(run) = self.open(id) else { return };
        if run.deadline.map(|deadline| timer_of(id, deadline)) != Some(timer) {
            return;
        }
        self.set_deadline(id, turn);
        match self.opened(id).deadline {
            Some(Deadline::Start(at)) if at <= now => {
                self.cancel_run(id, "it did not start within its start timeout", turn);
            }
            Some(Deadline::Finish(at)) if at <= now => {
                self.cancel_run(id, "it did not end within its finish timeout", turn);
            }
            Some(_) | None => {}
        }
    }

    /// A deploy changed a function's timeouts: they apply to its live runs at once.
    pub(super) fn set_deadlines(&mut self, function: FunctionId, turn: &mut Turn) {
        if !self.may_have_runs(function) {
            return;
        }
        let all = self.runs.sorted().into_iter().map(|(id, slot)| (id, slot.unpack()));
        let own = all.filter(|(_, run)| run.function == function);
        let changed = own.filter(|(_, run)| self.deadline_of(run) != run.deadline);
        for id in changed.map(|(id, _)| id).collect::<Vec<_>>() {
            self.set_deadline(id, turn);
        }
    }

    /// Somebody calls a run off. One that has ended stays as it is.
    pub(super) fn cancel_asked(&mut self, ticket: Ticket, id: RunId, turn: &mut Turn) {
        let is_live = self.runs.contains(id);
        if is_live {
            self.cancel_run(id, "it was called off", turn);
        }
        turn.effects.push(Effect::Answer { ticket, answer: Answer::Cancelled(is_live) });
    }

    /// Ends a run that is not to go on, whatever of it executes.
    pub(super) fn cancel_run(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let error = crate::run::engine_error("RunCancelled", why);
        self.end_run(id, Ending::Cancelled, Outcome::Error(error), turn);
    }
}

pub(super) fn timer_of(id: RunId, deadline: Deadline) -> Timer {
    let number = match deadline {
        Deadline::Start(_) => START_BY,
        Deadline::Finish(_) => FINISH_BY,
    };
    Timer { due: deadline.at(), id: *id.as_bytes(), number }
}
