//! A moment in words, for messages.

use durable_core::Timestamp;

/// As in `2026-05-09 10:52:08 UTC`.
pub(crate) fn utc(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_calendars_have_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_778_323_928, "2026-05-09 10:52:08 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(Timestamp::from_millis(seconds * 1000 + 999)), text);
        }
    }
}
