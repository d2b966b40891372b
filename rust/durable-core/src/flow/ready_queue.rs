//! What is ready to execute: for each function a queue for each distinct set of flow-control keys; a
//! function's queues take turns, and the functions take turns.
//!
//! A queue that holds work is in exactly one place: in its function's round, in the line of the one limit
//! that it lacks, or, where nothing of it but starts is left, before a gate that is shut. Whoever frees
//! something wakes the first that can use it; a woken queue that lacks something else passes the call on.

mod audit;
mod calls;
mod executors;
mod inspect;
mod needs;
mod queue;
mod work;

use std::collections::BTreeSet;

use super::gates::{GateId, Gates};
use super::gcra::Rate;
use super::names::Named;
use super::slots::{GroupId, QueueNumber, Slots};
use crate::id::FunctionId;
use crate::time::Timestamp;

pub(crate) use audit::Held;
pub(crate) use inspect::{GateUsage, QueueUsage, Usage};
pub(crate) use queue::{Item, MAX_LIMITS, Needs, Popped};
use queue::{Place, Queue, Ring, Round, Wait};

/// All queues.
#[derive(Clone, Debug)]
pub(crate) struct ReadyQueues {
    queues: Named<Queue>,
    rounds: Vec<Round>,
    /// One for each executor.
    rings: Vec<Ring>,
    /// The ring whose turn it is.
    turn: usize,
    slots: Slots,
    /// Queues for which a slot was kept; for some of them it is no more.
    reserving: BTreeSet<QueueNumber>,
    gates: Gates,
}

/// What came of a queue's turn.
enum Try {
    Goes(Popped),
    /// It lacks a slot of this group, for a run's start or for what goes on.
    Lacks(GroupId, IsStart),
    HasNothing,
}

type IsStart = bool;

