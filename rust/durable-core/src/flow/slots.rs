//! Slots: how much of each concurrency limit is taken, and which queues wait for it.
//!
//! A slot group is what work with the same key value shares. Functions that share one may each apply a
//! number of their own to it. A queue that finds no room waits here, in one group's line, and leaves it only
//! to be tried again.

use std::num::NonZeroU64;

use super::names::{Named, Number};
use super::sorted::Sorted;

/// A slot group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(Number);

/// Since when a queue waits, kept until it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(NonZeroU64);

/// A ready queue, by its number.
pub(crate) type QueueNumber = Number;

#[derive(Clone, Debug, Default)]
struct Group {
    taken: u32,
    /// Queues that count against it, whether they wait or not.
    holder_count: u32,
    /// Those that wait, by the number that each applies; of one number the oldest first.
    line: Sorted<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    limit: u32,
    ticket: Ticket,
    queue: QueueNumber,
}

impl Waiting {
    /// Nobody comes before it who applies this number.
    fn first_under(limit: u32) -> Self {
        Self { limit, ticket: Ticket(NonZeroU64::MIN), queue: Number::MIN }
    }
}

const _: () = assert!(Named::<Group, 30>::PLACE_BYTES == 64, "a group fits in one cache line");

/// All slot groups.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    groups: Named<Group, 30>,
    last_ticket: Ticket,
}

impl Slots {
    pub(crate) fn new(secret: u64) -> Self {
        Self { groups: Named::new(secret), last_ticket: Ticket(NonZeroU64::MIN) }
    }

    /// The group of this name, held by one more queue.
    pub(crate) fn hold(&mut self, name: &[u8]) -> GroupId {
        let number = self.groups.find_or_add(name, Group::default);
        if let Some(group) = self.groups.get_mut(number) {
            group.holder_count = group.holder_count.saturating_add(1);
        }
        GroupId(number)
    }

    /// One queue less counts against it; without any it is forgotten.
    pub(crate) fn let_go(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(id.0) else { return };
        group.holder_count = group.holder_count.saturating_sub(1);
        if group.holder_count == 0 {
            self.groups.remove(id.0);
        }
    }

    pub(crate) fn taken(&self, id: GroupId) -> u32 {
        self.groups.get(id.0).map_or(0, |group| group.taken)
    }

    pub(crate) fn take(&mut self, id: GroupId, count: u32) {
        if let Some(group) = self.groups.get_mut(id.0) {
            group.taken = group.taken.saturating_add(count);
        }
    }

    pub(crate) fn release(&mut self, id: GroupId, count: u32) {
        if let Some(group) = self.groups.get_mut(id.0) {
            group.taken = group.taken.saturating_sub(count);
        }
    }

    /// The ticket of a queue that begins to wait: older ones go first.
    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket = Ticket(self.last_ticket.0.saturating_add(1));
        self.last_ticket
    }

    /// A queue waits until fewer than `limit` are taken.
    pub(crate) fn wait(
        &mut self,
        (group, limit): (GroupId, u32),
        queue: QueueNumber,
        ticket: Ticket,
    ) {
        if let Some(group) = self.groups.get_mut(group.0) {
            group.line.insert(Waiting { limit, ticket, queue });
        }
    }

    /// The queue that has waited longest among those for which there is room now. It stands in no line then.
    pub(crate) fn next_waiting(&mut self, id: GroupId) -> Option<QueueNumber> {
        let group = self.groups.get_mut(id.0)?;
        let mut next: Option<Waiting> = None;
        let mut more_than = group.taken;
        while let Some(limit) = more_than.checked_add(1)
            && let Some(one) = group.line.first_from(Waiting::first_under(limit))
        {
            if next.is_none_or(|next| one.ticket < next.ticket) {
                next = Some(one);
            }
            more_than = one.limit;
        }
        let next = next?;
        group.line.remove(next);
        Some(next.queue)
    }

    /// Takes a queue out of a line: only where its limits change.
    pub(crate) fn leave(
        &mut self,
        (group, limit): (GroupId, u32),
        queue: QueueNumber,
        ticket: Ticket,
    ) {
        if let Some(group) = self.groups.get_mut(group.0) {
            group.line.remove(Waiting { limit, ticket, queue });
        }
    }

    /// The group of this name, if any queue counts against it.
    pub(crate) fn find(&self, name: &[u8]) -> Option<GroupId> {
        self.groups.number(name).map(GroupId)
    }

    pub(crate) fn name(&self, id: GroupId) -> &[u8] {
        self.groups.name(id.0).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }
}
