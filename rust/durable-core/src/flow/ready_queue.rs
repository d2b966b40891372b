//! What is ready to execute: a queue for each function, and the functions in turn.

use std::collections::{BTreeSet, VecDeque};

use crate::id::{FunctionId, RunId};
use crate::time::Timestamp;

/// A stretch of a run's code, or one of its pending steps.
///
/// Older runs' work goes first; within a run its code (number 0), then its steps as they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) score: Timestamp,
    pub(crate) run: RunId,
    pub(crate) number: u32,
}

/// A function's queue and its slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadyQueue {
    items: BTreeSet<Item>,
    limit: Option<u32>,
    taken_count: u32,
    /// An executor takes work of this function.
    is_served: bool,
    is_in_ring: bool,
}

impl ReadyQueue {
    pub(crate) fn items(&self) -> &BTreeSet<Item> {
        &self.items
    }

    pub(crate) fn taken_count(&self) -> u32 {
        self.taken_count
    }

    pub(crate) fn limit(&self) -> Option<u32> {
        self.limit
    }

    fn is_eligible(&self) -> bool {
        self.is_served
            && !self.items.is_empty()
            && self.limit.is_none_or(|limit| self.taken_count < limit)
    }
}

/// All functions' queues. Those from which something may go stand in a ring and take turns; the
/// others are parked on what they lack and return when it comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadyQueues {
    queues: Vec<ReadyQueue>,
    ring: VecDeque<FunctionId>,
    taken_count: u32,
}

impl ReadyQueues {
    pub(crate) fn add_function(&mut self, limit: Option<u32>) {
        self.queues.push(ReadyQueue { limit, ..ReadyQueue::default() });
    }

    pub(crate) fn queue(&self, function: FunctionId) -> Option<&ReadyQueue> {
        self.queues.get(usize::try_from(function.0).ok()?)
    }

    /// How many slots are taken over all functions.
    pub(crate) fn taken_count(&self) -> u32 {
        self.taken_count
    }

    pub(crate) fn set_limit(&mut self, function: FunctionId, limit: Option<u32>) {
        self.change(function, |queue| queue.limit = limit);
    }

    pub(crate) fn set_served(&mut self, function: FunctionId, is_served: bool) {
        self.change(function, |queue| queue.is_served = is_served);
    }

    pub(crate) fn push(&mut self, function: FunctionId, item: Item) {
        self.change(function, |queue| {
            queue.items.insert(item);
        });
    }

    pub(crate) fn remove(&mut self, function: FunctionId, item: Item) {
        self.change(function, |queue| {
            queue.items.remove(&item);
        });
    }

    /// A slot is taken by something that is executing already, as found after a restart.
    pub(crate) fn take_slot(&mut self, function: FunctionId) {
        self.taken_count = self.taken_count.saturating_add(1);
        self.change(function, |queue| queue.taken_count = queue.taken_count.saturating_add(1));
    }

    /// A slot is given back: the function may take its turn again at once.
    pub(crate) fn release_slot(&mut self, function: FunctionId) {
        self.taken_count = self.taken_count.saturating_sub(1);
        self.change(function, |queue| queue.taken_count = queue.taken_count.saturating_sub(1));
    }

    /// The next item in turn, with a slot taken for it.
    pub(crate) fn pop(&mut self) -> Option<(FunctionId, Item)> {
        while let Some(function) = self.ring.pop_front() {
            let Some(queue) = self.queues.get_mut(usize::try_from(function.0).ok()?) else {
                continue;
            };
            queue.is_in_ring = false;
            if queue.is_eligible()
                && let Some(item) = queue.items.pop_first()
            {
                self.take_slot(function);
                return Some((function, item));
            }
        }
        None
    }

    /// Changes a queue and lets it stand in the ring if it may.
    fn change(&mut self, function: FunctionId, change: impl FnOnce(&mut ReadyQueue)) {
        let Some(queue) = usize::try_from(function.0).ok().and_then(|i| self.queues.get_mut(i))
        else {
            return;
        };
        change(queue);
        if queue.is_eligible() && !queue.is_in_ring {
            queue.is_in_ring = true;
            self.ring.push_back(function);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(score: u64, number: u32) -> Item {
        Item { score: Timestamp::from_millis(score), run: RunId::default(), number }
    }

    fn queues(limits: &[Option<u32>]) -> ReadyQueues {
        let mut queues = ReadyQueues::default();
        for (limit, id) in limits.iter().zip(0..) {
            queues.add_function(*limit);
            queues.set_served(FunctionId(id), true);
        }
        queues
    }

    #[test]
    fn functions_take_turns_and_older_work_goes_first() {
        let mut queues = queues(&[None, None]);
        for score in [3, 1, 2] {
            queues.push(FunctionId(0), item(score, 0));
        }
        queues.push(FunctionId(1), item(9, 0));
        let order: Vec<(u32, u64)> =
            std::iter::from_fn(|| queues.pop()).map(|(f, i)| (f.0, i.score.as_millis())).collect();
        assert_eq!(order, [(0, 1), (1, 9), (0, 2), (0, 3)]);
    }

    #[test]
    fn a_limit_holds_and_a_freed_slot_is_used_at_once() {
        let mut queues = queues(&[Some(2)]);
        (0..5).for_each(|number| queues.push(FunctionId(0), item(1, number)));
        assert!(queues.pop().is_some() && queues.pop().is_some());
        assert!(queues.pop().is_none());
        queues.release_slot(FunctionId(0));
        assert!(queues.pop().is_some() && queues.pop().is_none());
    }

    #[test]
    fn a_function_nobody_serves_waits_without_being_searched() {
        let mut queues = queues(&[None]);
        queues.set_served(FunctionId(0), false);
        queues.push(FunctionId(0), item(1, 0));
        assert!(queues.pop().is_none());
        queues.set_served(FunctionId(0), true);
        assert!(queues.pop().is_some());
    }
}
