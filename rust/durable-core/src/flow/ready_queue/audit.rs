//! The queues look at themselves: what they hold, and that each stands where it will be woken.

use std::collections::{BTreeMap, BTreeSet};

use super::super::slots::GroupId;
use super::{Item, Place, Queue, ReadyQueues};

/// What a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) items: BTreeSet<Item>,
    pub(crate) starts: BTreeSet<Item>,
    pub(crate) executing_count: u32,
}

impl ReadyQueues {
    /// All that is queued or executes, by queue.
    pub(crate) fn contents(&self) -> BTreeMap<Vec<u8>, Held> {
        let queues = self.queues.all().filter(|(_, _, queue)| !queue.is_unused());
        queues.map(|(_, name, queue)| (name.to_vec(), queue.held())).collect()
    }

    /// To be called after a dispatch. `Err` says which queue would never be woken, or what was miscounted.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let called = self.called();
        let mut taken: BTreeMap<GroupId, u32> = BTreeMap::new();
        for (number, name, queue) in self.queues.all() {
            for (group, _) in &queue.slots {
                let kept = u32::from(queue.reserved == Some(*group));
                let count = taken.entry(*group).or_default();
                *count = count.saturating_add(queue.executing_count).saturating_add(kept);
            }
            if queue.may_go() && self.waits_for_nothing(queue, &called) {
                return Err(format!("queue {name:?} waits for a slot that is free"));
            }
            if queue.place == Place::Idle && queue.may_go() {
                return Err(format!("queue {name:?} has work and stands nowhere"));
            }
            if queue.place == Place::Round && !self.stands_in_round(number, queue) {
                return Err(format!("queue {name:?} is not in its round"));
            }
            if queue.waits_with.is_some() && queue.waits_with != queue.starts.first().copied() {
                return Err(format!("queue {name:?} waits with another start than its first"));
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
            queue.place == Place::Round && round.is_some_and(|round| round.is_served)
        });
        called.flat_map(|(_, _, queue)| queue.slots.iter().map(|(group, _)| *group)).collect()
    }

    /// True where a queue stands in the line of a group that has room for it, and nobody else is called.
    fn waits_for_nothing(&self, queue: &Queue, called: &BTreeSet<GroupId>) -> bool {
        let has_room = |(group, limit): &(GroupId, u32)| {
            let is_free = self.slots.taken(*group) < *limit && !called.contains(group);
            queue.place == Place::Line(*group) && is_free
        };
        queue.slots.iter().any(has_room)
    }

    fn stands_in_round(&self, number: u32, queue: &Queue) -> bool {
        let round = self.rounds.get(queue.function.index());
        round.is_some_and(|round| round.queues.iter().filter(|one| **one == number).count() == 1)
    }
}

impl Queue {
    fn is_unused(&self) -> bool {
        !self.has_work() && self.executing_count == 0
    }

    fn held(&self) -> Held {
        let (items, starts) = (self.items.clone(), self.starts.clone());
        Held { items, starts, executing_count: self.executing_count }
    }
}
