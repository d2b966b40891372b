//! The cron calculator against the slow way, in short: zones whose clocks do odd things, and some years of them. The
//! long form, all zones from 2000 to 2040, is `cargo run --profile ci -p durable-core --example cron_oracle`.

#[cfg(test)]
#[path = "cron/oracle.rs"]
mod oracle;

#[test]
fn the_calculator_agrees_with_a_clock_on_the_wall() {
    for (zone, years) in [
        ("Europe/Paris", (2025, 2028)),
        ("America/New_York", (2006, 2008)),
        ("Australia/Lord_Howe", (2026, 2028)), // half an hour
        ("Pacific/Apia", (2010, 2013)),        // a whole day is passed by
        ("America/Sao_Paulo", (2017, 2019)),   // at midnight
        ("Africa/Casablanca", (2026, 2028)),   // around Ramadan
        ("Antarctica/Troll", (2026, 2027)),    // two hours
        ("Asia/Pyongyang", (2015, 2019)),
        ("America/Nuuk", (2023, 2026)),
        ("UTC", (2026, 2027)),
    ] {
        let oracle::Compared { zones, changes, ticks } = oracle::compare(zone, years).unwrap();
        let has_changes = changes > 0 || zone == "UTC";
        assert!(zones == 1 && has_changes && ticks > 8_000, "{zone}: {changes} {ticks}");
    }
}

#[test]
fn each_zone_is_looked_at_once() {
    let zones = oracle::zones(|_| true);
    assert!(zones.len() > 300, "{}", zones.len());
    assert_eq!(oracle::zones(|name| name == "UTC" || name == "Etc/UTC").len(), 1);
}
