//! What queues need, and what happens to those that wait and execute when a deploy changes it.

use std::collections::BTreeSet;

use super::super::slots::{GroupId, QueueNumber};
use super::{Needs, Place, Queue, ReadyQueues};
use crate::id::FunctionId;

impl ReadyQueues {
    pub(super) fn attach(&mut self, queue: &mut Queue, needs: Needs) {
        let slots = needs.slots.iter().map(|(name, limit)| (self.slots.hold(name), *limit));
        queue.slots = slots.collect();
        queue.gate = needs.gate.map(|(name, rate)| (self.gates.hold(&name), rate));
        queue.is_lasting = needs.is_lasting;
        for (group, _) in &queue.slots {
            self.slots.take(*group, queue.executing_count);
        }
    }

    /// Undoes all that a queue has of limits and gates, its places in their lines included.
    pub(super) fn detach(&mut self, number: QueueNumber) -> Vec<GroupId> {
        let Some(queue) = self.queues.get_mut(number) else { return Vec::new() };
        if let Some((gate, _)) = queue.gate.take() {
            if let Some(first) = queue.waits_with.take() {
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
        let groups: Vec<GroupId> = queue.slots.drain(..).map(|(group, _)| group).collect();
        for group in &groups {
            let kept = u32::from(reserved == Some(*group));
            self.slots.release(*group, queue.executing_count.saturating_add(kept));
            self.slots.let_go(*group);
        }
        groups
    }

    /// A deploy changed what a function's work needs: it applies at once, to what waits and what executes.
    pub(crate) fn change_needs(&mut self, function: FunctionId, needs_of: impl Fn(&[u8]) -> Needs) {
        let own = self.queues.all().filter(|(_, _, queue)| queue.function == function);
        let own: Vec<(QueueNumber, Needs)> =
            own.map(|(number, name, _)| (number, needs_of(name))).collect();
        let mut groups = BTreeSet::new();
        for (number, needs) in own {
            groups.extend(self.detach(number));
            let Some(mut queue) = self.queues.get_mut(number).map(std::mem::take) else { continue };
            self.attach(&mut queue, needs);
            groups.extend(queue.slots.iter().map(|(group, _)| *group));
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
