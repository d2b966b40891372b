//! Runs by the clock: schedules, each with one timer for its next tick and nothing that looks for it.
//!
//! A tick makes its runs, moves its schedule on and sets the next timer in one turn: it is neither lost nor made
//! twice, whatever becomes of the runs. It waits for somebody who serves its function: while nobody does, it counts
//! as missed, and what then becomes of it is the schedule's `catch_up`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::enqueue::TICK;
use super::{Shard, Turn, read};
use crate::command::ScheduleChange;
use crate::cron::{Cron, rfc3339};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::{NewEvent, Skip};
use crate::flow::timer_wheel::Timer;
use crate::id::{EventId, FunctionId, RunId, Ticket};
use crate::map::Map;
use crate::schedule::{
    CatchUp, CronTrigger, Rhythm, ScheduleRecord, ScheduleSpec, TIMER_EVENT, Tick, Ticks,
    refusal_of_words,
};
use crate::time::Timestamp;
use crate::write::{Unreadable, Write, decode, encode, schedule_key, trigger_key, trigger_keys};

/// A tick that comes later than this was missed, too: the machine slept, or the shard was held up.
const LATE: Duration = Duration::from_mins(1);
/// As many ticks of one schedule are made in one turn.
const TICKS_PER_TURN: u32 = 64;
/// As many crons are kept read.
const MOST_CRONS: usize = 1_024;

/// All schedules, as the bytes of their records.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    /// Their numbers by their keys.
    numbers: BTreeMap<Bytes, u64>,
    packed: Map<u64, Box<[u8]>>,
    /// Those of which a tick is due and whose function nobody serves.
    held: BTreeSet<u64>,
    /// Crons that were read before.
    crons: BTreeMap<(String, String), Cron>,
}

/// A schedule as it is asked for.
pub(super) struct Wanted {
    pub(super) id: String,
    pub(super) function: String,
    pub(super) spec: ScheduleSpec,
    pub(super) data: Bytes,
}

