//! Pausing a function: what executes of it ends its step, and nothing else of it goes on until it is resumed.

use super::{Shard, Turn};
use crate::effect::{Answer, Effect, Refusal};
use crate::id::{Epoch, FunctionId, RunId, Ticket};
use crate::run::Stretch;
use crate::step::{Pending, PendingState};

impl Shard {
    pub(super) fn pause(&mut self, ticket: Ticket, name: &str, is_paused: bool, turn: &mut Turn) {
        let Some(id) = self.names.get(name).copied() else {
            let answer = Answer::Refused(Refusal::no_function(name));
            turn.effects.push(Effect::Answer { ticket, answer });
            return;
        };
        self.function_mut(id).record.is_paused = is_paused;
        self.turn.functions.insert(id);
        self.serve(id);
        turn.effects.push(Effect::Answer { ticket, answer: Answer::Paused });
        if !is_paused {
            self.confirm_withheld(id, turn);
        }
    }

    /// Work of a function is handed out while an executor takes it, it is not paused, and none of it may be too
    /// late without its timer having said so.
    pub(super) fn serve(&mut self, id: FunctionId) {
        let function = self.function(id);
        let is_in_time = !self.is_behind || function.record.spec.policies.timeouts.is_none();
        let is_served = function.is_served && !function.record.is_paused && is_in_time;
        self.queues.set_served(id, is_served);
    }

    /// True where a run's code is not to go on because its function is paused. It is taken from its executor and
    /// called again once the function goes on; while steps of it execute, which live with the code, it waits for
    /// its report to be confirmed.
    pub(super) fn stop_if_paused(
        &mut self,
        id: RunId,
        (epoch, number): (Epoch, u32),
        turn: &mut Turn,
    ) -> bool {
        let function = self.opened(id).function;
        if !self.function(function).record.is_paused {
            return false;
        }
        let withheld = self.withheld.entry(id).or_insert((epoch, Vec::new()));
        withheld.1.push(number);
        self.stop_withheld(id, turn);
        true
    }

    /// Takes the code that waits for a confirmation from its executor once none of its steps executes; true where
    /// it did. The stretch begins anew, as one that was never tried: nothing of it failed.
    pub(super) fn stop_withheld(&mut self, id: RunId, turn: &mut Turn) -> bool {
        let is_executing = |step: &Pending| matches!(step.state, PendingState::Executing(_));
        let has_steps = self.open(id).is_none_or(|run| run.pending.iter().any(is_executing));
        if has_steps {
            return false;
        }
        let Some((epoch, _)) = self.withheld.remove(&id) else { return false };
        self.lose_stretch(id);
        let run = self.opened(id);
        (run.start_count, run.idle_count) = (0, 0);
        turn.effects.push(Effect::AbandonWork { run: id, epoch });
        true
    }

    /// A function goes on: so does the code of it that waited for its reports to be confirmed.
    fn confirm_withheld(&mut self, function: FunctionId, turn: &mut Turn) {
        for (run, (epoch, numbers)) in std::mem::take(&mut self.withheld) {
            let Some(record) = self.open(run) else { continue };
            if record.function != function {
                self.withheld.insert(run, (epoch, numbers));
                continue;
            }
            if record.stretch != Stretch::Executing(epoch) {
                continue;
            }
            let memo_count = record.memo_count;
            let executor = self.executor_of(run);
            let confirm =
                |number| Effect::ConfirmReport { executor, run, epoch, number, memo_count };
            turn.effects.extend(numbers.into_iter().map(confirm));
        }
    }
}
