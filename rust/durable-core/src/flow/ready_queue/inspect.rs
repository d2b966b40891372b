//! What the queues show of themselves to whoever asks. Nothing of this is part of a turn.

use super::super::gcra::Rate;
use super::super::slots::GroupId;
use super::{Item, Queue, ReadyQueues};
use crate::id::FunctionId;
use crate::time::Timestamp;

/// A slot group as one queue sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) name: Box<[u8]>,
    pub(crate) limit: u32,
    pub(crate) taken: u32,
}

impl Usage {
    pub(crate) fn is_full(&self) -> bool {
        self.taken >= self.limit
    }
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateUsage {
    pub(crate) name: Box<[u8]>,
    pub(crate) rate: Rate,
    pub(crate) arrival: Timestamp,
}

/// A queue: what its work needs, and how much of it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueUsage {
    pub(crate) name: Box<[u8]>,
    pub(crate) slots: Vec<Usage>,
    pub(crate) run_slot: Option<Usage>,
    pub(crate) gate: Option<GateUsage>,
    pub(crate) item_count: usize,
    pub(crate) start_count: usize,
}

impl ReadyQueues {
    /// All queues of a function.
    pub(crate) fn usage_of(&self, function: FunctionId) -> Vec<QueueUsage> {
        let own = self.queues.all().filter(|(_, _, queue)| queue.function == function);
        own.map(|(_, name, queue)| self.usage(name, queue)).collect()
    }

    /// The queue of this name.
    pub(crate) fn usage_by_name(&self, name: &[u8]) -> Option<QueueUsage> {
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number))?;
        Some(self.usage(name, queue))
    }

    /// How much of the same queue goes before this.
    pub(crate) fn ahead_in_queue(&self, name: &[u8], item: Item) -> usize {
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number));
        queue.map_or(0, |queue| queue.count_before(item))
    }

    /// How much older work, of whatever queue, waits for the same slots; `None` where that is more than `most`.
    pub(crate) fn ahead_in_group(&self, name: &[u8], item: Item, most: usize) -> Option<usize> {
        let group = self.slots.find(name)?;
        let counts = |queue: &Queue| queue.groups().any(|one| one == group);
        self.count_at_most(most, |queue| if counts(queue) { queue.count_before(item) } else { 0 })
    }

    /// How many older starts, of whatever queue, wait before this queue's gate; `None`: more than `most`.
    pub(crate) fn ahead_before_gate(&self, name: &[u8], item: Item, most: usize) -> Option<usize> {
        let gate_of = |queue: &Queue| queue.gate.map(|(gate, _)| gate);
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number))?;
        let gate = gate_of(queue);
        let is_it = |queue: &Queue| gate_of(queue) == gate;
        self.count_at_most(most, |queue| if is_it(queue) { queue.starts_before(item) } else { 0 })
    }

    /// A sum over all queues; `None` where it, or the number of queues, exceeds `most`.
    fn count_at_most(&self, most: usize, count: impl Fn(&Queue) -> usize) -> Option<usize> {
        if self.queues.len() > most {
            return None;
        }
        let all = self.queues.all();
        let sum = all.map(|(_, _, queue)| count(queue)).fold(0, usize::saturating_add);
        (sum <= most).then_some(sum)
    }

    fn usage(&self, name: &[u8], queue: &Queue) -> QueueUsage {
        let of_slot = |(group, limit): (GroupId, u32)| Usage {
            name: self.slots.name(group).into(),
            limit,
            taken: self.slots.taken(group),
        };
        QueueUsage {
            name: name.into(),
            slots: queue.limits().map(of_slot).collect(),
            run_slot: queue.run_slot.map(of_slot),
            gate: queue.gate.map(|(gate, rate)| {
                let (name, arrival) = self.gates.state(gate);
                GateUsage { name: name.into(), rate, arrival }
            }),
            item_count: queue.work.count(false),
            start_count: queue.work.count(true),
        }
    }
}

impl Queue {
    fn starts_before(&self, item: Item) -> usize {
        self.work.all(true).take_while(|one| *one < item).count()
    }

    fn count_before(&self, item: Item) -> usize {
        let others = self.work.all(false).take_while(|one| *one < item).count();
        others.saturating_add(self.starts_before(item))
    }
}
