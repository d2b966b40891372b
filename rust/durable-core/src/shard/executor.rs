//! Executors come and go; what one had when it went is handed out again.

use super::Shard;
use crate::id::{FunctionId, RunId};
use crate::run::Stretch;
use crate::step::PendingState;

impl Shard {
    /// A new executor takes the place of the one before, whose work is lost.
    pub(super) fn connect(&mut self, capacity: u32, functions: &[String]) {
        let now = self.now();
        for run in std::mem::take(&mut self.executing) {
            self.lose_stretch(run);
            self.lose_steps(run);
        }
        self.withheld.clear();
        self.capacity = capacity;
        for id in (0..).map(FunctionId).take(self.functions.len()) {
            let function = self.function_mut(id);
            let was_served = function.is_served;
            function.is_served = functions.contains(&function.record.spec.name);
            if function.is_served && !was_served {
                function.served_since = now;
            }
            self.serve(id);
        }
        self.wake_held();
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
