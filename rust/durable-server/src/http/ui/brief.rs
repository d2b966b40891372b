//! Values as much of them as a page can show: texts that are cut off, with their length.

use durable_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// So many bytes of values there are in one answer, about.
const MOST_OF_ALL: usize = 1024 * 1024;
/// The least and the most bytes of one value.
const OF_ONE: (usize, usize) = (256, 16 * 1024);
/// The most bytes of an error's message in a table.
const OF_MESSAGE: usize = 300;

/// How many bytes each of so many values may have.
pub(super) fn share(count: usize) -> usize {
    let (least, most) = OF_ONE;
    MOST_OF_ALL.checked_div(count).unwrap_or(most).clamp(least, most)
}

/// JSON as text, and how many bytes it has.
pub(super) fn value(json: &[u8], most: usize) -> Value {
    json!({"text": text(json, most), "bytes": json.len()})
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    name: Option<String>,
    message: Option<String>,
    stack: Option<String>,
}

/// An error as steps and runs have it.
pub(super) fn failure(json: &[u8], most: usize) -> Value {
    let Ok(failure) = serde_json::from_slice::<Failure>(json) else {
        return json!({"name": "", "message": text(json, most), "stack": ""});
    };
    let part = |part: Option<String>| text(part.unwrap_or_default().as_bytes(), most);
    json!({"name": part(failure.name), "message": part(failure.message), "stack": part(failure.stack)})
}

/// The same in one short line.
pub(super) fn message(json: &[u8]) -> Value {
    let mut failure = failure(json, OF_MESSAGE);
    failure.get_mut("message").map(Value::take).unwrap_or_default()
}

pub(super) fn moment(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.as_millis().into())
}

fn text(bytes: &[u8], most: usize) -> String {
    let is_cut = bytes.len() > most;
    let mut text = String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes)).into_owned();
    if is_cut {
        // The cut may have gone through a letter.
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        text.push('\u{2026}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_letters() {
        assert_eq!(
            value("\"\u{e4}\u{e4}\"".as_bytes(), 4),
            json!({"text": "\"\u{e4}\u{2026}", "bytes": 6})
        );
        assert_eq!(value(b"17", 2), json!({"text": "17", "bytes": 2}));
        assert_eq!((share(0), share(10_000)), (16 * 1024, 256));
    }

    #[test]
    fn an_error_that_is_no_object_is_its_own_message() {
        assert_eq!(message(br#"{"name":"E","message":"no"}"#), "no");
        assert_eq!(message(br#""no""#), "\"no\"");
        assert_eq!(message(br"{}"), "");
    }
}
