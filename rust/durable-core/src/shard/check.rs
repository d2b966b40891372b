//! The shard looks at itself: what must always hold, and what two shards are compared by.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::arrive::singleton_name;
use super::enqueue::{GATHERED, STRETCH, timer_of};
use super::flow::{is_start, item, needs, policies_of, queue_name, work_of};
use super::{Meta, Shard, Slot, Standings};
use crate::flow::ready_queue::Held;
use crate::flow::timer_wheel::Timer;
use crate::function::FunctionRecord;
use crate::id::RunId;
use crate::run::{RunRecord, Standing, Stretch};
use crate::schedule::ScheduleRecord;
use crate::step::{Awaits, Pending, PendingState};
use crate::system::Untold;
use crate::time::Timestamp;
use crate::write::Record;

/// All of a shard that the store must hold: two shards with equal portraits go on alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portrait {
    meta: Meta,
    functions: Vec<FunctionRecord>,
    inbox: BTreeMap<String, u64>,
    runs: Vec<(RunId, RunRecord)>,
    queues: BTreeMap<Vec<u8>, Held>,
    arrivals: Vec<(Box<[u8]>, Timestamp)>,
    standings: Vec<Standings>,
    executing: BTreeSet<RunId>,
    untold: BTreeMap<RunId, Untold>,
    schedules: Vec<(Bytes, ScheduleRecord)>,
}

impl Shard {
    /// The shard but for what a restart may forget: the clock between writes, chance, whose turn it is, who
    /// serves, and which timers are in memory.
    pub fn portrait(&self) -> Portrait {
        let mut meta = self.meta.clone();
        meta.now = Timestamp::default();
        Portrait {
            meta,
            functions: self.functions().cloned().collect(),
            inbox: self.inbox.clone(),
            runs: self.records(),
            queues: self.queues.contents(),
            arrivals: self.queues.arrivals(),
            standings: self.functions.iter().map(|function| function.standings).collect(),
            executing: self.executing.clone(),
            untold: self.telling.untold().clone(),
            schedules: self.schedule_records(),
        }
    }

    /// Counts everything again and compares: queues, slots, counters, limits, and each run's way on.
    /// To be called between turns. `Err` says what does not hold.
    pub fn audit(&self) -> Result<(), String> {
        let mut standings = vec![Standings::default(); self.functions.len()];
        let mut queues: BTreeMap<Vec<u8>, Held> = BTreeMap::new();
        for (id, run) in self.records() {
            let Some(standings) = standings.get_mut(run.function.index()) else {
                return Err(format!("run {id} has no function"));
            };
            standings.count(run.standing(), 1);
            let (queued, executing_count) = work_of(&run);
            if !queued.is_empty() || executing_count > 0 {
                let held = queues.entry(queue_name(&run)).or_default();
                held.executing_count = held.executing_count.saturating_add(executing_count);
                hold(held, id, &run, queued);
            }
            if run.standing() == Standing::Running && !self.executing.contains(&id) {
                return Err(format!("run {id} executes and is not listed so"));
            }
            if self.holds_run_slot(&run) {
                let held = queues.entry(queue_name(&run)).or_default();
                held.run_count = held.run_count.saturating_add(1);
            }
            if run.gathering.is_some() != matches!(run.stretch, Stretch::Gathering(_)) {
                return Err(format!("run {id} is {:?} and gathers: {run:?}", run.stretch));
            }
            if run.stretch == Stretch::Parked && run.pending.is_empty() {
                return Err(format!("run {id} waits for nothing"));
            }
        }
        for (function, counted) in self.functions.iter().zip(standings) {
            if function.standings != counted {
                let name = &function.record.spec.name;
                let kept = function.standings;
                return Err(format!("'{name}': counters say {kept:?}, runs say {counted:?}"));
            }
        }
        self.audit_holders()?;
        self.telling.audit()?;
        self.audit_schedules()?;
        let contents = self.queues.contents();
        if contents != queues {
            return Err(format!("the queues hold {contents:?}, the runs say {queues:?}"));
        }
        self.queues.audit()
    }

    fn holds_run_slot(&self, run: &RunRecord) -> bool {
        let policies = policies_of(&self.functions, run.function);
        run.started_at.is_some() && needs(policies, &queue_name(run)).run_slot.is_some()
    }

