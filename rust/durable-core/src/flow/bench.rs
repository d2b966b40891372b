//! Flow control as its benches and its memory test see it: the queues alone, without runs and writes. Not part
//! of the API.

use std::time::Duration;

use super::gcra::Rate;
use super::ready_queue::{Item, MAX_LIMITS, Needs, ReadyQueues};
use crate::id::{ExecutorId, FunctionId, RunId};
use crate::time::Timestamp;

/// The queues, slots and gates of one function that is served.
#[derive(Clone, Debug)]
pub struct Flow(ReadyQueues);

/// What the work of a queue counts against: names, and how much each lets through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// Concurrency limits: at most two.
    pub limits: &'a [(&'a [u8], u32)],
    /// A limit on whole runs.
    pub run_limit: Option<(&'a [u8], u32)>,
    /// A throttle.
    pub throttle: Option<(&'a [u8], Rate)>,
}

impl Flow {
    /// The one function of it.
    const FUNCTION: FunctionId = FunctionId(0);

    /// Nothing is queued, nothing executes.
    pub fn new(secret: u64) -> Self {
        let mut queues = ReadyQueues::new(secret);
        queues.add_function();
        queues.set_capacity(ExecutorId::LOCAL, u32::MAX);
        queues.set_executor(Self::FUNCTION, ExecutorId::LOCAL);
        queues.set_served(Self::FUNCTION, true);
        Self(queues)
    }

    /// Passes a rate limit's key, if it may.
    pub fn try_gate(&mut self, name: &[u8], rate: Rate, now: Timestamp) -> bool {
        self.0.try_gate(name, rate, now).is_some()
    }

    /// A run of this number, and that age in milliseconds, waits to start.
    pub fn push(&mut self, queue: &[u8], (number, score): (u32, u64), against: Against<'_>) {
        let item = item(number, score);
        self.0.push((Self::FUNCTION, queue), item, true, || against.needs());
    }

    /// A run that waits to start does not any more.
    pub fn remove(&mut self, queue: &[u8], (number, score): (u32, u64)) {
        self.0.remove(queue, item(number, score));
    }

    /// The number of the next run that may start: it executes then.
    pub fn pop(&mut self, now: Timestamp) -> Option<u32> {
        self.0.pop(now).map(|popped| popped.item.number)
    }

    /// Something of this queue executes no more.
    pub fn release(&mut self, queue: &[u8]) {
        self.0.release_slots(queue);
    }

    /// Looks at the gates that are due; how many were forgotten.
    pub fn tick(&mut self, now: Timestamp) -> usize {
        self.0.tick(now).len()
    }

    /// How many queues, slot groups and gates are kept.
    pub fn queue_and_key_counts(&self) -> (usize, usize, usize) {
        self.0.kept_counts()
    }

    /// A deploy gives all queues these needs.
    pub fn deploy(&mut self, against: Against<'_>) {
        self.0.change_needs(Self::FUNCTION, |_| against.needs());
    }
}

impl Against<'_> {
    fn needs(self) -> Needs {
        let mut limits = self.limits.iter().map(|(name, limit)| ((*name).into(), *limit));
        Needs {
            slots: [(); MAX_LIMITS].map(|()| limits.next()),
            run_slot: self.run_limit.map(|(name, limit)| (name.into(), limit)),
            gate: self.throttle.map(|(name, rate)| (name.into(), rate)),
            is_lasting: false,
        }
    }
}

fn item(number: u32, score: u64) -> Item {
    let score = Timestamp::default().plus(Duration::from_millis(score));
    Item { score, run: RunId::default(), number }
}
