//! Schedules: what starts a function by the clock, when its ticks are, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use siphasher::sip::SipHasher24;

use crate::cron::{Cron, rfc3339};
use crate::event::MAX_NAME_BYTES;
use crate::id::FunctionId;
use crate::run::json_text;
use crate::time::Timestamp;

/// The name of the event that a tick makes.
pub const TIMER_EVENT: &str = "durable/scheduled.timer";
/// The most bytes of data a schedule may have: each is held in memory.
pub const MAX_SCHEDULE_BYTES: usize = 64 * 1024;
/// The shortest and the longest jitter, and with which every delay of one begins.
const JITTER_MS: (u64, u64) = (1_000, 5 * 60 * 1_000);
/// The shortest and the longest time between two ticks that are the same time apart.
const EVERY_MS: (u64, u64) = (1_000, 366 * 24 * 3_600 * 1_000);
/// Fields of a tick's data that are the engine's.
const RESERVED: [&str; 5] = ["cron", "everyMs", "scheduledAt", "fireAt", "schedule"];

/// When a schedule's ticks are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rhythm {
    /// When the clocks of a time zone say so: see [`Cron::parse`].
    Cron {
        /// The expression.
        text: String,
        /// The zone's IANA name.
        tz: String,
    },
    /// So many milliseconds apart, from when the schedule was made.
    Every {
        /// 1,000 at least.
        ms: u64,
    },
}

/// What becomes of ticks that were missed, since nobody served the function when they were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The latest is made up.
    #[default]
    Last,
    /// Each is made up, in order.
    All,
    /// None is.
    None,
}

impl CatchUp {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// When a schedule's ticks are, and how exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// When.
    pub rhythm: Rhythm,
    /// Each tick comes up to so many milliseconds late, the same one always as late; 0: at its moment.
    pub jitter_ms: u64,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
}

/// A cron among a function's triggers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CronTrigger {
    /// The expression.
    pub text: String,
    /// The time zone's IANA name.
    pub tz: String,
    /// See [`ScheduleSpec::jitter_ms`].
    pub jitter_ms: u64,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
}

/// One moment of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tick {
    /// When it is by the schedule.
    pub at: Timestamp,
    /// When its run is made: jitter puts it off.
    pub due: Timestamp,
}

/// A schedule on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// Its number, by which its timer knows it: given once and never again.
    pub number: u64,
    /// The id that a caller gave it; `None`: it is a trigger of its function.
    pub id: Option<String>,
    /// The function it starts.
    pub function: FunctionId,
    /// When.
    pub spec: ScheduleSpec,
    /// What its events' data holds beside the engine's own fields: a JSON object.
    pub data: Bytes,
    /// Its ticks pass by.
    pub is_paused: bool,
    /// When it was made, or replaced by another: from here on times are counted.
    pub made_at: Timestamp,
    /// Its last tick, whether a run came of it or not.
    pub last_at: Option<Timestamp>,
    /// The next tick; `None` where it is paused, or none is left.
    pub next: Option<Tick>,
}

impl ScheduleSpec {
    /// Why it cannot be kept, in words for its author.
    pub fn refusal(&self) -> Option<String> {
        let (least, most) = JITTER_MS;
        if self.jitter_ms != 0 && !(least..=most).contains(&self.jitter_ms) {
            let ms = self.jitter_ms;
            return Some(format!("its jitter is {ms} ms; from {least} to {most} will do, or none"));
        }
        match &self.rhythm {
            Rhythm::Cron { text, tz } => {
                let wrong = Cron::parse(text, tz).err()?;
                Some(format!("its cron '{text}' in '{tz}' {wrong}"))
            }
            Rhythm::Every { ms } => {
                let (least, most) = EVERY_MS;
                let is_fine = (least..=most).contains(ms);
                (!is_fine)
                    .then(|| format!("it ticks every {ms} ms; from {least} to {most} will do"))
            }
        }
    }
}

