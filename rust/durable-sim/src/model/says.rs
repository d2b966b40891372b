//! What the few expressions that worlds draw say of an event: written out by hand, one by one.

/// Keys that worlds draw: a field, a comparison, and a field that few events have.
pub const KEYS: [&str; 3] = ["event.data.k", IS_A, "event.data.j"];
/// Conditions that worlds draw, of triggers and of batches.
pub const CONDITIONS: [&str; 2] = [IS_NOT_B, IS_POSITIVE];
/// Priorities that worlds draw.
pub const PRIORITIES: [&str; 2] = ["event.data.p", IS_A];

/// A condition that worlds draw of triggers by runs' ends.
pub const IS_OF_FIRST: &str = "event.data.function_id == \"f0\"";

/// What worlds ask of events that runs wait for, or are cancelled by.
pub const MATCHES: [&str; 4] = [
    IS_SAME,
    "event.data.k == async.data.k && async.data.p > 0",
    "async.data.k == \"a\" || async.data.j == event.data.j",
    "async.data.p > event.data.p",
];

const IS_SAME: &str = "async.data.k == event.data.k";
const IS_A: &str = "event.data.k == \"a\"";
const IS_NOT_B: &str = "event.data.k != \"b\"";
const IS_POSITIVE: &str = "event.data.p > 0";

/// What an expression says.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Missing,
    Nothing,
    Bool(bool),
    Number(f64),
    Text(String),
}

/// The value of a key; `None` where the event has none.
pub(super) fn key(expression: &str, data: &[u8]) -> Option<String> {
    match said(expression, data) {
        Said::Missing | Said::Nothing => None,
        Said::Bool(it) => Some(it.to_string()),
        Said::Number(number) => Some(number.to_string()),
        Said::Text(text) => Some(text),
    }
}

/// The same where `false` says that the policy is not for this event.
pub(super) fn key_unless_false(expression: &str, data: &[u8]) -> Option<String> {
    (said(expression, data) != Said::Bool(false)).then(|| key(expression, data)).flatten()
}

/// Whether a condition is met.
pub(super) fn is_met(condition: &str, data: &[u8]) -> bool {
    said(condition, data) == Said::Bool(true)
}

/// Whether an event meets what a run of another one asks for.
pub(super) fn is_met_by(expression: Option<&str>, own: &[u8], data: &[u8]) -> bool {
    let number = |said: Said| if let Said::Number(number) = said { Some(number) } else { None };
    let same = |name: &str| match (field(own, name), field(data, name)) {
        (Said::Missing, other) | (other, Said::Missing) => other == Said::Nothing,
        (one, other) => one == other,
    };
    let p = number(field(data, "p"));
    match expression {
        None => true,
        Some(IS_SAME) => same("k"),
        Some("event.data.k == async.data.k && async.data.p > 0") => {
            same("k") && p.is_some_and(|p| p > 0.0)
        }
        Some("async.data.k == \"a\" || async.data.j == event.data.j") => {
            field(data, "k") == Said::Text("a".to_owned()) || same("j")
        }
        Some(_) => p.zip(number(field(own, "p"))).is_some_and(|(p, own)| p > own),
    }
}

/// Seconds of head start, within half a day; `None` where the expression gives no number.
pub(super) fn head_start(priority: &str, data: &[u8]) -> Option<i64> {
    match said(priority, data) {
        #[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "it is cut")]
        Said::Number(number) => Some((number.trunc() as i64).clamp(-43_200, 43_200)),
        Said::Missing | Said::Nothing | Said::Bool(_) | Said::Text(_) => None,
    }
}

fn said(expression: &str, data: &[u8]) -> Said {
    let is = |letter: &str| field(data, "k") == Said::Text(letter.to_owned());
    match expression {
        IS_A => Said::Bool(is("a")),
        IS_NOT_B => Said::Bool(!is("b")),
        IS_POSITIVE => Said::Bool(matches!(field(data, "p"), Said::Number(number) if number > 0.0)),
        IS_OF_FIRST => Said::Bool(field(data, "function_id") == Said::Text("f0".to_owned())),
        path => path.strip_prefix("event.data.").map_or(Said::Missing, |name| field(data, name)),
    }
}

/// A field of an object without blanks, as worlds write it; what is nested in it is not looked at.
fn field(data: &[u8], name: &str) -> Said {
    let mut depth = 0_u32;
    let is_flat = |letter: &char| {
        match letter {
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= 1
    };
    let text: String = String::from_utf8_lossy(data).chars().filter(is_flat).collect();
    let Some((_, behind)) = text.split_once(&format!("\"{name}\":")) else { return Said::Missing };
    let value = behind.split([',', '}']).next().unwrap_or_default();
    match value {
        "null" => Said::Nothing,
        "true" => Said::Bool(true),
        "false" => Said::Bool(false),
        quoted if quoted.starts_with('"') => Said::Text(quoted.trim_matches('"').to_owned()),
        number => number.parse().map_or(Said::Nothing, Said::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_or_not() {
        let data = br#"{"n":3,"k":"a","p":-1.5,"f":false,"z":null}"#;
        assert_eq!(key("event.data.k", data).as_deref(), Some("a"));
        assert_eq!(key("event.data.j", data), None);
        assert_eq!(key("event.data.z", data), None);
        assert_eq!(key_unless_false("event.data.f", data), None);
        assert_eq!(head_start("event.data.p", data), Some(-1));
        let same = |own: &[u8]| is_met_by(Some(IS_SAME), own, data);
        assert!(
            same(b"{\"k\":\"a\"}")
                && !same(b"{}")
                && is_met_by(Some(IS_SAME), b"{}", b"{\"k\":null}")
        );
        assert!(!is_met_by(Some(IS_SAME), b"{}", b"{}") && is_met_by(None, b"{}", b"{}"));
        assert!(is_met(IS_NOT_B, data) && is_met(IS_NOT_B, b"{}") && !is_met(IS_POSITIVE, data));
    }
}
