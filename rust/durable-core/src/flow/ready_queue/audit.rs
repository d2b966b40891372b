//! The queues look at themselves: what they hold, and that each stands where it will be woken.

use std::collections::{BTreeMap, BTreeSet};

use super::super::slots::{GroupId, QueueNumber};
use super::queue::Round;
use super::{Item, Place, Queue, ReadyQueues, Wait};

/// What a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) items: BTreeSet<Item>,
    pub(crate) starts: BTreeSet<Item>,
    pub(crate) executing_count: u32,
    pub(crate) run_count: u32,
}

impl ReadyQueues {
    /// All that is queued or executes, by queue.
    pub(crate) fn contents(&self) -> BTreeMap<Vec<u8>, Held> {
        let queues = self.queues.all().filter(|(_, _, queue)| !queue.is_unused());
        queues.map(|(_, name, queue)| (name.to_vec(), queue.held())).collect()
    }

    /// How many queues, slot groups and gates are kept.
    pub(crate) fn kept_counts(&self) -> (usize, usize, usize) {
        (self.queues.len(), self.slots.len(), self.gates.len())
    }

    /// To be called after a dispatch. `Err` says which queue would never be woken, or what was miscounted.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let called = self.called();
        let mut taken: BTreeMap<GroupId, u32> = BTreeMap::new();
        for (number, name, queue) in self.queues.all() {
            let executing = queue.limits().map(|slot| (slot.0, queue.executing_count));
            let running = queue.run_slot.map(|slot| (slot.0, queue.run_count));
            for (group, held) in executing.chain(running) {
                let kept = u32::from(queue.reserved == Some(group));
                let count = taken.entry(group).or_default();
                *count = count.saturating_add(held).saturating_add(kept);
            }
            if !queue.work.is_empty() && self.waits_for_nothing(queue, &called) {
                return Err(format!("queue {name:?} waits for a slot that is free"));
            }
            if queue.place == Place::Idle && queue.may_go() {
                return Err(format!("queue {name:?} has work and stands nowhere"));
            }
            if queue.place == Place::Round && !self.stands_in_round(number, queue) {
                return Err(format!("queue {name:?} is not in its round"));
            }
            let is_served = |round: &Round| round.is_served;
            if queue.reserved.is_some()
                && !self.rounds.get(queue.function.index()).is_some_and(is_served)
            {
                return Err(format!("a slot is kept for queue {name:?}, which nobody serves"));
            }
            let before = queue.waits_before();
            if before.is_some_and(|(gate, first)| !self.gates.is_waiting(gate, number, first)) {
                return Err(format!("queue {name:?} does not wait before its gate with its first"));
            }
        }
        let wrong = taken.iter().find(|(group, count)| self.slots.taken(**group) != **count);
        if let Some((group, count)) = wrong {
            let counted = self.slots.taken(*group);
            return Err(format!("{group:?}: {counted} slots taken, {count} held"));
        }
        if self.slots.len() != taken.len() {
            return Err(format!("{} slot groups, {} used", self.slots.len(), taken.len()));
        }
        Ok(())
    }

    /// Groups for whose free slots a queue was called whose turn has not come.
    fn called(&self) -> BTreeSet<GroupId> {
        let called = self.queues.all().filter(|(_, _, queue)| {
            let round = self.rounds.get(queue.function.index());
            let is_served = round.is_some_and(|round| round.is_served);
            let has_room = self.rings.len() == 1 || !self.is_full(queue.function);
            queue.place == Place::Round && is_served && has_room
        });
        called.flat_map(|(_, _, queue)| queue.groups()).collect()
    }

    /// True where a queue stands in the line of a group that has room for it, and nobody else is called.
    fn waits_for_nothing(&self, queue: &Queue, called: &BTreeSet<GroupId>) -> bool {
        let has_room = |(group, limit): (GroupId, u32)| {
            let is_free = self.slots.taken(group) < limit && !called.contains(&group);
            let stands = queue.place == Place::Line(group);
            let is_run_slot = queue.run_slot.is_some_and(|slot| slot.0 == group);
            let is_awaited = matches!(queue.starts_wait, Some(Wait::RunSlot(_)));
            let waits_for_run = is_awaited && is_run_slot && queue.has_starts();
            (stands && queue.may_go() || waits_for_run) && is_free
        };
        queue.limits().chain(queue.run_slot).any(has_room)
    }

    fn stands_in_round(&self, number: QueueNumber, queue: &Queue) -> bool {
        let round = self.rounds.get(queue.function.index());
        round.is_some_and(|round| round.queues.iter().filter(|one| **one == number).count() == 1)
    }
}

impl Queue {
    fn is_unused(&self) -> bool {
        self.work.is_empty() && self.executing_count == 0 && self.run_count == 0
    }

    fn held(&self) -> Held {
        let (items, starts) = (self.work.all(false).collect(), self.work.all(true).collect());
        let (executing_count, run_count) = (self.executing_count, self.run_count);
        Held { items, starts, executing_count, run_count }
    }
}
