//! Executors come and go; what one had when it went is handed out again.

use super::{Shard, Turn};
use crate::effect::Effect;
use crate::id::{ExecutorId, FunctionId, RunId};
use crate::run::Stretch;
use crate::step::PendingState;

impl Shard {
    /// An executor takes the place of the one of its number before, whose work is lost.
    pub(super) fn connect(
        &mut self,
        (executor, capacity): (ExecutorId, u32),
        functions: &[String],
        turn: &mut Turn,
    ) {
        self.queues.set_capacity(executor, capacity);
        self.lose_work(|of| of.is_none_or(|had| had == executor));
        self.serve_all(executor, functions, turn);
    }

    /// An executor takes these functions from now on, and no others.
    pub(super) fn serve_all(
        &mut self,
        executor: ExecutorId,
        functions: &[String],
        turn: &mut Turn,
    ) {
        let now = self.now();
        for id in (0..).map(FunctionId).take(self.functions.len()) {
            let function = self.function(id);
            let is_of_it = function.executor == Some(executor);
            let was_served = function.is_served && is_of_it;
            let is_served = functions.contains(&function.record.spec.name);
            if is_served && !is_of_it {
                self.change_executor(id, executor, turn);
            }
            let function = self.function_mut(id);
            if is_served || is_of_it {
                function.is_served = is_served;
            }
            if is_served && !was_served {
                function.served_since = now;
            }
            self.serve(id);
        }
        self.wake_held();
    }

    /// Who executes a run's code, or did last.
    pub(super) fn executor_of(&mut self, id: RunId) -> ExecutorId {
        let function = self.opened(id).function;
        self.function(function).executor.unwrap_or_default()
    }

    /// What another has of a function is lost: that one drops it, and has room for something else.
    fn change_executor(&mut self, id: FunctionId, executor: ExecutorId, turn: &mut Turn) {
        let had_it = self.function(id).executor.is_some();
        let running: Vec<RunId> = self.executing.iter().copied().collect();
        for run in running {
            let Some(record) = self.open(run).filter(|record| record.function == id) else {
                continue;
            };
            if had_it {
                let epochs = record.epochs().into_iter();
                turn.effects.extend(epochs.map(|epoch| Effect::AbandonWork { run, epoch }));
            }
            self.lose_run(run);
        }
        self.function_mut(id).executor = Some(executor);
        self.queues.set_executor(id, executor);
    }

    /// What executors have of functions that were theirs is queued again.
    fn lose_work(&mut self, is_lost: impl Fn(Option<ExecutorId>) -> bool) {
        let running: Vec<RunId> = self.executing.iter().copied().collect();
        for run in running {
            let function = self.open(run).map(|record| record.function);
            if function.is_none_or(|id| is_lost(self.function(id).executor)) {
                self.lose_run(run);
            }
        }
    }

    fn lose_run(&mut self, run: RunId) {
        self.executing.remove(&run);
        self.lose_stretch(run);
        self.lose_steps(run);
        self.withheld.remove(&run);
    }

    /// The code of a run is queued again if it was executing: whoever has it shall not be heard.
    pub(super) fn lose_stretch(&mut self, id: RunId) {
        let Some(run) = self.open(id) else { return };
        if matches!(run.stretch, Stretch::Executing(_)) {
            self.withheld.remove(&id);
            self.release_slots(id);
            self.enqueue_stretch(id);
        }
    }

    /// The steps of a run that were executing are queued again.
    pub(super) fn lose_steps(&mut self, id: RunId) {
        let Some(run) = self.open(id) else { return };
        let lost: Vec<u32> = run
            .pending
            .iter()
            .filter(|pending| matches!(pending.state, PendingState::Executing(_)))
            .map(|pending| pending.number)
            .collect();
        for number in lost {
            self.release_slots(id);
            self.enqueue_step(id, number);
        }
    }
}
