//! A cron's five fields as sets of numbers, and the first local time at or after another that is in all of them.

use jiff::civil::{Date, DateTime};

/// Where in a text something is wrong, and what.
type Wrong = ((usize, usize), String);

/// The numbers of each field, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and of the week are both given: either will do.
    is_either_day: bool,
}

/// One field: what it is called, its numbers, and names for them from the first on.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

/// Another number for Sunday, which is 0.
const SUNDAY_AGAIN: u32 = 7;

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of week",
        least: 0,
        most: SUNDAY_AGAIN,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// No two ticks are further apart: 29 February on one day of the week, over a year such as 2100.
const MOST_YEARS: i16 = 41;

impl Pattern {
    /// The fields of a text from `from` on.
    pub(super) fn parse(text: &str, from: usize) -> Result<Self, Wrong> {
        let words = words(text, from);
        let Some((first, place)) = words.first().copied() else {
            let why = "a cron has five fields, as in '0 9 * * 1-5'".to_owned();
            return Err(((from, text.len()), why));
        };
        if first.starts_with('@') {
            return read_macro((first, place), &words);
        }
        let [minute, hour, day, month, weekday] = *words else {
            return Err(wrong_count(text, &words));
        };
        let [of_minute, of_hour, of_day, of_month, of_weekday] = &FIELDS;
        let (days, is_any_day) = of_day.read(day)?;
        let (weekdays, is_any_weekday) = of_weekday.read(weekday)?;
        let pattern = Self {
            minutes: of_minute.read(minute)?.0,
            hours: of_hour.read(hour)?.0,
            days,
            months: of_month.read(month)?.0,
            weekdays: (weekdays | (weekdays >> 7)) & 0x7f,
            is_either_day: !is_any_day && !is_any_weekday,
        };
        if pattern.can_be_due() {
            Ok(pattern)
        } else {
            let ((_, (start, _)), (_, (_, end))) = (day, month);
            Err(((start, end), "never comes: no month of these has such a day".to_owned()))
        }
    }

    /// The first local time from `shown` on, which has no seconds; `None` where the calendar ends.
    pub(super) fn first_from(&self, shown: DateTime) -> Option<DateTime> {
        let last_year = shown.year().saturating_add(MOST_YEARS);
        let (mut date, mut hour, mut minute) =
            (shown.date(), number(shown.hour()), number(shown.minute()));
        while date.year() <= last_year {
            if !has(self.months, number(date.month())) {
                (date, hour, minute) = (date.last_of_month().tomorrow().ok()?, 0, 0);
                continue;
            }
            let time = self.time_from(hour, minute).filter(|_| self.has_day(date));
            if let Some((hour, minute)) = time {
                return Some(date.at(hour, minute, 0, 0));
            }
            (date, hour, minute) = (date.tomorrow().ok()?, 0, 0);
        }
        None
    }

    /// The first hour and minute of a day from these on.
    fn time_from(&self, hour: u32, minute: u32) -> Option<(i8, i8)> {
        let this_hour = first(self.minutes, minute).filter(|_| has(self.hours, hour));
        let (hour, minute) = match this_hour {
            Some(minute) => (hour, minute),
            None => (first(self.hours, hour.saturating_add(1))?, first(self.minutes, 0)?),
        };
        Some((i8::try_from(hour).ok()?, i8::try_from(minute).ok()?))
    }

    fn has_day(&self, date: Date) -> bool {
        let is_day = has(self.days, number(date.day()));
        let is_weekday = has(self.weekdays, number(date.weekday().to_sunday_zero_offset()));
        if self.is_either_day { is_day || is_weekday } else { is_day && is_weekday }
    }

    /// In the 400 years after which the calendar begins again.
    fn can_be_due(&self) -> bool {
        let start = jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0);
        let mut years = (0..10)
            .map(|part: i16| start.with().year(part.saturating_mul(40).saturating_add(2000)));
        years.any(|start| start.build().is_ok_and(|start| self.first_from(start).is_some()))
    }
}