impl ReadyQueues {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            queues: Named::new(secret),
            rounds: Vec::new(),
            rings: Vec::new(),
            turn: 0,
            slots: Slots::new(secret),
            reserving: BTreeSet::new(),
            gates: Gates::new(secret),
        }
    }

    pub(crate) fn add_function(&mut self) {
        self.rounds.push(Round::default());
    }

    /// How many slots of executors are taken over all functions.
    pub(crate) fn taken_count(&self) -> u32 {
        let counts = self.rounds.iter().map(|round| round.executing_count);
        counts.fold(0, u32::saturating_add)
    }

    /// How much of a function executes.
    pub(crate) fn executing_count(&self, function: FunctionId) -> u32 {
        self.rounds.get(function.index()).map_or(0, |round| round.executing_count)
    }

    pub(crate) fn set_served(&mut self, function: FunctionId, is_served: bool) {
        if let Some(round) = self.round(function) {
            let is_served = is_served && round.executor.is_some();
            round.is_served = is_served;
            let called =
                if is_served { Vec::new() } else { round.queues.iter().copied().collect() };
            self.pass_on(called);
            if !is_served {
                self.free_reserved(function);
            }
        }
        self.join_ring(function);
    }

    /// Work of the queue `name` of a function is ready; `needs` is asked where there is no such queue yet.
    pub(crate) fn push(
        &mut self,
        (function, name): (FunctionId, &[u8]),
        item: Item,
        is_start: bool,
        needs: impl FnOnce() -> Needs,
    ) {
        let number = self.find_or_add(function, name, needs);
        let Some(queue) = self.queues.get_mut(number) else { return };
        let before = if is_start { queue.waits_before() } else { None };
        queue.work.insert(item, is_start);
        if let Some((gate, first)) = before.filter(|(_, first)| item < *first) {
            self.gates.move_up(gate, number, first, item);
        }
        self.enter_round_if_able(number);
    }

    pub(crate) fn remove(&mut self, name: &[u8], item: Item) {
        let Some(number) = self.queues.number(name) else { return };
        let Some(queue) = self.queues.get_mut(number) else { return };
        let before = queue.waits_before();
        let was_start = queue.work.remove(item) == Some(true);
        let gate = queue.gate.filter(|_| !queue.has_starts() && queue.starts_wait.is_none());
        match before {
            Some((gate, first)) if first == item => {
                queue.starts_wait = None;
                self.gates.leave(gate, number, item);
                self.call(number);
            }
            Some(_) | None => {}
        }
        if was_start && let Some((gate, _)) = gate {
            self.call_before(gate); // it may be the one that was called
        }
        self.forget_if_idle(number);
    }

    /// Slots are taken by something that is executing already, as found after a restart.
    pub(crate) fn take_slots(
        &mut self,
        (function, name): (FunctionId, &[u8]),
        needs: impl FnOnce() -> Needs,
    ) {
        let number = self.find_or_add(function, name, needs);
        self.take(number, false);
    }

    /// A slot for a whole run is taken by one that has started already, where its runs need one.
    pub(crate) fn take_run_slot(
        &mut self,
        (function, name): (FunctionId, &[u8]),
        needs: impl FnOnce() -> Needs,
    ) {
        let number = self.find_or_add(function, name, needs);
        if let Some(queue) = self.queues.get_mut(number)
            && let Some((group, _)) = queue.run_slot
        {
            queue.run_count = queue.run_count.saturating_add(1);
            self.slots.take(group, 1);
        }
        self.forget_if_idle(number);
    }

    /// Slots are given back: whoever waits for one of them is woken.
    pub(crate) fn release_slots(&mut self, name: &[u8]) {
        let Some(number) = self.queues.number(name) else { return };
        let Some(queue) = self.queues.get_mut(number) else { return };
        queue.executing_count = queue.executing_count.saturating_sub(1);
        let (function, limits) = (queue.function, queue.limits());
        self.count(function, -1);
        for (group, _) in limits {
            self.slots.release(group, 1);
            self.call_next(group);
        }
        self.forget_if_idle(number);
    }

    /// A run that had started has ended.
    pub(crate) fn release_run_slot(&mut self, name: &[u8]) {
        let Some(number) = self.queues.number(name) else { return };
        let Some(queue) = self.queues.get_mut(number) else { return };
        if let Some((group, _)) = queue.run_slot {
            queue.run_count = queue.run_count.saturating_sub(1);
            self.slots.release(group, 1);
            self.call_next(group);
        }
        self.forget_if_idle(number);
    }

    /// The next work in turn, with its slots taken: the executors that have room take turns.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Popped> {
        while self.rings.iter().any(Ring::may_have) || self.pass_on_of_full() {
            let ring = self.turn;
            self.turn =
                if ring.saturating_add(1) < self.rings.len() { ring.saturating_add(1) } else { 0 };
            if let Some(popped) = self.pop_of(ring, now) {
                return Some(popped);
            }
        }
        None
    }

    fn pop_of(&mut self, ring: usize, now: Timestamp) -> Option<Popped> {
        while let Some(function) = self.rings.get_mut(ring).and_then(Ring::next) {
            let Some(round) = self.round(function) else { continue };
            round.is_in_ring = false;
            if !round.is_served {
                continue;
            }
            let Some(number) = round.queues.pop_front() else { continue };
            if let Some(queue) = self.queues.get_mut(number) {
                queue.place = Place::Idle;
            }
            let (tried, open) = self.try_queue(number, now);
            match &tried {
                Try::Lacks(group, is_start) => self.stand_in_line(number, *group, *is_start),
                Try::Goes(_) | Try::HasNothing => self.after_try(number),
            }
            if let Some(gate) = open {
                self.call_before(gate);
            }
            self.join_ring(function);
            if let Try::Goes(popped) = tried {
                return Some(popped);
            }
        }
        None
    }

    /// Passes a gate before which nothing waits; its arrival time afterwards, or `None` where it is shut.
    pub(crate) fn try_gate(
        &mut self,
        name: &[u8],
        rate: Rate,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.gates.try_pass(name, rate, now)
    }

    /// What the store says of a gate.
    pub(crate) fn restore_gate(&mut self, name: &[u8], arrival: Timestamp) {
        self.gates.restore(name, arrival);
    }

    /// The gates whose names are wanted, as far as they were passed and are not forgotten.
    pub(crate) fn arrivals_of(
        &self,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = (Box<[u8]>, Timestamp)> {
        self.gates.arrivals_of(is_wanted)
    }

    /// All gates that were ever passed and are not forgotten, by name.
    pub(crate) fn arrivals(&self) -> Vec<(Box<[u8]>, Timestamp)> {
        self.gates.arrivals()
    }

    /// When a gate is to be looked at again.
    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        self.gates.next_alarm()
    }

    /// Opens the gates that are due; the names of those that are forgotten.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Box<[u8]>> {
        while let Some(gate) = self.gates.next_open(now) {
            self.call_before(gate);
        }
        self.gates.forget(now)
    }

    /// The name of a gate that was passed.
    pub(crate) fn gate_name(&self, gate: GateId) -> &[u8] {
        self.gates.name(gate)
    }

    /// Takes the first that can go, with all that it needs, or says what it lacks; and the gate that it was
    /// called for and has not shut, which may be open for the next.
    fn try_queue(&mut self, number: QueueNumber, now: Timestamp) -> (Try, Option<GateId>) {
        let Some(queue) = self.queues.get(number) else { return (Try::HasNothing, None) };
        let start = queue.work.first_start().filter(|_| queue.starts_wait.is_none());
        let item = queue.work.first_item();
        let gate = queue.gate;
        let (mut passed, mut goes) = (None, item.map(|item| (item, false)));
        let mut open = gate.map(|(gate, _)| gate); // unless it turns out to be shut
        if let Some(start) = start.filter(|start| item.is_none_or(|item| *start < item)) {
            let asked = gate.map(|(gate, rate)| (gate, self.gates.ask(gate, rate, now)));
            match asked {
                _ if self.waits_for_run_slot(number) => {}
                None => goes = Some((start, true)),
                Some((gate, Ok(arrival))) => {
                    (goes, passed) = (Some((start, true)), Some((gate, arrival)));
                }
                Some((gate, Err(until))) => {
                    open = None;
                    self.wait_before(gate, number, start, until);
                }
            }
        }
        let Some((item, is_start)) = goes else { return (Try::HasNothing, open) };
        if let Some(group) = self.lacking(number) {
            return (Try::Lacks(group, is_start), open);
        }
        self.take(number, is_start);
        if let Some(queue) = self.queues.get_mut(number) {
            queue.work.remove_first_of(is_start);
            (queue.passed_over_count, queue.ticket) = (0, None);
        }
        if let Some((gate, arrival)) = passed {
            self.gates.pass(gate, arrival);
        }
        (Try::Goes(Popped { item, passed }), open)
    }

    /// The first group without room for one more of this queue.
    fn lacking(&self, number: QueueNumber) -> Option<GroupId> {
        let queue = self.queues.get(number)?;
        let mut limits = queue.limits();
        limits.find(|slot| !self.has_room(queue, *slot)).map(|(group, _)| group)
    }

    fn has_room(&self, queue: &Queue, (group, limit): (GroupId, u32)) -> bool {
        self.slots.taken(group) < limit || queue.reserved == Some(group)
    }

    /// Whether there is no room for one more whole run; the queue's starts wait for it then.
    fn waits_for_run_slot(&mut self, number: QueueNumber) -> bool {
        let Some(queue) = self.queues.get(number) else { return false };
        let Some((group, limit)) = queue.run_slot else { return false };
        let has_room = self.has_room(queue, (group, limit));
        if !has_room && let Some(queue) = self.queues.get_mut(number) {
            let ticket = *queue.ticket.get_or_insert_with(|| self.slots.next_ticket());
            self.slots.wait((group, limit), number, ticket);
            queue.starts_wait = Some(Wait::RunSlot(ticket));
        }
        !has_room
    }

    /// Takes the slots of one more that executes, and of one more run where it starts one.
    fn take(&mut self, number: QueueNumber, is_start: bool) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        queue.executing_count = queue.executing_count.saturating_add(1);
        let run_slot = queue.run_slot.filter(|_| is_start);
        queue.run_count = queue.run_count.saturating_add(u32::from(run_slot.is_some()));
        let mut reserved = queue.reserved.take();
        for (group, _) in queue.limits().chain(run_slot) {
            match reserved {
                Some(kept) if kept == group => reserved = None,
                Some(_) | None => self.slots.take(group, 1),
            }
        }
        let function = queue.function;
        self.count(function, 1);
        if let Some(kept) = reserved {
            self.slots.release(kept, 1); // for a start, but something older went
            self.call_next(kept);
        }
    }

    fn count(&mut self, function: FunctionId, change: i8) {
        let Some(round) = self.round(function) else { return };
        round.executing_count = round.executing_count.saturating_add_signed(change.into());
        let executor = round.executor;
        if let Some(ring) = self.ring(executor) {
            ring.taken_count = ring.taken_count.saturating_add_signed(change.into());
        }
    }

    fn find_or_add(
        &mut self,
        function: FunctionId,
        name: &[u8],
        needs: impl FnOnce() -> Needs,
    ) -> QueueNumber {
        if let Some(number) = self.queues.number(name) {
            return number;
        }
        let mut queue = Queue { function, ..Queue::default() };
        self.attach(&mut queue, needs());
        self.queues.add(name, queue)
    }

    /// An empty queue goes, with what it held.
    fn forget_if_idle(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get_mut(number) else { return };
        if !queue.work.is_empty() {
            return;
        }
        if let Some(group) = queue.reserved.take() {
            self.slots.release(group, 1);
            self.call_next(group);
        }
        let Some(queue) = self.queues.get(number) else { return };
        let is_awaited = queue.place != Place::Idle || queue.starts_wait.is_some();
        let is_held = queue.executing_count > 0 || queue.run_count > 0 || queue.is_lasting;
        if !is_awaited && !is_held {
            self.detach(number);
            self.queues.remove(number);
        }
    }

    fn round(&mut self, function: FunctionId) -> Option<&mut Round> {
        self.rounds.get_mut(function.index())
    }
}

#[cfg(test)]
mod tests;
