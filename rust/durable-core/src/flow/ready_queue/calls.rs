//! Who stands in which line, and who is called when something becomes free.

use super::super::gates::GateId;
use super::super::slots::{GroupId, QueueNumber};
use super::{Item, Place, ReadyQueues, Wait};
use crate::id::FunctionId;
use crate::time::Timestamp;

/// So often a queue that needs two limits gives way to others before a slot is kept for it.
const PATIENCE: u8 = 16;

impl ReadyQueues {
    /// A queue lacks a slot of `group`: it waits there. What others of its limits have free goes to the
    /// next, or is kept for this queue where it has given way too often.
    pub(super) fn stand_in_line(&mut self, number: QueueNumber, lacked: GroupId, is_start: bool) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        let limit = queue.limit_of(lacked);
        let ticket = *queue.ticket.get_or_insert_with(|| self.slots.next_ticket());
        queue.place = Place::Line(lacked);
        self.slots.wait((lacked, limit), number, ticket);
        queue.passed_over_count = queue.passed_over_count.saturating_add(1);
        // Only ever a lower group is kept while a higher one is waited for: no two wait for each other. What a
        // whole run holds counts as lower than all: it is never waited for by what executes.
        if queue.passed_over_count > PATIENCE && queue.reserved.is_none() {
            let lower = queue.limits().find(|(group, _)| *group < lacked);
            queue.reserved = lower.or(queue.run_slot.filter(|_| is_start)).map(|slot| slot.0);
            if let Some(kept) = queue.reserved {
                self.slots.take(kept, 1);
                self.reserving.insert(number);
            }
        }
        for group in queue.groups().filter(|group| *group != lacked) {
            self.call_next(group);
        }
    }

    /// A queue went, or has nothing that can go: it stays in the round while it may have more, and what is
    /// still free of its limits goes to whoever waits for it.
    pub(super) fn after_try(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get(number) else { return };
        let (may_go, groups) = (queue.may_go(), queue.groups());
        if may_go {
            self.enter_round(number);
        }
        for group in groups {
            self.call_next(group);
        }
        self.forget_if_idle(number);
    }

    /// Calls the next queue for which this group has room.
    pub(super) fn call_next(&mut self, group: GroupId) {
        while let Some(number) = self.slots.next_waiting(group) {
            let Some(queue) = self.queues.get_mut(number) else { continue };
            match queue.starts_wait {
                Some(Wait::RunSlot(_)) if queue.run_slot.is_some_and(|slot| slot.0 == group) => {
                    queue.starts_wait = None;
                }
                Some(Wait::RunSlot(_) | Wait::Gate) | None => queue.place = Place::Idle,
            }
            let (function, place) = (queue.function, queue.place);
            if !queue.may_go() {
                self.forget_if_idle(number);
                continue;
            }
            if place == Place::Idle {
                self.enter_round(number);
            }
            let is_called = !matches!(place, Place::Line(_));
            if is_called && self.is_heard(function, number) {
                return; // it takes the slot, or calls the next
            }
        }
    }

    /// Calls the first that waits before a gate and stands in no line; it asks the gate again.
    pub(super) fn call_before(&mut self, gate: GateId) {
        while let Some(number) = self.gates.next_waiting(gate) {
            self.call(number);
            let queue = self.queues.get(number);
            if queue.is_some_and(|queue| queue.place == Place::Round) {
                return;
            }
        }
    }

    pub(super) fn call(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        queue.starts_wait = None;
        self.enter_round_if_able(number);
    }

    pub(super) fn enter_round_if_able(&mut self, number: QueueNumber) {
        let queue = self.queues.get(number);
        if queue.is_some_and(|queue| queue.place == Place::Idle && queue.may_go()) {
            self.enter_round(number);
        }
    }

    pub(super) fn wait_before(
        &mut self,
        gate: GateId,
        number: QueueNumber,
        start: Item,
        until: Timestamp,
    ) {
        if let Some(queue) = self.queues.get_mut(number) {
            queue.starts_wait = Some(Wait::Gate);
        }
        self.gates.wait(gate, number, start, until);
    }

    /// What these queues were called for goes to the next: their function is not served any more.
    pub(super) fn pass_on(&mut self, called: Vec<QueueNumber>) {
        for number in called {
            let Some(queue) = self.queues.get(number) else { continue };
            let (groups, gate) = (queue.groups(), queue.gate);
            for group in groups {
                self.call_next(group);
            }
            if let Some((gate, _)) = gate {
                self.call_before(gate);
            }
        }
    }

    /// Nothing of this function goes now: what is kept for it is free for others.
    pub(super) fn free_reserved(&mut self, function: FunctionId) {
        let mut freed = Vec::new();
        let queues = &mut self.queues;
        self.reserving.retain(|number| {
            let queue = queues.get_mut(*number).filter(|queue| queue.reserved.is_some());
            let Some(queue) = queue else { return false };
            if queue.function == function {
                freed.extend(queue.reserved.take());
            }
            queue.reserved.is_some()
        });
        for group in freed {
            self.slots.release(group, 1);
            self.call_next(group);
        }
    }

    pub(super) fn enter_round(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        queue.place = Place::Round;
        let function = queue.function;
        if let Some(round) = self.round(function) {
            round.queues.push_back(number);
        }
        self.join_ring(function);
    }

    pub(super) fn join_ring(&mut self, function: FunctionId) {
        let Some(round) = self.round(function) else { return };
        if round.is_served && !round.is_in_ring && !round.queues.is_empty() {
            round.is_in_ring = true;
            let executor = round.executor;
            if let Some(ring) = self.ring(executor) {
                ring.functions.push_back(function);
            }
        }
    }
}