impl Field {
    /// The numbers of a word as bits, and whether it is a bare `*`.
    fn read(&self, (word, (start, end)): (&str, (usize, usize))) -> Result<(u64, bool), Wrong> {
        let (mut bits, mut is_any) = (0, false);
        let mut at = start;
        for part in word.split(',') {
            let place = (at, at.saturating_add(part.len()).min(end));
            let (more, is_star) = self.read_part(part).map_err(|why| (place, why))?;
            bits |= more;
            is_any |= is_star;
            at = place.1.saturating_add(1);
        }
        Ok((bits, is_any))
    }

    fn read_part(&self, part: &str) -> Result<(u64, bool), String> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(self.read_step(step)?)),
        };
        let is_star = range == "*" || (range == "?" && self.name.starts_with("day"));
        let last =
            if self.most == SUNDAY_AGAIN { SUNDAY_AGAIN.saturating_sub(1) } else { self.most };
        let (least, most) = if is_star {
            (self.least, last)
        } else if let Some((least, most)) = range.split_once('-') {
            (self.number(least)?, self.number(most)?)
        } else {
            let only = self.number(range)?;
            (only, if step.is_some() { last.max(only) } else { only })
        };
        if least > most {
            return Err(format!(
                "the range goes backwards: write it as two, as in '{least}-{},{}-{most}'",
                self.most, self.least
            ));
        }
        let step_size = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        let bits = (least..=most).step_by(step_size).fold(0, |bits, number| bits | bit(number));
        Ok((bits, is_star && step.is_none_or(|step| step == 1)))
    }

    fn read_step(&self, text: &str) -> Result<u32, String> {
        let most = self.most;
        let step = text.parse().ok().filter(|step: &u32| (1..=most).contains(step));
        step.ok_or_else(|| format!("a step of the {} is a number from 1 to {most}", self.name))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|place| u32::try_from(place).ok());
        let number = match named {
            Some(place) => Some(place.saturating_add(self.least)),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(", or a name from {first} to {last}"),
                (Some(_) | None, _) => String::new(),
            };
            format!("the {} is a number from {} to {}{names}", self.name, self.least, self.most)
        })
    }
}

fn read_macro(
    (word, place): (&str, (usize, usize)),
    words: &[(&str, (usize, usize))],
) -> Result<Pattern, Wrong> {
    if let Some((_, place)) = words.get(1) {
        return Err((*place, format!("nothing stands behind '{word}'")));
    }
    let known = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let Some((_, text)) = known else {
        let names: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
        return Err((place, format!("is none of {}", names.join(", "))));
    };
    Pattern::parse(text, 0)
}

fn wrong_count(text: &str, words: &[(&str, (usize, usize))]) -> Wrong {
    let count = words.len();
    let fields = "a cron has five fields: minute, hour, day of month, month, day of week";
    match words.get(5) {
        Some((_, (start, _))) if count == 6 => {
            let why = format!("{fields}; this one has six, and there are no seconds");
            ((*start, text.trim_end().len()), why)
        }
        Some((_, (start, _))) => {
            ((*start, text.trim_end().len()), format!("{fields}; this one has {count}"))
        }
        None => ((text.len(), text.len()), format!("{fields}; this one has {count}")),
    }
}

/// The words of a text from `from` on, each with its place.
fn words(text: &str, from: usize) -> Vec<(&str, (usize, usize))> {
    let mut words = Vec::new();
    let mut start = None;
    let letters = text.char_indices().filter(|(place, _)| *place >= from);
    for (place, letter) in letters.chain([(text.len(), ' ')]) {
        if !letter.is_whitespace() {
            start.get_or_insert(place);
        } else if let Some(begin) = start.take() {
            words.extend(text.get(begin..place).map(|word| (word, (begin, place))));
        }
    }
    words
}

fn number(small: i8) -> u32 {
    u32::try_from(small).unwrap_or(0)
}

fn bit(number: u32) -> u64 {
    1_u64.checked_shl(number).unwrap_or(0)
}

fn has(bits: u64, number: u32) -> bool {
    bits & bit(number) != 0
}

