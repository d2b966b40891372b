//! One queue: its work, what that needs, and what it waits for.

use std::collections::VecDeque;

use super::super::gates::GateId;
use super::super::gcra::Rate;
use super::super::slots::{GroupId, QueueNumber, Ticket};
use super::work::Work;
use crate::id::{ExecutorId, FunctionId, RunId};
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

/// What the work of a queue must have: a slot of each group, under this function's limit for it, and, where
/// it starts a run, a slot for the whole run and leave to pass a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) slots: [Option<(Box<[u8]>, u32)>; MAX_LIMITS],
    pub(crate) run_slot: Option<(Box<[u8]>, u32)>,
    pub(crate) gate: Option<(Box<[u8]>, Rate)>,
    /// The queue stays when it is empty: there is one of them for a function.
    pub(crate) is_lasting: bool,
}

/// A function has so many concurrency limits at most.
pub(crate) const MAX_LIMITS: usize = 2;

/// Work that may go now: it has its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Popped {
    pub(crate) item: Item,
    /// The gate that it passed, and the gate's arrival time since.
    pub(crate) passed: Option<(GateId, Timestamp)>,
}

/// Where a queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: nothing of it can go, but for starts that wait before its gate.
    #[default]
    Idle,
    /// In its function's round.
    Round,
    /// In the line of this group, which is one of its limits', with the queue's ticket.
    Line(GroupId),
}

/// What the starts of a queue wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The gate, with the first of them.
    Gate,
    /// A slot for a whole run, with this ticket.
    RunSlot(Ticket),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) function: FunctionId,
    pub(super) work: Work,
    pub(super) slots: [Option<(GroupId, u32)>; MAX_LIMITS],
    /// What a run holds from its start to its end.
    pub(super) run_slot: Option<(GroupId, u32)>,
    pub(super) gate: Option<(GateId, Rate)>,
    pub(super) executing_count: u32,
    /// Its runs that have started and not ended, where they need a slot.
    pub(super) run_count: u32,
    pub(super) place: Place,
    /// What its starts wait for, while other work of it may go.
    pub(super) starts_wait: Option<Wait>,
    /// Its place in lines since something of it went last: who is called in vain does not lose it.
    pub(super) ticket: Option<Ticket>,
    /// How often it was called and lacked something else.
    pub(super) passed_over_count: u8,
    /// A slot of this group is kept for it until it has the others.
    pub(super) reserved: Option<GroupId>,
    pub(super) is_lasting: bool,
}

impl Queue {
    pub(super) fn has_starts(&self) -> bool {
        self.work.first_start().is_some()
    }

    /// True where something of it may go that does not wait already.
    pub(super) fn may_go(&self) -> bool {
        if self.starts_wait.is_some() {
            return self.work.first_item().is_some();
        }
        !self.work.is_empty()
    }

    /// The gate before which its starts wait, and the first of them.
    pub(super) fn waits_before(&self) -> Option<(GateId, Item)> {
        let (gate, _) = self.gate.filter(|_| self.starts_wait == Some(Wait::Gate))?;
        Some((gate, self.work.first_start()?))
    }

    /// The limits on what executes.
    pub(super) fn limits(&self) -> impl Iterator<Item = (GroupId, u32)> + use<> {
        self.slots.into_iter().flatten()
    }

    /// How many of this group may be taken for it to go on.
    pub(super) fn limit_of(&self, group: GroupId) -> u32 {
        self.limits().find(|slot| slot.0 == group).map_or(1, |slot| slot.1)
    }

    /// All groups that its work counts against.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        self.limits().chain(self.run_slot).map(|(group, _)| group)
    }
}

/// A function's queues that take turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) queues: VecDeque<QueueNumber>,
    /// Who takes work of this function, or did last.
    pub(super) executor: Option<ExecutorId>,
    /// That one does, and it is not paused.
    pub(super) is_served: bool,
    pub(super) is_in_ring: bool,
    pub(super) executing_count: u32,
}

/// An executor's functions that take turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    pub(super) functions: VecDeque<FunctionId>,
    /// So much it takes at a time.
    pub(super) capacity: u32,
    /// So much it has.
    pub(super) taken_count: u32,
    /// Queues of it that were called for a slot since the last dispatch, where there are other executors.
    pub(super) called: Vec<QueueNumber>,
}

impl Ring {
    /// The function whose turn it is, where there is room for more.
    pub(super) fn next(&mut self) -> Option<FunctionId> {
        if self.may_have() { self.functions.pop_front() } else { None }
    }

    pub(super) fn may_have(&self) -> bool {
        self.has_room() && !self.functions.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.taken_count < self.capacity
    }
}
