//! What queues need, and what happens to those that wait and execute when a deploy changes it.

use std::collections::BTreeSet;

use super::super::slots::{GroupId, QueueNumber};
use super::{Needs, Place, Queue, ReadyQueues, Wait};
use crate::id::FunctionId;

impl ReadyQueues {
    pub(super) fn attach(&mut self, queue: &mut Queue, needs: Needs) {
        let slots = needs.slots.iter().map(|(name, limit)| (self.slots.hold(name), *limit));
        queue.slots = slots.collect();
        queue.run_slot = needs.run_slot.map(|(name, limit)| (self.slots.hold(&name), limit));
        queue.gate = needs.gate.map(|(name, rate)| (self.gates.hold(&name), rate));
        queue.is_lasting = needs.is_lasting;
        for (group, _) in &queue.slots {
            self.slots.take(*group, queue.executing_count);
        }
    }

    /// Undoes all that a queue has of limits and gates, its places in their lines included.
    pub(super) fn detach(&mut self, number: QueueNumber) -> Vec<GroupId> {
        let Some(queue) = self.queues.get_mut(number) else { return Vec::new() };
        let waited = queue.starts_wait.take();
        if let Some(Wait::RunSlot(group)) = waited {
            self.slots.leave(group, number);
        }
        if let Some((gate, _)) = queue.gate.take() {
            if let Some(Wait::Gate(first)) = waited {
                self.gates.leave(gate, number, first);
            }
            self.gates.let_go(gate);
        }
        let (place, reserved) = (std::mem::take(&mut queue.place), queue.reserved.take());
        if let Place::Line(group) = place {
            self.slots.leave(group, number);
        }
        if place == Place::Round {
            queue.place = Place::Round;
        }
        let executing = queue.slots.drain(..).map(|(group, _)| (group, queue.executing_count));
        let run_count = std::mem::take(&mut queue.run_count);
        let running = queue.run_slot.take().map(|(group, _)| (group, run_count));
        let held: Vec<(GroupId, u32)> = executing.chain(running).collect();
        for (group, count) in &held {
            let kept = u32::from(reserved == Some(*group));
            self.slots.release(*group, count.saturating_add(kept));
            self.slots.let_go(*group);
        }
        held.into_iter().map(|(group, _)| group).collect()
    }

    /// A deploy changed what a function's work needs: it applies at once, to what waits and what executes. Of
    /// runs that have started the caller says again that they hold their slots.
    pub(crate) fn change_needs(&mut self, function: FunctionId, needs_of: impl Fn(&[u8]) -> Needs) {
        let own = self.queues.all().filter(|(_, _, queue)| queue.function == function);
        let own: Vec<(QueueNumber, Needs)> =
            own.map(|(number, name, _)| (number, needs_of(name))).collect();
        let mut groups = BTreeSet::new();
        for (number, needs) in own {
            groups.extend(self.detach(number));
            let Some(mut queue) = self.queues.get_mut(number).map(std::mem::take) else { continue };
            self.attach(&mut queue, needs);
            groups.extend(queue.groups());
            if let Some(place) = self.queues.get_mut(number) {
                *place = queue;
            }
            self.call(number);
        }
        for group in groups {
            self.call_next(group);
        }
    }
}