impl CronTrigger {
    /// The same as a schedule.
    pub fn spec(&self) -> ScheduleSpec {
        let Self { text, tz, jitter_ms, catch_up } = self.clone();
        ScheduleSpec { rhythm: Rhythm::Cron { text, tz }, jitter_ms, catch_up }
    }

    /// Why a function's crons cannot be kept together.
    pub(crate) fn refusal_of_all(crons: &[Self]) -> Option<String> {
        let mut seen = BTreeSet::new();
        crons.iter().find_map(|cron| {
            if !seen.insert((&cron.text, &cron.tz)) {
                return Some(format!("the cron '{}' stands there twice", cron.text));
            }
            cron.spec().refusal()
        })
    }
}

/// When a schedule's ticks are, ready to be asked.
#[derive(Clone, Debug)]
pub struct Ticks {
    beat: Beat,
    jitter: Duration,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Beat {
    Cron(Box<Cron>),
    Every { from: Timestamp, length: Duration },
}

impl Ticks {
    /// `Err`: the schedule could not be kept, see [`ScheduleSpec::refusal`].
    pub fn of(record: &ScheduleRecord) -> Result<Self, String> {
        let cron = match &record.spec.rhythm {
            Rhythm::Cron { text, tz } => Some(Cron::parse(text, tz)),
            Rhythm::Every { .. } => None,
        };
        let cron = cron.transpose().map_err(|wrong| wrong.to_string())?;
        Ok(Self::with(record, cron))
    }

    /// The same with the schedule's cron, which was read before; `None` where it has none.
    pub(crate) fn with(record: &ScheduleRecord, cron: Option<Cron>) -> Self {
        let (text, length) = match &record.spec.rhythm {
            Rhythm::Cron { text, .. } => (text.as_str(), Duration::ZERO),
            Rhythm::Every { ms } => ("", Duration::from_millis(*ms)),
        };
        let every = Beat::Every { from: record.made_at, length };
        let beat = cron.map_or(every, |cron| Beat::Cron(Box::new(cron)));
        let mut hasher = SipHasher24::new();
        for part in [record.id.as_deref().unwrap_or_default(), "\0", text] {
            hasher.write(part.as_bytes());
        }
        hasher.write_u32(record.function.0);
        let jitter = Duration::from_millis(record.spec.jitter_ms);
        Self { beat, jitter, seed: hasher.finish() }
    }

    /// The first tick whose moment lies behind this one.
    pub fn after(&self, moment: Timestamp) -> Option<Tick> {
        let at = self.moment_after(moment)?;
        Some(Tick { at, due: at.plus(self.delay(at)) })
    }

    /// The first tick behind `last` that is due at this moment or later.
    pub fn due_from(&self, last: Timestamp, moment: Timestamp) -> Option<Tick> {
        let start = moment.minus(self.jitter).minus(Duration::from_nanos(1));
        let mut tick = self.after(start.max(last))?;
        while tick.due < moment {
            tick = self.after(tick.at)?;
        }
        Some(tick)
    }

    /// The last tick whose moment lies between these two, the first of them in, the last of them out.
    pub fn last_between(&self, from: Timestamp, before: Timestamp) -> Option<Tick> {
        let mut reach = Duration::from_mins(2);
        loop {
            let start = before.minus(reach).max(from);
            let mut found = None;
            let mut next = self.after(start.minus(Duration::from_nanos(1)));
            while let Some(tick) = next.filter(|tick| tick.at < before) {
                found = Some(tick);
                next = self.after(tick.at);
            }
            if found.is_some() || start <= from {
                return found;
            }
            reach = reach.saturating_mul(8);
        }
    }

    fn moment_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.beat {
            Beat::Cron(cron) => cron.after(moment),
            Beat::Every { from, length } => {
                let length = u64::try_from(length.as_nanos()).ok()?;
                let passed = moment.as_nanos().saturating_sub(from.as_nanos());
                let count = passed.checked_div(length)?.checked_add(1)?;
                let nanos = from.as_nanos().checked_add(count.checked_mul(length)?)?;
                Some(Timestamp::from_nanos(nanos))
            }
        }
    }

