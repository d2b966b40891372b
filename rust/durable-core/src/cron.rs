//! Cron expressions: when a text such as `0 9 * * 1-5` is due, by the clocks of a time zone.
//!
//! What daylight saving does: a local time that a clock skips is due once, at the first moment behind the gap; one
//! that it shows twice is due once, at the first. Both hold for every pattern, so that one sentence says it all:
//! going through time, a tick is where the clock shows a matching minute that it has not shown before, or passes
//! one by. Time zones are data inside the program: no file and no variable of the machine is read.
//!
//! Fields and macros are those of the reference server (`robfig/cron`): minute, hour, day of month, month, day of
//! week. The crates `croner` (4.0), `cron` (0.17), `jiff-cron` (0.3) and `cronexpr` (1.7) were looked at: each has
//! rules of its own for skipped and repeated times, and none says where in a text a mistake is.

mod pattern;
mod zone;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::expr::Mistake;
use crate::time::Timestamp;
use pattern::Pattern;

pub use zone::{names as zone_names, wrong as wrong_zone};

/// The most bytes a cron's text may have.
const MAX_TEXT_BYTES: usize = 255;
/// The zone where none is named.
pub const UTC: &str = "UTC";

/// No clock is further from UTC.
const MOST_OFFSET: SignedDuration = SignedDuration::from_hours(26);

/// A cron in its time zone.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: Pattern,
    zone: TimeZone,
}

/// What is wrong with a cron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongCron {
    /// Its text, at a place of it.
    Text(Mistake),
    /// The name of its time zone.
    Zone(String),
}

impl std::fmt::Display for WrongCron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(mistake) => mistake.fmt(f),
            Self::Zone(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for WrongCron {}

impl Cron {
    /// Reads a text of five fields, or a macro such as `@daily`. `TZ=Zone` or `CRON_TZ=Zone` may stand before it,
    /// where `zone` is UTC.
    pub fn parse(text: &str, zone: &str) -> Result<Self, WrongCron> {
        let mistake = |at, why: String| WrongCron::Text(Mistake::new(text, at, why));
        if text.len() > MAX_TEXT_BYTES {
            let why = format!("a cron has at most {MAX_TEXT_BYTES} bytes");
            return Err(mistake((0, text.len()), why));
        }
        let (named, from) = prefix(text);
        let own = named.and_then(|(start, end)| Some(((start, end), text.get(start..end)?)));
        let zone = match own {
            None => zone::find(zone).map_err(WrongCron::Zone)?,
            Some((place, own)) if zone != UTC && own != zone => {
                let why = format!("the time zone is said twice: here, and as '{zone}'");
                return Err(mistake(place, why));
            }
            Some((place, own)) => zone::find(own).map_err(|why| mistake(place, why))?,
        };
        Pattern::parse(text, from)
            .map(|pattern| Self { pattern, zone })
            .map_err(|(place, why)| mistake(place, why))
    }

    /// The first tick after a moment; `None` where there is none before the end of time.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let shown = self.zone.to_datetime(from_ours(moment)?);
        let mut wanted = shown.with().second(0).subsec_nanosecond(0).build().ok()?;
        loop {
            wanted = self.pattern.first_from(wanted)?;
            let tick = to_ours(self.moment_of(wanted)?)?;
            if tick > moment {
                return Some(tick);
            }
            wanted = wanted.checked_add(SignedDuration::from_mins(1)).ok()?;
        }
    }

    /// When a local time is due: the first moment at which the clock shows it, or a later one. (Of jiff only what a
    /// clock shows at a moment is asked: its 0.2.43 finds a repeated hour in America/Nuuk on 2023-10-29, where there
    /// was none.)
    fn moment_of(&self, wanted: DateTime) -> Option<jiff::Timestamp> {
        let mut begin = Offset::UTC.to_timestamp(wanted).ok()?.checked_sub(MOST_OFFSET).ok()?;
        let mut offset = self.zone.to_offset(begin);
        let mut changes = self.zone.following(begin);
        loop {
            let shown = offset.to_timestamp(wanted).ok()?.max(begin);
            match changes.next().filter(|change| change.timestamp() <= shown) {
                None => return Some(shown),
                Some(change) => (begin, offset) = (change.timestamp(), change.offset()),
            }
        }
    }
}

/// Where the zone's name stands that a text begins with, and where the rest begins.
fn prefix(text: &str) -> (Option<(usize, usize)>, usize) {
    let lead = text.len().saturating_sub(text.trim_start().len());
    let rest = text.get(lead..).unwrap_or_default();
    let word = ["TZ=", "CRON_TZ="].into_iter().find(|word| rest.starts_with(word));
    let Some(word) = word else { return (None, 0) };
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let end = lead.saturating_add(length);
    (Some((lead.saturating_add(word.len()), end)), end)
}

fn from_ours(moment: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(moment.as_nanos())).ok()
}

fn to_ours(moment: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

/// A moment as RFC 3339 has it, in UTC, as in `2026-03-29T07:00:00Z`.
pub(crate) fn rfc3339(moment: Timestamp) -> String {
    from_ours(moment).map(|moment| moment.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        to_ours(text.parse().unwrap()).unwrap()
    }

    fn ticks(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(text, zone).unwrap();
        let mut now = moment(from);
        let mut next = || {
            now = cron.after(now)?;
            Some(rfc3339(now))
        };
        (0..count).map_while(|_| next()).collect()
    }

    #[test]
    fn a_skipped_local_time_is_due_once_behind_the_gap() {
        let found = ticks("30 2 * * *", "Europe/Paris", "2026-03-27T12:00:00Z", 3);
        let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(found, expected);
        let found = ticks("*/30 * * * *", "Europe/Paris", "2026-03-29T00:15:00Z", 3);
        let expected = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_repeated_local_time_is_due_once_at_the_first() {
        let found = ticks("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let found = ticks("30 * * * *", "Europe/Paris", "2026-10-24T23:00:00Z", 3);
        let expected = ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_skipped_day_is_due_once_behind_it() {
        let found = ticks("0 9,17 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 3);
        let expected = ["2011-12-30T03:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"];
        assert_eq!(found, expected);
    }

    #[test]
    fn rare_days_are_found_and_the_end_of_time_is_none() {
        let found = ticks("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 2);
        assert_eq!(found, ["2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"]);
        assert_eq!(Cron::parse("* * * * *", "UTC").unwrap().after(Timestamp::MAX), None);
    }

    #[test]
    fn a_zone_may_stand_in_the_text() {
        let found = ticks("TZ=Asia/Tokyo 0 9 * * *", "UTC", "2026-01-01T00:00:00Z", 1);
        assert_eq!(found, ["2026-01-02T00:00:00Z"]);
        let found = ticks("CRON_TZ=Asia/Tokyo @daily", "UTC", "2026-01-01T00:00:00Z", 1);
        assert_eq!(found, ["2026-01-01T15:00:00Z"]);
        let twice = Cron::parse("TZ=Asia/Tokyo @daily", "Europe/Paris").unwrap_err();
        assert!(twice.to_string().contains("said twice"), "{twice}");
        let wrong = Cron::parse("TZ=Asia/Tokio @daily", "UTC").unwrap_err().to_string();
        assert!(wrong.contains("Asia/Tokyo") && wrong.contains("\n     ^^^^^^^^^^"), "{wrong}");
    }
}
