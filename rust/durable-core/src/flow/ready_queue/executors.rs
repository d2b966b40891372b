//! Who takes the work: executors, each with room for so much, and functions that go from one to another.

use super::super::slots::QueueNumber;
use super::ReadyQueues;
use super::queue::Ring;
use crate::id::{ExecutorId, FunctionId};

impl ReadyQueues {
    /// An executor takes so much at a time.
    pub(crate) fn set_capacity(&mut self, executor: ExecutorId, capacity: u32) {
        self.add_ring(executor);
        if let Some(ring) = self.ring(Some(executor)) {
            ring.capacity = capacity;
        }
    }

    /// No executor takes anything more.
    pub(crate) fn drain(&mut self) {
        for ring in &mut self.rings {
            ring.capacity = 0;
        }
    }

    /// An executor of which nothing was known takes nothing until it says how much. Where the first was alone, whose
    /// queues keep what they were called for also while it is full, others may use that from now on.
    fn add_ring(&mut self, executor: ExecutorId) {
        if self.rings.len() > executor.index() {
            return;
        }
        if let [alone] = self.rings.as_mut_slice() {
            let called = self.rounds.iter().filter(|round| round.is_served);
            alone.called = called.flat_map(|round| round.queues.iter().copied()).collect();
        }
        self.rings.resize_with(executor.index().saturating_add(1), Ring::default);
    }

    /// Work of a function goes to this executor, once that has connected.
    pub(crate) fn set_executor(&mut self, function: FunctionId, executor: ExecutorId) {
        self.add_ring(executor);
        let Some(round) = self.round(function) else { return };
        let (before, count) = (round.executor.replace(executor), round.executing_count);
        round.is_in_ring = false;
        let called = round.queues.iter().copied().collect();
        if let Some(ring) = self.ring(before) {
            ring.functions.retain(|one| *one != function);
            ring.taken_count = ring.taken_count.saturating_sub(count);
        }
        if let Some(ring) = self.ring(Some(executor)) {
            ring.taken_count = ring.taken_count.saturating_add(count);
        }
        self.pass_on(called);
        self.join_ring(function);
    }

    /// True where whoever takes work of a function has no room for more.
    pub(crate) fn is_full(&self, function: FunctionId) -> bool {
        let executor = self.rounds.get(function.index()).and_then(|round| round.executor);
        let ring = executor.and_then(|executor| self.rings.get(executor.index()));
        ring.is_none_or(|ring| !ring.has_room())
    }

    /// True where a queue of a function, which was called for a slot, will have its turn: it is served, and where
    /// another executor could use the slot, its own has room.
    pub(super) fn is_heard(&mut self, function: FunctionId, called: QueueNumber) -> bool {
        let is_alone = self.rings.len() == 1;
        let Some(round) = self.round(function).filter(|round| round.is_served) else {
            return false;
        };
        let executor = round.executor;
        match self.ring(executor) {
            _ if is_alone => true,
            Some(ring) if ring.has_room() => {
                ring.called.push(called);
                true
            }
            Some(_) | None => false,
        }
    }

    /// All that can go has gone: what queues were called for goes to those of other executors where their own has
    /// become full. True where there were any.
    pub(super) fn pass_on_of_full(&mut self) -> bool {
        let mut called = Vec::new();
        for ring in &mut self.rings {
            let of_it = std::mem::take(&mut ring.called);
            if !ring.has_room() {
                called.extend(of_it);
            }
        }
        let is_any = !called.is_empty();
        self.pass_on(called);
        is_any
    }

    pub(super) fn ring(&mut self, executor: Option<ExecutorId>) -> Option<&mut Ring> {
        self.rings.get_mut(executor?.index())
    }
}
