//! Moments: read from texts and numbers, moved by durations, written as RFC 3339.

use jiff::civil::Date;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::number::Number;

/// Longer texts are no dates and no durations.
const MAX_TEXT_BYTES: usize = 64;
/// 2000-01-01, in seconds. A number before it is no moment but somebody's count.
const FIRST_SECOND: i64 = 946_684_800;

/// RFC 3339 (a space may stand for the `T`), `YYYY-MM-DD` as midnight UTC, or RFC 2822 (and so RFC 1123).
/// A time without its zone says no moment.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    if text.len() == "YYYY-MM-DD".len() {
        text.parse::<Date>().ok()?;
        return format!("{text}T00:00:00Z").parse().ok();
    }
    let rfc_3339 = text.parse().ok();
    rfc_3339.or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
}

/// Seconds, milliseconds, microseconds or nanoseconds since the Unix epoch, told apart by their size.
pub(super) fn of_number(number: Number) -> Option<Timestamp> {
    let number = number.truncated();
    let moment = if number < FIRST_SECOND.saturating_mul(100) {
        Timestamp::from_second(number)
    } else if number < FIRST_SECOND.saturating_mul(100_000) {
        Timestamp::from_millisecond(number)
    } else if number < FIRST_SECOND.saturating_mul(100_000_000) {
        Timestamp::from_microsecond(number)
    } else {
        Timestamp::from_nanosecond(i128::from(number))
    };
    moment.ok().filter(|moment| moment.as_second() >= FIRST_SECOND)
}

pub(super) fn of_clock(now: crate::time::Timestamp) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(now.as_nanos())).ok()
}

/// `30s`, `1h30m`, `7d`, `2w`, `PT5M`; a day has 24 hours. Not negative.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!length.is_negative()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_that_say_a_moment() {
        let rows = [
            ("2024-02-29", Some(1_709_164_800_000)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000_000)),
            ("2024-02-29 12:00:00.25+02:00", Some(1_709_200_800_250)),
            ("1965-01-01T00:00:00Z", Some(-157_766_400_000)),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000_000)),
            ("29 Feb 2024 12:00:00 +0200", Some(1_709_200_800_000)),
            ("2024-02-30", None),
            ("2024-02-29T12:00:00", None),
            ("20240229", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text).map(Timestamp::as_millisecond), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_moments_by_their_size() {
        let moment = Some(1_709_208_000_000);
        for number in
            [1_709_208_000, 1_709_208_000_000, 1_709_208_000_000_000, 1_709_208_000_000_000_000]
        {
            let read = of_number(Number::Int(number)).map(Timestamp::as_millisecond);
            assert_eq!(read, moment, "{number}");
        }
        assert_eq!(of_number(Number::Int(1_295)), None);
        assert_eq!(of_number(Number::Int(-5)), None);
    }

    #[test]
    fn durations_are_read_as_users_write_them() {
        let rows = [
            ("30s", Some(30)),
            ("1h30m", Some(5_400)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
            ("PT5M", Some(300)),
            ("1.5h", Some(5_400)),
            ("-1h", None),
            ("1mo", None),
            ("5", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(duration(text).map(|length| length.as_secs()), expected, "{text}");
        }
    }
}
