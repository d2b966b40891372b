//! A moment in words, for messages.

use durable_core::Timestamp;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// As in `2026-05-09 10:52:08 UTC`.
pub(crate) fn utc(at: Timestamp) -> String {
    let seconds = at.as_millis() / 1000;
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let (minutes, second) = (seconds % SECONDS_PER_DAY / 60, seconds % 60);
    let (hour, minute) = (minutes / 60, minutes % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day, so many days after 1970-01-01: `civil_from_days` of Howard Hinnant's "chrono-Compatible
/// Low-Level Date Algorithms". Years begin in March there, so that a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    const DAYS_PER_ERA: u64 = 146_097; // of 400 years
    let (era, day) = ((days + DAYS_TO_1970) / DAYS_PER_ERA, (days + DAYS_TO_1970) % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year { month_from_march - 9 } else { month_from_march + 3 };
    (era * 400 + year + u64::from(is_next_year), month, day_of_month)
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
