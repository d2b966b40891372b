//! Runs by the clock: each tick once, none before its moment, and of those that nobody was there for what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use durable_core::write::{SCHEDULE, decode};
use durable_core::{
    Answer, CatchUp, Command, FunctionId, Refusal, Rhythm, RunId, ScheduleChange, ScheduleRecord,
    TIMER_EVENT, Tick, Ticks, Timestamp,
};

use super::flow::Arrival;
use super::walk::Walk;
use super::{Model, require};
use crate::driver::Sealed;

/// A tick that comes later was missed, as one is that nobody was there for.
const LATE: Duration = Duration::from_mins(1);
/// So many of one schedule come in one turn.
const TICKS_PER_TURN: usize = 64;
/// What worlds draw of crons, each with its minutes of an hour and hours of a day: all of some, some of them.
pub const CRONS: [(&str, u64, u64); 4] =
    [("* * * * *", 1, 1), ("*/5 * * * *", 5, 1), ("0 * * * *", 60, 1), ("0 */6 * * *", 60, 6)];

/// Whose schedule it is: a caller's, by its id, or a function's cron.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Caller(String),
    Function(FunctionId, String, String),
}

/// All schedules as they must be kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedules {
    kept: BTreeMap<Owner, ScheduleRecord>,
    keys: BTreeMap<Bytes, Owner>,
    last_number: u64,
    tick_count: u64,
}

fn owner(record: &ScheduleRecord) -> Owner {
    match (&record.id, &record.spec.rhythm) {
        (Some(id), _) => Owner::Caller(id.clone()),
        (None, Rhythm::Cron { text, tz }) => {
            Owner::Function(record.function, tz.clone(), text.clone())
        }
        (None, Rhythm::Every { .. }) => {
            Owner::Function(record.function, String::new(), String::new())
        }
    }
}

/// The tick behind a moment: minute by minute, and as the shard says it is put off.
fn next_after(record: &ScheduleRecord, moment: Timestamp) -> Option<Tick> {
    let at = match &record.spec.rhythm {
        Rhythm::Every { ms } => {
            let passed = moment.since(record.made_at).as_millis();
            let passed = u64::try_from(passed).unwrap_or(0);
            let count = passed / (*ms).max(1) + 1;
            record.made_at.plus(Duration::from_millis(count * ms))
        }
        Rhythm::Cron { text, .. } => {
            let (_, minutes, hours) = CRONS.into_iter().find(|(known, ..)| known == text)?;
            let mut minute = moment.as_millis() / 60_000 + 1;
            while !minute.is_multiple_of(minutes) || !(minute / 60 % 24).is_multiple_of(hours) {
                minute += 1;
            }
            Timestamp::from_millis(minute * 60_000)
        }
    };
    let ticks = Ticks::of(record).ok()?;
    ticks.after(at.minus(Duration::from_nanos(1))).filter(|tick| tick.at == at)
}

impl Model {
    /// How often a schedule has ticked.
    pub fn tick_count(&self) -> u64 {
        self.schedules.tick_count
    }

    /// Whether anything is started by the clock.
    pub fn has_schedules(&self) -> bool {
        !self.schedules.kept.is_empty()
    }

