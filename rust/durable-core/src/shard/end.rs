//! The end of a run: one turn, in which all that it held goes with it.

use super::arrive::singleton_name;
use super::enqueue::STRETCH;
use super::{Shard, Turn};
use crate::effect::Effect;
use crate::flow::timer_wheel::Timer;
use crate::id::RunId;
use crate::run::{Ending, RunEnd, Stretch};
use crate::step::{Outcome, Pending, StepKind};
use crate::write::Write;

impl Shard {
    pub(super) fn end_run(&mut self, id: RunId, ending: Ending, outcome: Outcome, turn: &mut Turn) {
        self.end_run_at(id, None, (ending, outcome), turn);
    }

    /// The same at a step that the run no longer has, or never had: it gets no memo.
    pub(super) fn end_run_at(
        &mut self,
        id: RunId,
        step: Option<(String, StepKind)>,
        (ending, outcome): (Ending, Outcome),
        turn: &mut Turn,
    ) {
        let now = self.now();
        self.forget_stretch(id, turn);
        let pending = std::mem::take(&mut self.opened(id).pending);
        for step in &pending {
            self.forget(id, step, turn);
        }
        self.withheld.remove(&id);
        self.let_go_of_the_whole(id, turn);
        let run = self.opened(id);
        let (function, memo_count, started_by) = (run.function, run.memo_count, run.started_by);
        let invokers = std::mem::take(&mut run.invokers);
        let end = RunEnd {
            function,
            event: run.event,
            rest: std::mem::take(&mut run.rest),
            rerun_of: run.rerun_of,
            ending,
            outcome: outcome.clone(),
            created_at: run.created_at,
            started_at: run.started_at,
            ended_at: now,
            unrecorded: pending.into_iter().map(Pending::into_named).chain(step).collect(),
        };
        self.runs.remove(id);
        self.keep_until_expired(id, &end, turn);
        self.tell_of_end(id, (started_by, &end), turn);
        let record = &mut self.function_mut(function).record;
        let total = match ending {
            Ending::Completed => &mut record.completed_count,
            Ending::Failed => &mut record.failed_count,
            Ending::Cancelled => &mut record.cancelled_count,
        };
        *total = total.saturating_add(1);
        self.turn.functions.insert(function);
        let event = end.event;
        turn.writes.push(Write::Archive { run: id, end: Box::new(end), memo_count });
        let told = outcome.clone();
        turn.effects.push(Effect::AnnounceEnd { run: id, function, event, ending, outcome });
        self.tell_invokers(id, (invokers, function), (ending, &told), turn); // who may end by it, too
    }

    /// Undoes what the code between steps holds: its place in the queue, its slot, or its timer.
    fn forget_stretch(&mut self, id: RunId, turn: &mut Turn) {
        let run = self.opened(id);
        match run.stretch {
            Stretch::Queued => self.leave_queue(id, STRETCH),
            Stretch::Executing(epoch) => {
                self.release_slots(id);
                turn.effects.push(Effect::AbandonWork { run: id, epoch });
            }
            Stretch::BackingOff(due) => {
                Self::stop_timer(Timer { due, id: *id.as_bytes(), number: STRETCH }, turn);
            }
            Stretch::Gathering(_) => {
                run.cancels.clear(); // nobody listens for them yet
                self.stop_gathering(id, turn);
            }
            Stretch::Parked => {}
        }
    }

    /// Gives back what a run holds from its start to its end: its slot, its singleton, its deadline.
    fn let_go_of_the_whole(&mut self, id: RunId, turn: &mut Turn) {
        let run = self.opened(id);
        let singleton = run.keys.singleton.as_ref().map(|key| singleton_name(run.function, key));
        if let Some(deadline) = run.deadline.take() {
            Self::stop_timer(super::deadline::timer_of(id, deadline), turn);
        }
        self.ignore_cancels(id);
        self.release_run_slot(id);
        if let Some(name) = singleton {
            self.singletons.let_go(&name, id);
        }
    }
}
