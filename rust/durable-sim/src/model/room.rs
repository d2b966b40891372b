//! Limits over the records as they are written: none is exceeded by what is handed out, what is handed out is
//! the oldest that may go, and nothing waits that could go.

use std::collections::BTreeMap;

use durable_core::{
    Effect, ExecutorId, FunctionId, PendingState, Policies, RunId, RunRecord, Stretch, Timestamp,
    Work,
};

use super::flow::DECISIONS;
use super::gcra::{Kind, Rate};
use super::keys::Group;
use super::{Life, Model, require};
use crate::driver::Sealed;
use crate::tally::Tally;

/// So often something is passed over before a slot may be kept for it.
const PATIENCE: u32 = 16;

/// What is taken of each limit.
#[derive(Clone, Debug, Default)]
struct Taken {
    /// Of each executor's room.
    rooms: BTreeMap<ExecutorId, u32>,
    slots: BTreeMap<Group, u32>,
    runs: BTreeMap<Group, u32>,
}

/// What stands in a run's way.
#[derive(Clone, Debug, Default)]
struct Needs {
    slots: Vec<(Group, u32)>,
    run_slot: Option<(Group, u32)>,
    gate: Option<((Kind, FunctionId, String), Rate)>,
}

/// A piece of a run that waits: the run's age less its head start, the run, and the piece's number.
type Item = (i128, RunId, u32);

impl Model {
    /// What was handed out, one after the other.
    pub(super) fn check_room(&mut self, turn: &Sealed, tally: &mut Tally) -> Result<(), String> {
        let works: Vec<&Work> = turn.effects.iter().filter_map(|(it, _)| work(it)).collect();
        let mut taken = self.taken(&works);
        let waiting = self.waiting();
        if !works.is_empty() && !self.is_following {
            self.note_waiting(turn.now, &taken, &waiting, tally);
        }
        let mut starts = Vec::new();
        for work in &works {
            tally.note(DECISIONS);
            starts.push(self.take_room(turn, work, &mut taken, tally)?);
        }
        if !self.is_following {
            for work in works.iter().zip(starts) {
                self.check_order(work, &waiting)?;
            }
            self.check_use(turn, &taken, &waiting, tally)?;
        }
        let count = u32::try_from(works.len()).unwrap_or(u32::MAX);
        for (id, _) in waiting {
            if let Some(life) = self.runs.get_mut(id) {
                life.passed_over += count;
            }
        }
        Ok(())
    }

    /// One more executes: everything that it needs was free. Whether it is a run's start.
    fn take_room(
        &mut self,
        turn: &Sealed,
        work: &Work,
        taken: &mut Taken,
        tally: &mut Tally,
    ) -> Result<bool, String> {
        let (id, function) = (work.run, work.function);
        require(self.may_go(function), || format!("run {id} goes on and nobody is to serve it"))?;
        let executor = self.executors.serving(function);
        require(executor == Some(work.executor), || {
            format!("run {id} is given to {:?}, and {executor:?} has it", work.executor)
        })?;
        require(self.has_executor_room(work.executor, taken), || {
            format!("run {id} goes on beyond the room of {executor:?}: {:?}", self.executors)
        })?;
        *taken.rooms.entry(work.executor).or_default() += 1;
        let Some(life) = self.runs.get(id) else { return Err(format!("unknown run {id}")) };
        let is_start = !life.has_started;
        let needs = self.needs(life);
        for (group, limit) in needs.slots {
            let count = taken.slots.entry(group.clone()).or_default();
            require(*count < limit, || format!("run {id}: beyond {limit} at once of {group:?}"))?;
            *count += 1;
        }
        if !is_start {
            return Ok(false);
        }
        if let Some((group, limit)) = needs.run_slot {
            let count = taken.runs.entry(group.clone()).or_default();
            require(*count < limit, || format!("run {id}: beyond {limit} runs of {group:?}"))?;
            *count += 1;
            tally.note("run slot taken");
        }
        if let Some((gate, rate)) = needs.gate {
            tally.note(DECISIONS);
            let has_room = self.passed.has_room(&gate, rate, turn.now);
            require(has_room, || format!("run {id} starts too early for {gate:?}: {rate:?}"))?;
            self.passed.pass(gate, rate, turn.now);
            tally.note("throttle passed");
        }
        if let Some(life) = self.runs.get_mut(id) {
            life.has_started = true;
        }
        Ok(true)
    }