    /// Somebody makes a schedule or does something with one.
    pub(super) fn change_schedules(
        &mut self,
        walk: &mut Walk<'_>,
        command: &Command,
        answer: Option<&Answer>,
    ) -> Result<(), String> {
        if let Command::PutSchedule { function, .. } = command {
            let known =
                (0..).zip(&self.specs).find(|(_, (spec, gone))| spec.name == *function && !gone);
            let Some(function) = known.map(|(number, _)| FunctionId(number)) else {
                let is_refused =
                    matches!(answer, Some(Answer::Refused(Refusal::UnknownFunction(_))));
                return require(is_refused, || format!("'{function}' is unknown: {answer:?}"));
            };
            self.put_schedule(walk, command, function);
            return require(answer == Some(&Answer::Scheduled), || format!("{answer:?}"));
        }
        let Command::ChangeSchedule { id, change, .. } = command else { return Ok(()) };
        let owner = Owner::Caller(id.clone());
        let Some(record) = self.schedules.kept.get(&owner).cloned() else {
            let is_refused = matches!(answer, Some(Answer::Refused(Refusal::NotFound(_))));
            return require(is_refused, || format!("'{id}' is unknown: {answer:?}"));
        };
        if *change == ScheduleChange::Trigger {
            walk.tally.note("schedule triggered");
            let now = walk.turn.now;
            let started = self.happen_once(walk, &record, Tick { at: now, due: now })?;
            return require(
                match (answer, started) {
                    (Some(Answer::Started(told, _)), Some(run)) => *told == run,
                    (Some(Answer::Refused(Refusal::Skipped(_))), None) => true,
                    (_, Some(_) | None) => false,
                },
                || format!("triggering '{id}' gave {started:?} and was answered {answer:?}"),
            );
        }
        if *change == ScheduleChange::Delete {
            self.schedules.kept.remove(&owner);
        } else {
            self.pause_schedule(walk, record, *change == ScheduleChange::Pause);
        }
        require(answer == Some(&Answer::Scheduled), || format!("{answer:?}"))
    }

    fn pause_schedule(&mut self, walk: &mut Walk<'_>, record: ScheduleRecord, is_paused: bool) {
        if record.is_paused == is_paused {
            return;
        }
        walk.tally.note(if is_paused { "schedule paused" } else { "schedule resumed" });
        self.aim(ScheduleRecord { is_paused, ..record }, walk.turn.now);
    }

    fn put_schedule(&mut self, walk: &mut Walk<'_>, command: &Command, function: FunctionId) {
        let Command::PutSchedule { id, spec, data, .. } = command else { return };
        let before = self.schedules.kept.get(&Owner::Caller(id.clone())).cloned();
        let is_same = |one: &ScheduleRecord| {
            one.spec == *spec && one.function == function && one.data == *data
        };
        if before.as_ref().is_some_and(is_same) {
            walk.tally.note("schedule made again");
            return;
        }
        walk.tally.note(if before.is_some() { "schedule replaced" } else { "schedule made" });
        let number = before.as_ref().map(|before| before.number);
        let record = ScheduleRecord {
            number: number.unwrap_or_else(|| self.next_number()),
            id: Some(id.clone()),
            function,
            spec: spec.clone(),
            data: data.clone(),
            is_paused: before.as_ref().is_some_and(|before| before.is_paused),
            made_at: walk.turn.now,
            last_at: before.as_ref().and_then(|before| before.last_at),
            next: None,
        };
        self.aim(record, walk.turn.now);
    }

    fn aim(&mut self, record: ScheduleRecord, now: Timestamp) {
        let next = if record.is_paused { None } else { next_after(&record, now) };
        self.schedules.kept.insert(owner(&record), ScheduleRecord { next, ..record });
    }

    fn next_number(&mut self) -> u64 {
        self.schedules.last_number += 1;
        self.schedules.last_number
    }

