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
        own.map(|(_, _, queue)| self.usage(queue)).collect()
    }

    /// The queue of this name.
    pub(crate) fn usage_by_name(&self, name: &[u8]) -> Option<QueueUsage> {
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number))?;
        Some(self.usage(queue))
    }

    /// How much of the same queue goes before this.
    pub(crate) fn ahead_in_queue(&self, name: &[u8], item: Item) -> usize {
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number));
        queue.map_or(0, |queue| {
            let before = queue.items.count_before(item);
            before.saturating_add(queue.starts.count_before(item))
        })
    }

    /// How many starts, of whatever queue, pass this queue's gate before this one.
    pub(crate) fn ahead_before_gate(&self, name: &[u8], item: Item) -> usize {
        let gate_of = |queue: &Queue| queue.gate.map(|(gate, _)| gate);
        let queue = self.queues.number(name).and_then(|number| self.queues.get(number));
        let Some(gate) = queue.and_then(gate_of) else { return 0 };
        let others = self.queues.all().filter(|(_, _, queue)| gate_of(queue) == Some(gate));
        others.map(|(_, _, queue)| queue.starts.count_before(item)).sum()
    }

    fn usage(&self, queue: &Queue) -> QueueUsage {
        let of_slot = |(group, limit): (GroupId, u32)| Usage {
            name: self.slots.name(group).into(),
            limit,
            taken: self.slots.taken(group),
        };
        QueueUsage {
            slots: queue.limits().map(of_slot).collect(),
            run_slot: queue.run_slot.map(of_slot),
            gate: queue.gate.map(|(gate, rate)| {
                let (name, arrival) = self.gates.state(gate);
                GateUsage { name: name.into(), rate, arrival }
            }),
            item_count: queue.items.len(),
            start_count: queue.starts.len(),
        }
    }
}