    /// Nothing older of the same function and keys waits that could have gone instead. A start may wait for what
    /// only starts need, and what is free of that may be for another queue, which waited for longer: seed 2395.
    fn check_order(
        &self,
        (work, is_start): (&&Work, bool),
        waiting: &[(RunId, Vec<u32>)],
    ) -> Result<(), String> {
        let Some(life) = self.runs.get(work.run) else { return Ok(()) };
        let Some(record) = &life.record else { return Ok(()) };
        let mine = item(work.run, life, number_of(record, work.epoch));
        for (id, numbers) in waiting {
            let Some(other) = self.runs.get(*id) else { continue };
            if other.function != life.function || !other.keys.shares_queue(&life.keys) {
                continue;
            }
            let older = numbers.iter().find(|number| item(*id, other, **number) < mine);
            let Some(older) = older else { continue };
            let waits = !other.has_started && !is_start && self.needs(other).has_more_to_start();
            require(waits, || {
                format!("run {} goes on before {older} of the older run {id}", work.run)
            })?;
        }
        Ok(())
    }

    /// The promise to be work-conserving: whatever still waits lacks something.
    fn check_use(
        &self,
        turn: &Sealed,
        taken: &Taken,
        waiting: &[(RunId, Vec<u32>)],
        tally: &mut Tally,
    ) -> Result<(), String> {
        for (id, _) in waiting {
            let Some(life) = self.runs.get(*id).filter(|life| self.may_go(life.function)) else {
                continue;
            };
            let executor = self.executors.serving(life.function);
            let Some(executor) = executor else { continue };
            if !self.has_executor_room(executor, taken) {
                tally.add("elsewhere: a full executor's work waits", self.executors.others());
                continue;
            }
            if !life.has_started && self.start_waits(life, taken, turn.now) {
                continue;
            }
            if turn.is_behind && self.policies(life.function).timeouts.is_some() {
                tally.note("waited for timers that were due");
                continue;
            }
            let needs = self.needs(life);
            if has_no_room(&needs.slots, &taken.slots) {
                continue;
            }
            if self.may_be_kept(*id, &needs, taken, waiting) {
                tally.note("a slot may be kept for another");
                continue;
            }
            return Err(format!("run {id} waits for nothing: {needs:?}, taken {taken:?}"));
        }
        Ok(())
    }

    /// A free slot may be kept for another queue that needs two limits and was passed over often.
    fn may_be_kept(
        &self,
        id: RunId,
        needs: &Needs,
        taken: &Taken,
        waiting: &[(RunId, Vec<u32>)],
    ) -> bool {
        let others: Vec<Needs> = waiting
            .iter()
            .filter(|(other, _)| *other != id)
            .filter_map(|(other, _)| self.runs.get(*other))
            .filter(|life| life.passed_over >= PATIENCE)
            .filter(|life| self.may_go(life.function))
            .map(|life| self.needs(life))
            .filter(|needs| needs.slots.len() + usize::from(needs.run_slot.is_some()) > 1)
            .collect();
        let of = |group: &Group, is_run: bool| {
            let has_it = |needs: &&Needs| {
                let mut slots = needs.slots.iter().filter(|_| !is_run);
                let mut run_slot = needs.run_slot.iter().filter(|_| is_run);
                slots.any(|(it, _)| it == group) || run_slot.any(|(it, _)| it == group)
            };
            u32::try_from(others.iter().filter(has_it).count()).unwrap_or(u32::MAX)
        };
        let is_short = |(group, limit): &(Group, u32)| {
            let count = taken.slots.get(group).copied().unwrap_or(0);
            count.saturating_add(of(group, false)) >= *limit
        };
        let is_short_of_runs = |(group, limit): &(Group, u32)| {
            let count = taken.runs.get(group).copied().unwrap_or(0);
            count.saturating_add(of(group, true)) >= *limit
        };
        needs.slots.iter().any(is_short) || needs.run_slot.iter().any(is_short_of_runs)
    }

    /// A start waits for a slot of a whole run, or before its throttle.
    fn start_waits(&self, life: &Life, taken: &Taken, now: Timestamp) -> bool {
        let needs = self.needs(life);
        let run_slots: Vec<(Group, u32)> = needs.run_slot.into_iter().collect();
        has_no_room(&run_slots, &taken.runs)
            || needs.gate.is_some_and(|(gate, rate)| !self.passed.has_room(&gate, rate, now))
    }

    /// What holds starts up, before anything is handed out.
    fn note_waiting(
        &self,
        now: Timestamp,
        taken: &Taken,
        waiting: &[(RunId, Vec<u32>)],
        tally: &mut Tally,
    ) {
        let lives = waiting.iter().filter_map(|(id, _)| self.runs.get(*id));
        let mut needs = lives.filter(|life| !life.has_started).map(|life| self.needs(life));
        if needs
            .by_ref()
            .any(|needs| needs.run_slot.is_some_and(|slot| has_no_room(&[slot], &taken.runs)))
        {
            tally.note("run slot waited for");
        }
        if needs.any(|needs| {
            needs.gate.is_some_and(|(gate, rate)| !self.passed.has_room(&gate, rate, now))
        }) {
            tally.note("throttle waited for");
        }
    }