impl Shard {
    /// Somebody makes a schedule, or replaces it; the same one once more changes nothing.
    pub(super) fn put_schedule(&mut self, ticket: Ticket, wanted: Wanted, turn: &mut Turn) {
        let Wanted { id, function: name, spec, data } = wanted;
        let refused = refusal_of_words(&id, &data)
            .or_else(|| spec.refusal().map(|why| format!("schedule '{id}': {why}")));
        let answer = match (refused, self.registered(&name)) {
            (Some(why), _) => Answer::Refused(Refusal::Invalid(why)),
            (None, Err(why)) => Answer::Refused(why),
            (None, Ok(function)) => {
                self.replace_schedule(id, function, (spec, data), turn);
                Answer::Scheduled
            }
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    fn replace_schedule(
        &mut self,
        id: String,
        function: FunctionId,
        (spec, data): (ScheduleSpec, Bytes),
        turn: &mut Turn,
    ) {
        let now = self.now();
        let key = schedule_key(&id);
        let number = self.schedules.numbers.get(&key).copied();
        let before = number.map(|number| self.schedule(number));
        let same = before.as_ref();
        if same.is_some_and(|s| s.spec == spec && s.function == function && s.data == data) {
            return;
        }
        let mut record = ScheduleRecord {
            number: number.unwrap_or_else(|| self.next_schedule()),
            id: Some(id),
            function,
            spec,
            data,
            is_paused: same.is_some_and(|before| before.is_paused),
            made_at: now,
            last_at: same.and_then(|before| before.last_at),
            next: before.and_then(|before| before.next),
        };
        self.aim(&mut record, turn);
        self.keep_schedule(key, &record, turn);
    }

    /// Somebody does something with a schedule.
    pub(super) fn change_schedule(
        &mut self,
        ticket: Ticket,
        id: &str,
        change: ScheduleChange,
        turn: &mut Turn,
    ) {
        let key = schedule_key(id);
        let answer = match self.schedules.numbers.get(&key).copied() {
            Some(number) => {
                let record = self.schedule(number);
                self.change(key, record, change, turn)
            }
            None => Answer::Refused(Refusal::NotFound(format!(
                "there is no schedule '{id}' in this store: schedules.list() shows those there are, \
                 schedules.create() makes one"
            ))),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    fn change(
        &mut self,
        key: Bytes,
        mut record: ScheduleRecord,
        change: ScheduleChange,
        turn: &mut Turn,
    ) -> Answer {
        match change {
            ScheduleChange::Pause | ScheduleChange::Resume => {
                let is_paused = change == ScheduleChange::Pause;
                if record.is_paused != is_paused {
                    record.is_paused = is_paused;
                    self.aim(&mut record, turn);
                    self.keep_schedule(key, &record, turn);
                }
                Answer::Scheduled
            }
            ScheduleChange::Delete => {
                self.drop_schedule(key, record, turn);
                Answer::Scheduled
            }
            ScheduleChange::Trigger => {
                let now = self.now();
                match self.make_tick(&record, Tick { at: now, due: now }, turn) {
                    (event, Ok(run)) => Answer::Started(run, event),
                    (_, Err(skip)) => {
                        let name = &self.function(record.function).record.spec.name;
                        Answer::Refused(Refusal::skipped(name, skip))
                    }
                }
            }
        }
    }

    /// A function was registered, or is no more: its schedules are those that its crons say.
    pub(super) fn sync_crons(&mut self, id: FunctionId, turn: &mut Turn) {
        let record = &self.function(id).record;
        let crons = if record.is_archived { Vec::new() } else { record.spec.crons.clone() };
        let mut wanted: BTreeMap<Bytes, CronTrigger> =
            crons.into_iter().map(|cron| (trigger_key(id, &cron.text, &cron.tz), cron)).collect();
        let prefix = trigger_keys(id);
        let known = self.schedules.numbers.range(prefix.clone()..);
        let known = known.take_while(|(key, _)| key.starts_with(&prefix));
        let known: Vec<_> = known.map(|(key, number)| (key.clone(), *number)).collect();
        for (key, number) in known {
            let mut record = self.schedule(number);
            match wanted.remove(&key) {
                None => self.drop_schedule(key, record, turn),
                Some(cron) if record.spec != cron.spec() => {
                    record.spec = cron.spec();
                    self.aim_again(&mut record, turn);
                    self.keep_schedule(key, &record, turn);
                }
                Some(_) => {}
            }
        }
        for (key, cron) in wanted {
            let mut record = ScheduleRecord {
                number: self.next_schedule(),
                id: None,
                function: id,
                spec: cron.spec(),
                data: Bytes::from_static(b"{}"),
                is_paused: false,
                made_at: self.now(),
                last_at: None,
                next: None,
            };
            self.aim(&mut record, turn);
            self.keep_schedule(key, &record, turn);
        }
    }

    /// The moment of a schedule's next tick, by its timer.
    pub(super) fn fire_tick(&mut self, timer: Timer, turn: &mut Turn) {
        let number = number_of(timer);
        if self.schedules.packed.get(number).is_none() {
            return;
        }
        let record = self.schedule(number);
        if record.next.map(|next| next.due) != Some(timer.due) {
            return;
        }
        let function = self.function(record.function);
        if function.is_served && !function.record.is_archived {
            self.make_ticks(record, turn);
        } else {
            self.schedules.held.insert(number);
        }
    }

    /// Somebody serves a function, or it is there again: what waited for that fires with this turn.
    pub(super) fn wake_held(&mut self) {
        for number in std::mem::take(&mut self.schedules.held) {
            if let Some(next) = self.schedule(number).next {
                self.wheel.insert(timer_of(number, next));
            }
        }
    }

    /// What is due of a schedule comes, less what it does not make up.
    fn make_ticks(&mut self, mut record: ScheduleRecord, turn: &mut Turn) {
        let now = self.now();
        let ticks = self.ticks_of(&record);
        let missed_before = self.function(record.function).served_since.max(now.minus(LATE));
        let mut next = record.next.and_then(|first| {
            let is_missed = first.due < missed_before;
            if is_missed {
                pass_by(&record, &ticks, (first, missed_before, now))
            } else {
                Some(first)
            }
        });
        for _ in 0..TICKS_PER_TURN {
            let Some(tick) = next.filter(|tick| tick.due <= now) else { break };
            let _skipped_or_not = self.make_tick(&record, tick, turn);
            record.last_at = Some(tick.at);
            next = ticks.after(tick.at);
        }
        self.set_next(&mut record, next, turn);
        let key = key_of(&record);
        self.keep_schedule(key, &record, turn);
    }

    /// One tick: its event, and the run that comes of it where flow control lets it.
    fn make_tick(
        &mut self,
        record: &ScheduleRecord,
        tick: Tick,
        turn: &mut Turn,
    ) -> (EventId, Result<RunId, Skip>) {
        let event = NewEvent {
            name: TIMER_EVENT.to_owned(),
            data: record.data_of(tick),
            user_id: Some(rfc3339(tick.at)),
            ts: Some(tick.due),
            ..NewEvent::default()
        };
        self.start_alone(record.function, (event, None), turn)
    }

    /// The next tick is the first from now.
    fn aim(&mut self, record: &mut ScheduleRecord, turn: &mut Turn) {
        let now = self.now();
        let next = if record.is_paused { None } else { self.ticks_of(record).after(now) };
        self.set_next(record, next, turn);
    }

    /// The next tick stays, and is put off as its jitter now says.
    fn aim_again(&mut self, record: &mut ScheduleRecord, turn: &mut Turn) {
        let Some(next) = record.next else { return };
        let before = next.at.minus(Duration::from_nanos(1));
        let next = self.ticks_of(record).after(before);
        self.set_next(record, next, turn);
    }

    fn set_next(&mut self, record: &mut ScheduleRecord, next: Option<Tick>, turn: &mut Turn) {
        self.schedules.held.remove(&record.number);
        if let Some(before) = record.next {
            Self::stop_timer(timer_of(record.number, before), turn);
        }
        if let Some(next) = next {
            self.start_timer(timer_of(record.number, next), turn);
        }
        record.next = next;
    }

    fn keep_schedule(&mut self, key: Bytes, record: &ScheduleRecord, turn: &mut Turn) {
        let value = encode(record);
        self.schedules.packed.insert(record.number, value.as_ref().into());
        self.schedules.numbers.insert(key.clone(), record.number);
        turn.writes.push(Write::Put { key, value });
    }

    fn drop_schedule(&mut self, key: Bytes, mut record: ScheduleRecord, turn: &mut Turn) {
        self.set_next(&mut record, None, turn);
        self.schedules.numbers.remove(&key);
        self.schedules.packed.remove(record.number);
        turn.writes.push(Write::Delete { key });
    }

    /// A schedule as the store has it.
    pub(super) fn take_in_schedule(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        const WHAT: &str = "a schedule";
        let record: ScheduleRecord = decode(WHAT, value)?;
        let unreadable = |why: &str| Unreadable { what: WHAT, why: why.to_owned() };
        if self.functions.get(record.function.index()).is_none() {
            return Err(unreadable("its function is missing"));
        }
        Ticks::of(&record).map_err(|why| unreadable(&why))?;
        self.schedules.packed.insert(record.number, value.into());
        self.schedules.numbers.insert(Bytes::copy_from_slice(key), record.number);
        Ok(())
    }

    /// All schedules by their keys: for audits.
    pub(super) fn schedule_records(&self) -> Vec<(Bytes, ScheduleRecord)> {
        let numbers = self.schedules.numbers.iter();
        numbers.map(|(key, number)| (key.clone(), self.schedule(*number))).collect()
    }

    /// Whether schedules are kept as they should be, and functions' crons are those of the functions.
    pub(super) fn audit_schedules(&self) -> Result<(), String> {
        let records = self.schedule_records();
        if records.len() != self.schedules.packed.len() {
            return Err("a schedule is kept under no name".to_owned());
        }
        for (key, record) in &records {
            if *key != key_of(record) || record.number > self.meta.last_schedule {
                return Err(format!("{record:?} is kept under {key:?}"));
            }
            if record.is_paused && record.next.is_some() {
                return Err(format!("{record:?} is paused and ticks"));
            }
        }
        for (function, id) in self.functions.iter().zip((0..).map(FunctionId)) {
            let record = &function.record;
            let wanted = if record.is_archived { 0 } else { record.spec.crons.len() };
            let prefix = trigger_keys(id);
            let found = records.iter().filter(|(key, _)| key.starts_with(&prefix)).count();
            if wanted != found {
                return Err(format!("function {id:?} has {wanted} crons and {found} schedules"));
            }
        }
        Ok(())
    }

    /// The timers of all schedules, and those of them that have fired and wait for somebody who serves.
    pub(super) fn schedule_timers(&self) -> (Vec<Timer>, Vec<Timer>) {
        let records = self.schedule_records();
        let timers = records
            .iter()
            .filter_map(|(_, record)| Some((record.number, timer_of(record.number, record.next?))));
        let timers: Vec<_> = timers.collect();
        let held = timers.iter().filter(|(number, _)| self.schedules.held.contains(number));
        let held = held.map(|(_, timer)| *timer).collect();
        (timers.into_iter().map(|(_, timer)| timer).collect(), held)
    }

    fn schedule(&self, number: u64) -> ScheduleRecord {
        let bytes = self.schedules.packed.get(number);
        let bytes =
            bytes.unwrap_or_else(|| super::broken(&format!("there is no schedule {number}")));
        read("a schedule", bytes)
    }

    fn next_schedule(&mut self) -> u64 {
        self.meta.last_schedule = self.meta.last_schedule.saturating_add(1);
        self.meta.last_schedule
    }

    fn ticks_of(&mut self, record: &ScheduleRecord) -> Ticks {
        let known = &mut self.schedules.crons;
        let cron = match &record.spec.rhythm {
            Rhythm::Every { .. } => None,
            Rhythm::Cron { text, tz } => {
                let name = (text.clone(), tz.clone());
                if known.len() >= MOST_CRONS && !known.contains_key(&name) {
                    known.clear();
                }
                let read = || {
                    let cron = Cron::parse(text, tz);
                    cron.unwrap_or_else(|wrong| super::broken(&wrong.to_string()))
                };
                Some(known.entry(name).or_insert_with(read).clone())
            }
        };
        Ticks::with(record, cron)
    }
}

/// The tick with which a schedule goes on that has missed some: those before `missed_before` are.
fn pass_by(
    record: &ScheduleRecord,
    ticks: &Ticks,
    (first, missed_before, now): (Tick, Timestamp, Timestamp),
) -> Option<Tick> {
    let in_time = || ticks.due_from(first.at, missed_before);
    match record.spec.catch_up {
        CatchUp::All => Some(first),
        CatchUp::None => in_time(),
        CatchUp::Last => {
            let in_time = in_time();
            if in_time.is_some_and(|tick| tick.due <= now) {
                return in_time;
            }
            ticks.last_between(first.at, in_time.map_or(Timestamp::MAX, |tick| tick.at))
        }
    }
}

fn key_of(record: &ScheduleRecord) -> Bytes {
    match (&record.id, &record.spec.rhythm) {
        (Some(id), _) => schedule_key(id),
        (None, Rhythm::Cron { text, tz }) => trigger_key(record.function, text, tz),
        (None, Rhythm::Every { .. }) => super::broken("a trigger that is no cron"),
    }
}

fn timer_of(number: u64, tick: Tick) -> Timer {
    Timer { due: tick.due, id: u128::from(number).to_be_bytes(), number: TICK }
}

fn number_of(timer: Timer) -> u64 {
    u64::try_from(u128::from_be_bytes(timer.id)).unwrap_or(u64::MAX)
}
