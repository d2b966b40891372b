//! What queues need, and what happens to those that wait and execute when a deploy changes it.

use std::collections::BTreeSet;

use super::super::slots::QueueNumber;
use super::{Needs, Place, Queue, ReadyQueues, Wait};
use crate::id::FunctionId;

impl ReadyQueues {
    pub(super) fn attach(&mut self, queue: &mut Queue, needs: Needs) {
        let Self { slots, gates, .. } = self;
        queue.slots = needs.slots.map(|slot| slot.map(|(name, limit)| (slots.hold(&name), limit)));
        queue.run_slot = needs.run_slot.map(|(name, limit)| (slots.hold(&name), limit));
        queue.gate = needs.gate.map(|(name, rate)| (gates.hold(&name), rate));
        queue.is_lasting = needs.is_lasting;
        for (group, _) in queue.limits() {
            slots.take(group, queue.executing_count);
        }
    }

    /// Undoes all that a queue has of limits and gates, its places in their lines included.
    pub(super) fn detach(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        if let Some((gate, first)) = queue.waits_before() {
            self.gates.leave(gate, number, first);
        }
        if let (Some(Wait::RunSlot(ticket)), Some(slot)) =
            (queue.starts_wait.take(), queue.run_slot)
        {
            self.slots.leave(slot, number, ticket);
        }
        if let (Place::Line(group), Some(ticket)) = (queue.place, queue.ticket) {
            queue.place = Place::Idle;
            self.slots.leave((group, queue.limit_of(group)), number, ticket);
        }
        if let Some((gate, _)) = queue.gate.take() {
            self.gates.let_go(gate);
        }
        let (executing_count, run_count) =
            (queue.executing_count, std::mem::take(&mut queue.run_count));
        let executing = queue.limits().map(|(group, _)| (group, executing_count));
        let running = queue.run_slot.take().map(|(group, _)| (group, run_count));
        queue.slots = [None; _];
        let reserved = queue.reserved.take();
        for (group, count) in executing.chain(running) {
            let kept = u32::from(reserved == Some(group));
            self.slots.release(group, count.saturating_add(kept));
            self.slots.let_go(group);
        }
    }

    /// A deploy changed what a function's work needs: it applies at once, to what waits and what executes. Of
    /// runs that have started the caller says again that they hold their slots.
    pub(crate) fn change_needs(&mut self, function: FunctionId, needs_of: impl Fn(&[u8]) -> Needs) {
        let own = self.queues.all().filter(|(_, _, queue)| queue.function == function);
        let own: Vec<(QueueNumber, Needs)> =
            own.map(|(number, name, _)| (number, needs_of(name))).collect();
        let mut groups = BTreeSet::new();
        for (number, needs) in own {
            groups.extend(self.queues.get(number).into_iter().flat_map(Queue::groups));
            self.detach(number);
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
