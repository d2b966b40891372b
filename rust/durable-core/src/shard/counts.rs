//! How many runs there are of each kind, counted as they change.

use super::Shard;
use crate::id::FunctionId;
use crate::run::{ParkedOn, Standing};

/// How many runs there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each function, in the order of their numbers.
    pub functions: Vec<FunctionCounts>,
    /// Runs that have not ended.
    pub live_count: usize,
    /// Pieces of work with the executor.
    pub executing_count: u32,
    /// Timers held in memory.
    pub timer_count: usize,
    /// Reports that counted for nothing, since the shard was loaded.
    pub stale_report_count: u64,
}

/// How many runs of one function there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// The function's name.
    pub name: String,
    /// Runs of which something is ready.
    pub queued: u64,
    /// Runs of which something executes.
    pub running: u64,
    /// Its stretches of code and steps that execute: the slots taken.
    pub executing: u32,
    /// Runs that wait, by what for.
    pub parked: ParkedCounts,
    /// Runs that ended well, ever.
    pub completed: u64,
    /// Runs that failed, ever.
    pub failed: u64,
    /// Runs that were cancelled, ever.
    pub cancelled: u64,
    /// Events that were not let start a run, ever.
    pub skipped: u64,
    /// Keys for which an event had no value, ever.
    pub missing_keys: u64,
    /// Priorities that gave no number, ever.
    pub priority_errors: u64,
    /// It is paused.
    pub is_paused: bool,
}

/// How many runs of one function wait for what. One that waits for several things is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedCounts {
    /// For a signal alone.
    pub signal: u64,
    /// For an event, and for no moment but the wait's end.
    pub wait: u64,
    /// For the end of a run that they started.
    pub invoke: u64,
    /// For the end of a sleep, and nothing of them failed.
    pub sleep: u64,
    /// For the next try of something that failed.
    pub retry: u64,
    /// For more events, before they start.
    pub events: u64,
}

impl ParkedCounts {
    /// All that wait.
    pub fn total(self) -> u64 {
        let waiting = self.signal.saturating_add(self.wait).saturating_add(self.invoke);
        self.going_on().saturating_add(waiting)
    }

    /// Those that go on by themselves, in time.
    pub fn going_on(self) -> u64 {
        self.sleep.saturating_add(self.retry).saturating_add(self.events)
    }
}

/// How many runs of a function stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standings {
    queued: u64,
    running: u64,
    parked: ParkedCounts,
}

impl Standings {
    pub(super) fn count(&mut self, standing: Standing, change: i8) {
        let counter = match standing {
            Standing::Queued => &mut self.queued,
            Standing::Running => &mut self.running,
            Standing::Parked(ParkedOn::Signal) => &mut self.parked.signal,
            Standing::Parked(ParkedOn::Wait) => &mut self.parked.wait,
            Standing::Parked(ParkedOn::Invoke) => &mut self.parked.invoke,
            Standing::Parked(ParkedOn::Sleep) => &mut self.parked.sleep,
            Standing::Parked(ParkedOn::Retry) => &mut self.parked.retry,
            Standing::Parked(ParkedOn::Events) => &mut self.parked.events,
        };
        *counter = counter.saturating_add_signed(change.into());
    }
}

impl Shard {
    /// How many runs there are of each kind. Costs nothing that grows with them.
    pub fn counts(&self) -> Counts {
        let numbered = (0..).map(FunctionId).zip(&self.functions);
        let functions = numbered.map(|(id, function)| FunctionCounts {
            executing: self.queues.executing_count(id),
            name: function.record.spec.name.clone(),
            queued: function.standings.queued,
            running: function.standings.running,
            parked: function.standings.parked,
            completed: function.record.completed_count,
            failed: function.record.failed_count,
            cancelled: function.record.cancelled_count,
            skipped: function.record.skipped_count,
            missing_keys: function.record.missing_key_count,
            priority_errors: function.record.priority_error_count,
            is_paused: function.record.is_paused,
        });
        Counts {
            functions: functions.collect(),
            live_count: self.runs.len(),
            executing_count: self.queues.taken_count(),
            timer_count: self.wheel.len(),
            stale_report_count: self.stale_report_count,
        }
    }

    pub(super) fn count(&mut self, function: FunctionId, standing: Standing, change: i8) {
        self.function_mut(function).standings.count(standing, change);
    }
}