/// The first number in a set from `least` on.
fn first(bits: u64, least: u32) -> Option<u32> {
    let rest = bits.checked_shr(least).unwrap_or(0);
    (rest != 0).then(|| least.saturating_add(rest.trailing_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (usize, usize, String) {
        let ((start, end), why) = Pattern::parse(text, 0).unwrap_err();
        (start, end, why)
    }

    #[test]
    fn every_form_of_a_field_is_read() {
        let same = [
            ("0 9 * * 1-5", "0 9 * * MON-fri"),
            ("0 0 * * 0", "0 0 * * 7"),
            ("0 0 * * 0,5,6", "0 0 ? * 5-7"),
            ("*/15 * * * *", "0,15,30,45 * * * *"),
            ("5/20 * * * *", "5,25,45 * * * *"),
            ("10-30/10 * * * *", "10,20,30 * * * *"),
            ("@weekly", "0 0 * * sun"),
            ("@MONTHLY", "0 0 1 * *"),
            ("@midnight", "@daily"),
            ("0 0 1 jan,dec *", "0  0 1 1,12 ?"),
            ("0 0 * * 1/2", "0 0 * * 1,3,5"),
            ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ];
        for (one, other) in same {
            let (one, other) = (Pattern::parse(one, 0), Pattern::parse(other, 0));
            let days = |p: Pattern| Pattern { is_either_day: false, ..p };
            assert_eq!(one.map(days), other.map(days));
        }
    }

    #[test]
    fn two_kinds_of_days_are_either_and_a_star_is_no_kind() {
        let on = |text: &str, date: (i16, i8, i8)| {
            Pattern::parse(text, 0).unwrap().has_day(jiff::civil::date(date.0, date.1, date.2))
        };
        assert!(on("0 0 13 * 5", (2026, 11, 13)) && on("0 0 13 * 5", (2026, 11, 6)));
        assert!(on("0 0 13 * 5", (2026, 10, 13)) && !on("0 0 13 * 5", (2026, 10, 14)));
        assert!(!on("0 0 * * 5", (2026, 10, 13)) && !on("0 0 13 * *", (2026, 11, 6)));
        assert!(!on("0 0 13 * ?", (2026, 11, 6)));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, start, end, words) in [
            ("61 * * * *", 0, 2, "the minute is a number from 0 to 59"),
            ("0 24 * * *", 2, 4, "the hour is a number from 0 to 23"),
            ("0 0 0 * *", 4, 5, "day of month is a number from 1 to 31"),
            ("0 0 * foo *", 6, 9, "or a name from jan to dec"),
            ("0 0 * * 1,8", 10, 11, "or a name from sun to sat"),
            ("0 0 * * fri-mon", 8, 15, "backwards"),
            ("*/0 * * * *", 0, 3, "step"),
            ("*/60 * * * *", 0, 4, "from 1 to 59"),
            ("1,,2 * * * *", 2, 2, "the minute"),
            ("0 9 * *", 7, 7, "this one has 4"),
            ("0 0 9 * * 1", 10, 11, "no seconds"),
            ("", 0, 0, "five fields"),
            ("@noon", 0, 5, "@daily"),
            ("@daily 3", 7, 8, "behind"),
            ("0 0 30 2 *", 4, 8, "never comes"),
            ("0 0 31 4,6,9,11 *", 4, 15, "never comes"),
            ("+1 * * * *", 0, 2, "the minute"),
        ] {
            let (found_start, found_end, why) = wrong(text);
            assert_eq!((found_start, found_end), (start, end), "{text}: {why}");
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    #[test]
    fn what_comes_only_once_in_an_age_comes() {
        for text in ["0 0 29 2 *", "0 0 30 2 1", "0 0 31 * *", "0 0 31 4-5 *"] {
            assert!(Pattern::parse(text, 0).is_ok(), "{text}");
        }
        let on_a_sunday = Pattern::parse("0 0 29 2 *", 0).unwrap();
        let on_a_sunday = Pattern { weekdays: 1, ..on_a_sunday };
        let found = on_a_sunday.first_from(jiff::civil::date(2088, 3, 1).at(0, 0, 0, 0));
        assert_eq!(found, Some(jiff::civil::date(2128, 2, 29).at(0, 0, 0, 0)));
    }
}
