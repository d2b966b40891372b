//! Lengths of time as SDKs write them: Go's durations, with days and weeks, or a moment.

use std::time::Duration;

use durable_core::{Timestamp, Until};

/// Milliseconds of each unit, the longer names first where one begins another.
const UNITS: [(&str, f64); 8] = [
    ("ms", 1.0),
    ("us", 0.001),
    ("µs", 0.001),
    ("ns", 0.000_001),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
];
const WEEK: (&str, f64) = ("w", 604_800_000.0);

/// `"1h30m"`, `"2d"`, `"500ms"` in whole milliseconds; `None` where it is no length.
pub(crate) fn length_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let (unit, size) = UNITS
            .iter()
            .chain(std::iter::once(&WEEK))
            .find(|(unit, _)| behind.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * size;
        rest = behind.get(unit.len()..)?;
    }
    whole(total)
}

/// When something ends that an SDK says the end of: a length, or a moment in ISO 8601. What is empty, or lies in the
/// past, is over at once.
pub(crate) fn until(text: &str) -> Option<Until> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('-') {
        return Some(Until::For(Duration::ZERO));
    }
    if let Some(ms) = length_ms(text) {
        return Some(Until::For(Duration::from_millis(ms)));
    }
    moment_ms(text).map(|ms| Until::At(Timestamp::from_millis(ms)))
}

/// A moment in ISO 8601, in milliseconds since 1970; those before are at 0.
pub(crate) fn moment_ms(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is held within what fits"
)]
fn whole(ms: f64) -> Option<u64> {
    (0.0..=9.0e15).contains(&ms).then_some(ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_go_with_days_and_weeks() {
        let cases = [
            ("2s", 2_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1w2d", 777_600_000),
            ("0s", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(length_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "1", "1x", "1h-2m", "soon"] {
            assert_eq!(length_ms(text), None, "{text}");
        }
    }

    #[test]
    fn an_end_is_a_length_or_a_moment() {
        let day = Duration::from_hours(24);
        assert_eq!(until("1d"), Some(Until::For(day)));
        let at = Until::At(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(until("2023-11-14T22:13:20.123Z"), Some(at));
        assert_eq!(until("1969-01-01T00:00:00Z"), Some(Until::At(Timestamp::from_millis(0))));
        assert_eq!(until(""), Some(Until::For(Duration::ZERO)));
        assert_eq!(until("-5s"), Some(Until::For(Duration::ZERO)));
        assert_eq!(until("some day"), None);
    }
}