    /// What was taken before anything of this turn was handed out.
    fn taken(&self, works: &[&Work]) -> Taken {
        let mut taken = Taken::default();
        for (id, life) in self.live() {
            let executing = life.record.as_ref().map_or(0, executing_count);
            let offered = works.iter().filter(|work| work.run == id).count();
            let before = executing.saturating_sub(u32::try_from(offered).unwrap_or(u32::MAX));
            if let Some(home) = self.executors.home(life.function) {
                *taken.rooms.entry(home).or_default() += before;
            }
            if before == 0 && !life.has_started {
                continue;
            }
            let needs = self.needs(life);
            for (group, _) in needs.slots {
                *taken.slots.entry(group).or_default() += before;
            }
            if let Some((group, _)) = needs.run_slot.filter(|_| life.has_started) {
                *taken.runs.entry(group).or_default() += 1;
            }
        }
        taken
    }

    /// Live runs of which something waits in the queue.
    fn waiting(&self) -> Vec<(RunId, Vec<u32>)> {
        let queued = |record: &RunRecord| {
            let stretch = (record.stretch == Stretch::Queued).then_some(0);
            let steps = record.pending.iter().filter(|step| step.state == PendingState::Queued);
            stretch.into_iter().chain(steps.map(|step| step.number)).collect::<Vec<u32>>()
        };
        let all = self.live().filter_map(|(id, life)| Some((id, queued(life.record.as_ref()?))));
        all.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    /// An executor takes work of it, and it is not paused.
    fn may_go(&self, function: FunctionId) -> bool {
        self.executors.serving(function).is_some() && !self.is_paused(function)
    }

    fn has_executor_room(&self, executor: ExecutorId, taken: &Taken) -> bool {
        taken.rooms.get(&executor).copied().unwrap_or(0) < self.executors.capacity(executor)
    }

    fn needs(&self, life: &Life) -> Needs {
        let Some(spec) = self.spec(life.function) else { return Needs::default() };
        let policies: &Policies = &spec.policies;
        let gate = policies.throttle.as_ref().map(|throttle| {
            let key = life.keys.throttle.clone().filter(|_| throttle.key.is_some());
            let gate = (Kind::Throttle, life.function, key.unwrap_or_default());
            (gate, Rate::of_throttle(throttle))
        });
        Needs {
            slots: life.keys.groups(life.function, policies),
            run_slot: life.keys.run_group(life.function, policies),
            gate,
        }
    }
}

impl Needs {
    /// Whether a start needs more than what goes on.
    fn has_more_to_start(&self) -> bool {
        self.run_slot.is_some() || self.gate.is_some()
    }
}

fn has_no_room(needs: &[(Group, u32)], taken: &BTreeMap<Group, u32>) -> bool {
    needs.iter().any(|(group, limit)| taken.get(group).copied().unwrap_or(0) >= *limit)
}

fn item(id: RunId, life: &Life, number: u32) -> Item {
    let created_at = i128::from(life.created_at.as_nanos());
    (created_at - i128::from(life.keys.head_start) * 1_000_000_000, id, number)
}

fn executing_count(record: &RunRecord) -> u32 {
    let is_executing = |state: PendingState| matches!(state, PendingState::Executing(_));
    let steps = record.pending.iter().filter(|step| is_executing(step.state)).count();
    let stretch = u32::from(matches!(record.stretch, Stretch::Executing(_)));
    u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(stretch)
}

/// The number of what executes under an epoch: 0 is the code between steps.
fn number_of(record: &RunRecord, epoch: durable_core::Epoch) -> u32 {
    let step = record.pending.iter().find(|step| step.state == PendingState::Executing(epoch));
    step.map_or(0, |step| step.number)
}

fn work(effect: &Effect) -> Option<&Work> {
    match effect {
        Effect::OfferWork(work) => Some(work),
        Effect::Answer { .. }
        | Effect::DeliverMemo { .. }
        | Effect::ConfirmReport { .. }
        | Effect::AbandonWork { .. }
        | Effect::AnnounceEnd { .. }
        | Effect::LoadTimers { .. }
        | Effect::LookBack { .. }
        | Effect::FindEnd { .. }
        | Effect::FindExpired { .. } => None,
    }
}