    /// Whether singletons, gatherings and signals are held by those that say so.
    fn audit_holders(&self) -> Result<(), String> {
        let (mut singletons, mut gatherings) = (Vec::new(), Vec::new());
        for (id, run) in self.records() {
            match (&run.gathering, &run.keys.singleton) {
                (Some(gathering), _) => gatherings.push((gathering.name.as_ref().into(), id)),
                (None, Some(key)) => singletons.push((singleton_name(run.function, key), id)),
                (None, None) => {}
            }
        }
        singletons.sort_unstable();
        gatherings.sort_unstable();
        if singletons != self.singletons.all() {
            let kept = self.singletons.all();
            return Err(format!("singletons are {kept:?}, the runs say {singletons:?}"));
        }
        if gatherings != self.gatherings.all() {
            let kept = self.gatherings.all();
            return Err(format!("gatherings are {kept:?}, the runs say {gatherings:?}"));
        }
        self.audit_waits()
    }

    /// Whether each signal and each event that is waited for is held by the step that does.
    fn audit_waits(&self) -> Result<(), String> {
        let records = self.records();
        let steps =
            || records.iter().flat_map(|(id, run)| run.pending.iter().map(move |s| (id, s)));
        let is_wrong = |step: &Pending| {
            matches!(step.state, PendingState::Waiting(_)) != step.awaits.is_some()
        };
        if let Some((id, step)) = steps().find(|(_, step)| is_wrong(step)) {
            return Err(format!("run {id}: {step:?} waits for nothing, or does not wait"));
        }
        let waiters = steps().filter_map(|(id, step)| {
            let Some(Awaits::Signal(signal)) = &step.awaits else { return None };
            Some((signal.as_bytes().into(), (*id, step.number)))
        });
        let mut waiters: Vec<(Box<[u8]>, _)> = waiters.collect();
        waiters.sort_unstable();
        let kept = self.signals.all();
        if waiters != kept {
            return Err(format!("signals are {kept:?}, the runs say {waiters:?}"));
        }
        let is_lost = |run: RunId, invoker: (RunId, u32)| {
            let invoked = self.runs.get(run).map(Slot::unpack);
            invoked.is_none_or(|invoked| {
                !invoked.invokers.iter().any(|(run, number, _)| (*run, *number) == invoker)
            })
        };
        let lost = steps().find(|(id, step)| {
            matches!(step.awaits, Some(Awaits::Run(run)) if is_lost(run, (**id, step.number)))
        });
        if let Some((id, step)) = lost {
            return Err(format!("run {id}: nobody will tell {step:?}"));
        }
        let (kept, wanted) = (self.waits.contents(), self.waits_by_runs(&records).contents());
        if kept != wanted {
            return Err(format!("waits are {kept:?}, the runs say {wanted:?}"));
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
        let (of_schedules, held) = self.schedule_timers();
        let records = self.records();
        let of_runs = records.iter().flat_map(|(id, run)| timers_of(*id, run));
        let wanted: BTreeSet<Timer> = of_runs.chain(of_schedules).collect();
        if let Some(timer) = wanted.symmetric_difference(&stored).next() {
            let side =
                if stored.contains(timer) { "stored and not waited for" } else { "not stored" };
            return Err(format!("{timer:?} is {side}"));
        }
        let in_memory: BTreeSet<Timer> = self.wheel.all().into_iter().chain(held).collect();
        let missing = wanted.iter().find(|timer| {
            super::enqueue::key_of(**timer) < self.timers_loaded && !in_memory.contains(timer)
        });
        missing.map_or(Ok(()), |timer| Err(format!("{timer:?} is in no wheel")))
    }

    fn records(&self) -> Vec<(RunId, RunRecord)> {
        self.runs.sorted().into_iter().map(|(id, slot)| (id, slot.unpack())).collect()
    }
}

fn hold(held: &mut Held, id: RunId, run: &RunRecord, queued: Vec<u32>) {
    for number in queued {
        let kind = if is_start(run, number) { &mut held.starts } else { &mut held.items };
        kind.insert(item(id, run, number));
    }
}

fn timers_of(id: RunId, run: &RunRecord) -> Vec<Timer> {
    let timer = |due, number| Timer { due, id: *id.as_bytes(), number };
    let deadline = run.deadline.map(|deadline| super::deadline::timer_of(id, deadline));
    let stretch = match run.stretch {
        Stretch::BackingOff(due) => Some(timer(due, STRETCH)),
        Stretch::Gathering(due) => Some(timer(due, GATHERED)),
        Stretch::Queued | Stretch::Executing(_) | Stretch::Parked => None,
    };
    let steps = run.pending.iter().filter_map(|step| match step.state {
        PendingState::BackingOff(due)
        | PendingState::Sleeping(due)
        | PendingState::Waiting(due) => Some(timer(due, step.number)),
        PendingState::Queued | PendingState::Executing(_) => None,
    });
    stretch.into_iter().chain(deadline).chain(steps).collect()
}