    /// How late a tick comes: from a second to the jitter, and always before the one behind it.
    fn delay(&self, at: Timestamp) -> Duration {
        if self.jitter.is_zero() {
            return Duration::ZERO;
        }
        let gap = self.moment_after(at).map_or(self.jitter, |next| next.since(at));
        let most = self.jitter.min(gap);
        let least = Duration::from_millis(JITTER_MS.0);
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(0);
        let mut hasher = SipHasher24::new_with_keys(self.seed, 0);
        hasher.write_u64(at.as_nanos());
        match hasher.finish().checked_rem(span) {
            Some(more) => least.saturating_add(Duration::from_millis(more)),
            None => Duration::ZERO, // a second or less to the next one
        }
    }
}

impl ScheduleRecord {
    /// The data of a tick's event: the engine's fields, then the schedule's own.
    pub fn data_of(&self, tick: Tick) -> Bytes {
        let rhythm = match &self.spec.rhythm {
            Rhythm::Cron { text, .. } => format!("\"cron\":{}", json_text(text)),
            Rhythm::Every { ms } => format!("\"everyMs\":{ms}"),
        };
        let (at, due) = (rfc3339(tick.at), rfc3339(tick.due));
        let mut json = format!("{{{rhythm},\"scheduledAt\":\"{at}\",\"fireAt\":\"{due}\"");
        if let Some(id) = &self.id {
            json.push_str(",\"schedule\":");
            json.push_str(&json_text(id));
        }
        let own = std::str::from_utf8(&self.data).unwrap_or_default().trim();
        let own = own.strip_prefix('{').and_then(|own| own.strip_suffix('}')).unwrap_or_default();
        if !own.trim().is_empty() {
            json.push(',');
            json.push_str(own);
        }
        json.push('}');
        Bytes::from(json)
    }
}

