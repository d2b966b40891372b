//! Pausing a function: what executes of it ends its step, and nothing else of it goes on until it is resumed.

use super::{Shard, Turn};
use crate::effect::{Answer, Effect, Refusal};
use crate::id::{Epoch, FunctionId, RunId, Ticket};
use crate::step::{Pending, PendingState};

impl Shard {
    pub(super) fn pause(&mut self, ticket: Ticket, name: &str, is_paused: bool, turn: &mut Turn) {
        let answer = match self.names.get(name).copied() {
            Some(id) => {
                self.function_mut(id).record.is_paused = is_paused;
                self.turn.functions.insert(id);
                self.serve(id);
                Answer::Paused
            }
            None => Answer::Refused(Refusal::UnknownFunction(format!(
                "there is no function '{name}' in this store: is its application registered?"
            ))),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// Work of a function is handed out while an executor takes it and it is not paused.
    pub(super) fn serve(&mut self, id: FunctionId) {
        let function = self.function(id);
        let is_served = function.is_served && !function.record.is_paused;
        self.queues.set_served(id, is_served);
    }

    /// True where a run's code was taken from its executor because its function is paused: it is called again,
    /// as if it had not been, once the function goes on. While steps of it execute beside, it may go on to the
    /// next: they live with the code.
    pub(super) fn stop_if_paused(&mut self, id: RunId, epoch: Epoch, turn: &mut Turn) -> bool {
        let run = self.opened(id);
        let is_executing = |step: &Pending| matches!(step.state, PendingState::Executing(_));
        let (function, has_steps) = (run.function, run.pending.iter().any(is_executing));
        if has_steps || !self.function(function).record.is_paused {
            return false;
        }
        self.lose_stretch(id);
        self.opened(id).start_count = 0;
        turn.effects.push(Effect::AbandonWork { run: id, epoch });
        true
    }
}