    /// A function's crons are those it was registered with last; of one that is no more there are none.
    pub(super) fn sync_crons(&mut self, walk: &mut Walk<'_>, function: FunctionId) {
        let Some((spec, is_archived)) = self.specs.get(function.index()).cloned() else { return };
        let crons = if is_archived { Vec::new() } else { spec.crons };
        let mut wanted: BTreeMap<Owner, _> = crons
            .into_iter()
            .map(|cron| (Owner::Function(function, cron.tz.clone(), cron.text.clone()), cron))
            .collect();
        let is_own = |owner: &Owner| matches!(owner, Owner::Function(of, ..) if *of == function);
        let known: Vec<Owner> =
            self.schedules.kept.keys().filter(|owner| is_own(owner)).cloned().collect();
        for owner in known {
            let (cron, record) = (wanted.remove(&owner), self.schedules.kept.remove(&owner));
            let (Some(cron), Some(mut record)) = (cron, record) else {
                walk.tally.note("cron removed");
                continue;
            };
            if record.spec != cron.spec() {
                walk.tally.note("cron changed");
                record.spec = cron.spec();
                let at = record.next.map(|next| next.at.minus(Duration::from_nanos(1)));
                record.next = at.and_then(|at| next_after(&record, at));
            }
            self.schedules.kept.insert(owner, record);
        }
        for (_, cron) in wanted {
            let number = self.next_number();
            let record = ScheduleRecord {
                number,
                id: None,
                function,
                spec: cron.spec(),
                data: Bytes::from_static(b"{}"),
                is_paused: false,
                made_at: walk.turn.now,
                last_at: None,
                next: None,
            };
            self.aim(record, walk.turn.now);
        }
    }

    /// Schedules that have ticked in a turn, as it shows: each with when it was due, and its number as a timer has it.
    pub(super) fn ticked(&self, turn: &Sealed) -> Result<Vec<(Timestamp, RunId)>, String> {
        let mut ticked = Vec::new();
        for record in written(turn)?.into_values().flatten() {
            let kept = self.schedules.kept.get(&owner(&record));
            let Some(kept) = kept.filter(|kept| **kept != record) else { continue };
            let due = kept.next.map(|next| next.due);
            let due = due.ok_or_else(|| format!("{kept:?} became {record:?}"))?;
            ticked.push((due, RunId::from_bytes(u128::from(kept.number).to_be_bytes())));
        }
        Ok(ticked)
    }

    /// One schedule ticks.
    pub(super) fn tick_schedule(
        &mut self,
        walk: &mut Walk<'_>,
        timer: RunId,
    ) -> Result<(), String> {
        let now = walk.turn.now;
        let number = u128::from_be_bytes(*timer.as_bytes());
        let kept = self.schedules.kept.values().find(|record| u128::from(record.number) == number);
        let Some(mut record) = kept.cloned() else { return Ok(()) };
        let Some(served_since) = self.serves(record.function) else {
            return Err(format!("{record:?} ticks though nobody serves its function"));
        };
        let mut due = Vec::new();
        let mut next = record.next;
        while let Some(tick) = next.filter(|tick| tick.due <= now) {
            due.push(tick);
            next = next_after(&record, tick.at);
        }
        require(!due.is_empty(), || format!("at {now:?} {record:?} ticks too early"))?;
        let missed_before = served_since.max(now.minus(LATE));
        let (missed, in_time): (Vec<Tick>, Vec<Tick>) =
            due.iter().partition(|tick| tick.due < missed_before);
        let comes = match record.spec.catch_up {
            CatchUp::All => due.clone(),
            CatchUp::Last if in_time.is_empty() => missed.last().copied().into_iter().collect(),
            CatchUp::Last | CatchUp::None => in_time,
        };
        let made_up = comes.iter().filter(|tick| missed.contains(tick)).count();
        walk.tally.add("missed tick made up", u64::try_from(made_up).unwrap_or(0));
        let dropped = missed.len() - made_up;
        walk.tally.add("missed tick dropped", u64::try_from(dropped).unwrap_or(0));
        for tick in comes.iter().take(TICKS_PER_TURN) {
            walk.tally.note("tick");
            self.schedules.tick_count += 1;
            self.happen_once(walk, &record, *tick)?;
            record.last_at = Some(tick.at);
        }
        record.next = comes.get(TICKS_PER_TURN).copied().or(next);
        self.schedules.kept.insert(owner(&record), record);
        Ok(())
    }