/// Why a schedule cannot have this id, or this data.
pub(crate) fn refusal_of_words(id: &str, data: &[u8]) -> Option<String> {
    if id.is_empty() || id.len() > MAX_NAME_BYTES {
        return Some(format!("schedule '{id}': an id has 1 to {MAX_NAME_BYTES} bytes"));
    }
    if data.len() > MAX_SCHEDULE_BYTES {
        return Some(format!(
            "schedule '{id}': its data has {} bytes of JSON; the limit is {MAX_SCHEDULE_BYTES}: store large \
             things elsewhere and name them",
            data.len()
        ));
    }
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(data) else {
        return Some(format!("schedule '{id}': its data is no JSON object"));
    };
    let taken = RESERVED.iter().find(|name| fields.contains_key(**name))?;
    Some(format!(
        "schedule '{id}': its data has a field '{taken}', which the engine sets: choose another name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAWN: Timestamp = Timestamp::from_millis(1_772_323_200_000); // 2026-03-01T00:00:00Z
    const MINUTE: Duration = Duration::from_mins(1);

    fn record(rhythm: Rhythm, jitter_ms: u64) -> ScheduleRecord {
        ScheduleRecord {
            number: 1,
            id: Some("s".to_owned()),
            function: FunctionId(0),
            spec: ScheduleSpec { rhythm, jitter_ms, catch_up: CatchUp::Last },
            data: Bytes::from_static(b"{\"k\": 1}"),
            is_paused: false,
            made_at: DAWN,
            last_at: None,
            next: None,
        }
    }

    fn cron(text: &str) -> Rhythm {
        Rhythm::Cron { text: text.to_owned(), tz: "UTC".to_owned() }
    }

    #[test]
    fn jitter_is_within_its_bounds_and_each_tick_has_one() {
        let record = record(cron("* * * * *"), 30_000);
        let (ticks, again) = (Ticks::of(&record).unwrap(), Ticks::of(&record).unwrap());
        let (mut last, mut delays) = (DAWN, BTreeSet::new());
        for _ in 0..1_000 {
            let tick = ticks.after(last).unwrap();
            let delay = tick.due.since(tick.at);
            assert!(delay >= Duration::from_secs(1) && delay < Duration::from_secs(30), "{tick:?}");
            assert_eq!(again.after(last), Some(tick));
            delays.insert(delay);
            last = tick.at;
        }
        assert!(delays.len() > 900, "{}", delays.len());
    }

    #[test]
    fn jitter_never_reaches_the_next_tick() {
        let minutely = Ticks::of(&record(cron("* * * * *"), 300_000)).unwrap();
        let secondly = Ticks::of(&record(Rhythm::Every { ms: 1_000 }, 300_000)).unwrap();
        for ticks in [minutely, secondly] {
            let mut tick = ticks.after(DAWN).unwrap();
            for _ in 0..1_000 {
                let next = ticks.after(tick.at).unwrap();
                assert!(tick.due < next.at, "{tick:?} {next:?}");
                tick = next;
            }
        }
    }

    #[test]
    fn looking_back_finds_the_last_tick_however_far_it_lies() {
        for (rhythm, jitter) in [
            (cron("* * * * *"), 0),
            (cron("0 0 1 1 *"), 300_000),
            (cron("0 0 29 2 *"), 0),
            (Rhythm::Every { ms: 1_500 }, 0),
        ] {
            let ticks = Ticks::of(&record(rhythm, jitter)).unwrap();
            let before = DAWN.plus(Duration::from_hours(24 * 366 * 3));
            let found = ticks.last_between(DAWN, before);
            if let Some(tick) = found {
                assert!(tick.at < before && ticks.after(tick.at).unwrap().at >= before);
            } else {
                assert!(ticks.after(DAWN).unwrap().at >= before);
            }
        }
    }

    #[test]
    fn the_first_tick_that_is_due_from_a_moment_on_is_found() {
        for jitter_ms in [0, 300_000] {
            let ticks = Ticks::of(&record(cron("*/2 * * * *"), jitter_ms)).unwrap();
            for minute in 0..60 {
                let moment = DAWN.plus(MINUTE * minute);
                let tick = ticks.due_from(DAWN.minus(MINUTE * 60), moment).unwrap();
                let before = ticks.last_between(Timestamp::default(), tick.at).unwrap();
                assert!(tick.due >= moment && before.due < moment, "{minute}: {tick:?} {before:?}");
            }
        }
    }

    #[test]
    fn data_holds_what_the_reference_says_and_what_is_the_schedules_own() {
        let tick = Tick { at: DAWN, due: DAWN.plus(Duration::from_millis(1_500)) };
        let json = record(cron("0 0 * * *"), 0).data_of(tick);
        let expected = "{\"cron\":\"0 0 * * *\",\"scheduledAt\":\"2026-03-01T00:00:00Z\",\
                        \"fireAt\":\"2026-03-01T00:00:01.5Z\",\"schedule\":\"s\",\"k\": 1}";
        assert_eq!(json, expected);
        let plain = ScheduleRecord {
            data: Bytes::from_static(b" { } "),
            id: None,
            ..record(Rhythm::Every { ms: 60_000 }, 0)
        };
        assert!(plain.data_of(tick).ends_with(b"\"fireAt\":\"2026-03-01T00:00:01.5Z\"}"));
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        assert!(refusal_of_words("", b"{}").is_some());
        assert!(refusal_of_words("a", b"[]").is_some());
        assert!(
            refusal_of_words("a", b"{\"fireAt\": 1}").is_some_and(|why| why.contains("fireAt"))
        );
        assert!(refusal_of_words("a", b"{\"at\": 1}").is_none());
        let refused = |rhythm, jitter_ms| record(rhythm, jitter_ms).spec.refusal().is_some();
        assert!(refused(Rhythm::Every { ms: 999 }, 0) && refused(cron("* * * * *"), 300_001));
        assert!(refused(cron("0 0 31 6 *"), 0) && refused(cron("* * * * *"), 999));
        assert!(!refused(Rhythm::Every { ms: 1_000 }, 1_000));
    }
}
