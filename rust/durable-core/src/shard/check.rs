//! The shard looks at itself: what must always hold, and what two shards are compared by.

use std::collections::{BTreeMap, BTreeSet};

use super::enqueue::{STRETCH, timer_of};
use super::{Meta, Shard, Slot, Standings};
use crate::flow::ready_queue::Item;
use crate::flow::timer_wheel::Timer;
use crate::function::FunctionRecord;
use crate::id::{FunctionId, RunId};
use crate::run::{RunRecord, Standing, Stretch};
use crate::step::PendingState;
use crate::time::Timestamp;
use crate::write::{Record, decode};

/// All of a shard that the store must hold: two shards with equal portraits go on alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portrait {
    meta: Meta,
    functions: Vec<FunctionRecord>,
    inbox: BTreeMap<String, u64>,
    runs: Vec<(RunId, RunRecord)>,
    queues: Vec<(Vec<Item>, u32, Option<u32>)>,
    standings: Vec<Standings>,
    executing: BTreeSet<RunId>,
}

impl Shard {
    /// The shard but for what a restart may forget: the clock between writes, chance, whose turn it is, who
    /// serves, and which timers are in memory.
    pub fn portrait(&self) -> Portrait {
        let mut meta = self.meta.clone();
        meta.now = Timestamp::default();
        let queues = (0..).map(FunctionId).take(self.functions.len()).filter_map(|id| {
            let queue = self.queues.queue(id)?;
            Some((queue.items().iter().copied().collect(), queue.taken_count(), queue.limit()))
        });
        Portrait {
            meta,
            functions: self.functions().cloned().collect(),
            inbox: self.inbox.clone(),
            runs: self.records(),
            queues: queues.collect(),
            standings: self.functions.iter().map(|function| function.standings).collect(),
            executing: self.executing.clone(),
        }
    }

    /// Counts everything again and compares: queues, slots, counters, limits, and each run's way on.
    /// To be called between turns. `Err` says what does not hold.
    pub fn audit(&self) -> Result<(), String> {
        let mut expected: Vec<(BTreeSet<Item>, u32, Standings)> =
            vec![<(BTreeSet<Item>, u32, Standings)>::default(); self.functions.len()];
        for (id, run) in self.records() {
            let Some((items, taken, standings)) = expected.get_mut(run.function.index()) else {
                return Err(format!("run {id} has no function"));
            };
            recount(id, &run, items, taken);
            standings.count(run.standing(), 1);
            if run.standing() == Standing::Running && !self.executing.contains(&id) {
                return Err(format!("run {id} executes and is not listed so"));
            }
            if run.stretch == Stretch::Parked && run.pending.is_empty() {
                return Err(format!("run {id} waits for nothing"));
            }
        }
        for (id, (items, taken, standings)) in (0..).map(FunctionId).zip(expected) {
            self.compare(id, &items, taken, standings)?;
        }
        Ok(())
    }

    /// Compares the timers in the store with what the runs wait for, and with those in memory.
    pub fn audit_timers(&self, stored: &[Record]) -> Result<(), String> {
        let stored: BTreeSet<Timer> = stored
            .iter()
            .filter_map(|(key, _)| timer_of(key))
            .filter(|timer| !super::expire::is_expiry(*timer))
            .collect();
        let wanted: BTreeSet<Timer> =
            self.records().iter().flat_map(|(id, run)| timers_of(*id, run)).collect();
        if let Some(timer) = wanted.symmetric_difference(&stored).next() {
            let side =
                if stored.contains(timer) { "stored and not waited for" } else { "not stored" };
            return Err(format!("{timer:?} is {side}"));
        }
        let in_memory: BTreeSet<Timer> = self.wheel.all().into_iter().collect();
        let missing = wanted.iter().find(|timer| {
            super::enqueue::key_of(**timer) < self.timers_loaded && !in_memory.contains(timer)
        });
        missing.map_or(Ok(()), |timer| Err(format!("{timer:?} is in no wheel")))
    }

    fn compare(
        &self,
        id: FunctionId,
        items: &BTreeSet<Item>,
        taken: u32,
        standings: Standings,
    ) -> Result<(), String> {
        let function = self.function(id);
        let Some(queue) = self.queues.queue(id) else { return Err(format!("{id:?} has no queue")) };
        let name = &function.record.spec.name;
        if queue.items() != items {
            return Err(format!("'{name}': the queue holds {:?}, not {items:?}", queue.items()));
        }
        if queue.taken_count() != taken {
            return Err(format!("'{name}': {} slots taken, {taken} held", queue.taken_count()));
        }
        let counted = function.standings;
        if counted != standings {
            return Err(format!("'{name}': counters say {counted:?}, runs say {standings:?}"));
        }
        Ok(())
    }

    fn records(&self) -> Vec<(RunId, RunRecord)> {
        let unpack = |slot: &Slot| match slot {
            Slot::Packed(bytes) => {
                decode("a live run", bytes).unwrap_or_else(|why| super::broken(&why.to_string()))
            }
            Slot::Open(run) => run.as_ref().clone(),
        };
        self.runs.sorted().into_iter().map(|(id, slot)| (id, unpack(slot))).collect()
    }
}

fn recount(id: RunId, run: &RunRecord, items: &mut BTreeSet<Item>, taken: &mut u32) {
    let item = |number| Item { score: run.created_at, run: id, number };
    match run.stretch {
        Stretch::Queued => {
            items.insert(item(STRETCH));
        }
        Stretch::Executing(_) => *taken = taken.saturating_add(1),
        Stretch::BackingOff(_) | Stretch::Parked => {}
    }
    for step in &run.pending {
        match step.state {
            PendingState::Queued => {
                items.insert(item(step.number));
            }
            PendingState::Executing(_) => *taken = taken.saturating_add(1),
            PendingState::BackingOff(_) | PendingState::Sleeping(_) => {}
        }
    }
}

fn timers_of(id: RunId, run: &RunRecord) -> Vec<Timer> {
    let timer = |due, number| Timer { due, id: *id.as_bytes(), number };
    let stretch = match run.stretch {
        Stretch::BackingOff(due) => Some(timer(due, STRETCH)),
        Stretch::Queued | Stretch::Executing(_) | Stretch::Parked => None,
    };
    let steps = run.pending.iter().filter_map(|step| match step.state {
        PendingState::BackingOff(due) | PendingState::Sleeping(due) => {
            Some(timer(due, step.number))
        }
        PendingState::Queued | PendingState::Executing(_) => None,
    });
    stretch.into_iter().chain(steps).collect()
}