    /// A tick's event, and the run of it, if one comes of it.
    fn happen_once(
        &mut self,
        walk: &mut Walk<'_>,
        schedule: &ScheduleRecord,
        tick: Tick,
    ) -> Result<Option<RunId>, String> {
        let (id, record) =
            walk.stored.pop_front().ok_or_else(|| format!("{tick:?} of {schedule:?} is lost"))?;
        let data = schedule.data_of(tick);
        let arrival = Arrival {
            id,
            name: TIMER_EVENT.to_owned(),
            data: data.clone(),
            size: u64::try_from(data.len()).unwrap_or(u64::MAX),
            ts: Some(tick.due),
            starts_at: Some(tick.due),
            is_known: false,
            is_tick: true,
            run: record.runs.first().map(|(_, run)| *run),
        };
        let arrived = self.arrive(walk, schedule.function, &arrival)?;
        let started = arrived.ok().flatten();
        if arrived.is_err() {
            walk.tally.note("tick skipped");
        }
        let runs: Vec<_> = started.map(|run| (schedule.function, run)).into_iter().collect();
        let skips: Vec<_> =
            arrived.err().map(|skip| (schedule.function, skip)).into_iter().collect();
        let is_right = record.name == TIMER_EVENT
            && record.data == data
            && record.ts == tick.due
            && record.user_id.as_ref().is_some_and(|at| data_says(&data, at))
            && record.runs == runs
            && record.skips == skips;
        require(is_right, || {
            format!("{tick:?} of {schedule:?} is to have {runs:?}, {skips:?}: {record:?}")
        })?;
        self.keep(None, id, record, None);
        Ok(started)
    }

    /// What is written of schedules is what is expected, and nothing else is there.
    pub(super) fn check_schedules(&mut self, turn: &Sealed) -> Result<(), String> {
        for (key, record) in written(turn)? {
            match record {
                Some(record) => self.schedules.keys.insert(key, owner(&record)),
                None => self.schedules.keys.remove(&key),
            };
        }
        let written = written(turn)?.into_values().flatten();
        for record in written {
            let kept = self.schedules.kept.get(&owner(&record));
            require(kept == Some(&record), || format!("{record:?} is written, not {kept:?}"))?;
        }
        let stored: BTreeSet<&Owner> = self.schedules.keys.values().collect();
        let kept: BTreeSet<&Owner> = self.schedules.kept.keys().collect();
        require(stored == kept, || format!("{stored:?} are stored, and not {kept:?}"))
    }

    /// I15: no schedule's tick is due that has not come, where somebody serves its function.
    pub(super) fn overdue_tick(&self, now: Timestamp) -> Result<(), String> {
        let is_lost = |record: &&ScheduleRecord| {
            let due = record.next.map(|next| next.due.as_nanos().div_ceil(1_000_000));
            due.is_some_and(|due| due <= now.as_millis()) && self.serves(record.function).is_some()
        };
        let lost = self.schedules.kept.values().find(is_lost);
        require(lost.is_none(), || format!("at {now:?} nothing is due, and yet {lost:?}"))
    }

    /// Since when a function that is registered has somebody who serves it.
    fn serves(&self, function: FunctionId) -> Option<Timestamp> {
        let is_archived = self.specs.get(function.index()).is_none_or(|(_, gone)| *gone);
        self.executors.served_since(function).filter(|_| !is_archived)
    }
}

/// Whether a tick's data names this as its moment.
fn data_says(data: &Bytes, at: &str) -> bool {
    String::from_utf8_lossy(data).contains(&format!("\"scheduledAt\":\"{at}\""))
}

/// What a turn leaves of the schedules that it changed: `None` of those that are no more.
fn written(turn: &Sealed) -> Result<BTreeMap<Bytes, Option<ScheduleRecord>>, String> {
    let mut written = BTreeMap::new();
    for change in turn.changes.iter().filter(|change| change.key.first() == Some(&SCHEDULE)) {
        let record = change.value.as_ref().map(|value| decode("a schedule", value));
        let record = record.transpose().map_err(|why| why.to_string())?;
        written.insert(change.key.clone(), record);
    }
    Ok(written)
}
