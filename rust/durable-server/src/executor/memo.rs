//! Memos as SDKs read them.

use std::borrow::Cow;

use bytes::Bytes;
use durable_core::{Memo, Outcome, StepKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::put_text;
use crate::names::{event_for_sdk, hash_of_step};

/// The object of all memos, each under the hash of its step.
pub(crate) fn steps_json(memos: &[Memo]) -> Vec<u8> {
    steps_under(&hashes_of(memos), memos)
}

/// The hash of each memo's step.
pub(super) fn hashes_of(memos: &[Memo]) -> Vec<Cow<'_, str>> {
    memos.iter().map(|memo| hash_of_step(&memo.name)).collect()
}

/// The object of memos whose steps' hashes are known.
pub(super) fn steps_under(hashes: &[Cow<'_, str>], memos: &[Memo]) -> Vec<u8> {
    let mut json = Vec::from(*b"{");
    for (place, (hash, memo)) in hashes.iter().zip(memos).enumerate() {
        if place > 0 {
            json.push(b',');
        }
        put_text(&mut json, hash);
        json.push(b':');
        json.extend_from_slice(&value_of(memo));
    }
    json.push(b'}');
    json
}

fn value_of(memo: &Memo) -> Vec<u8> {
    match (memo.kind, &memo.outcome) {
        (StepKind::Sleep, _) => b"null".to_vec(),
        (StepKind::Event, Outcome::Data(event)) => renamed(event),
        (StepKind::Signal, Outcome::Data(json)) if &**json == b"null" => json.to_vec(),
        (StepKind::Invoke, Outcome::Error(error)) => wrapped("error", &invoke_error(error)),
        (StepKind::Run | StepKind::Signal | StepKind::Invoke, Outcome::Data(json)) => {
            wrapped("data", json)
        }
        (StepKind::Run | StepKind::Signal | StepKind::Event, Outcome::Error(error)) => {
            wrapped("error", error)
        }
    }
}

fn wrapped(name: &str, json: &[u8]) -> Vec<u8> {
    let mut value = format!("{{\"{name}\":").into_bytes();
    value.extend_from_slice(if json.is_empty() { b"null" } else { json });
    value.push(b'}');
    value
}

/// An event that was waited for, with the name that SDKs know it by.
fn renamed(event: &Bytes) -> Vec<u8> {
    if !event.windows(8).any(|part| part == b"durable/") {
        return event.to_vec();
    }
    let Ok(mut fields) = serde_json::from_slice::<serde_json::Map<_, _>>(event) else {
        return event.to_vec();
    };
    if let Some(serde_json::Value::String(name)) = fields.get_mut("name") {
        *name = event_for_sdk(name).into_owned();
    }
    serde_json::to_vec(&fields).unwrap_or_default()
}

#[derive(Deserialize)]
struct InvokeError<'a> {
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(borrow)]
    cause: Option<&'a RawValue>,
}

/// What a step that invokes is told where it is given no result: the error of the function itself, where that has
/// one; else in the reference's words.
fn invoke_error(error: &[u8]) -> Vec<u8> {
    let Ok(said) = serde_json::from_slice::<InvokeError<'_>>(error) else { return error.to_vec() };
    if said.reason == "timeout" {
        return named(
            "InngestInvokeTimeoutError",
            "Timed out waiting for invoked function to complete",
        );
    }
    if let Some(function) = unknown(&said.message) {
        return named("Error", &format!("could not find function with ID: {function}"));
    }
    match said.cause {
        Some(cause) if said.reason == "failed" => cause.get().as_bytes().to_vec(),
        Some(_) | None => named("Error", &said.message),
    }
}

/// The function that was called, where there is none of that name.
fn unknown(message: &str) -> Option<&str> {
    let behind = message.strip_prefix("there is no function '")?;
    behind.split_once("' in this store").map(|(function, _)| function)
}

/// An error with a name and a message.
pub(super) fn named(name: &str, message: &str) -> Vec<u8> {
    let mut json = Vec::from(*b"{\"name\":");
    put_text(&mut json, name);
    json.extend_from_slice(b",\"message\":");
    put_text(&mut json, message);
    json.push(b'}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_core::Timestamp;

    fn memo(name: &str, kind: StepKind, outcome: Outcome) -> Memo {
        let at = Timestamp::default();
        Memo { name: name.to_owned(), kind, start_count: 1, asked_at: at, recorded_at: at, outcome }
    }

    fn data(json: &'static str) -> Outcome {
        Outcome::Data(Bytes::from_static(json.as_bytes()))
    }

    fn error(json: &'static str) -> Outcome {
        Outcome::Error(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn each_kind_has_the_shape_that_sdks_read() {
        let value = |kind, outcome| String::from_utf8(value_of(&memo("a", kind, outcome))).unwrap();
        assert_eq!(value(StepKind::Run, data("[1]")), r#"{"data":[1]}"#);
        assert_eq!(value(StepKind::Run, error(r#"{"name":"E"}"#)), r#"{"error":{"name":"E"}}"#);
        assert_eq!(value(StepKind::Sleep, data("null")), "null");
        assert_eq!(value(StepKind::Event, data("null")), "null");
        assert_eq!(
            value(StepKind::Event, data(r#"{"name":"a/b","data":{}}"#)),
            r#"{"name":"a/b","data":{}}"#
        );
        let failed =
            value(StepKind::Event, data(r#"{"name":"durable/function.failed","data":{}}"#));
        assert!(failed.contains(r#""inngest/function.failed""#), "{failed}");
        assert_eq!(value(StepKind::Signal, data("null")), "null");
        let signal = r#"{"signal":"s","data":1}"#;
        assert_eq!(value(StepKind::Signal, data(signal)), format!("{{\"data\":{signal}}}"));
        assert_eq!(value(StepKind::Invoke, data("2")), r#"{"data":2}"#);
        let late =
            error(r#"{"name":"InvokeTimeoutError","message":"m","reason":"timeout","cause":null}"#);
        assert!(value(StepKind::Invoke, late).contains(r#""InngestInvokeTimeoutError""#));
        let nobody = error(
            r#"{"name":"InvokeError","message":"there is no function 'f' in this store: is it?","reason":"refused"}"#,
        );
        assert!(value(StepKind::Invoke, nobody).contains("find function with ID: f"));
        let failed = error(
            r#"{"name":"InvokeError","message":"m","reason":"failed","cause":{"name":"Oops"}}"#,
        );
        assert_eq!(value(StepKind::Invoke, failed), r#"{"error":{"name":"Oops"}}"#);
    }

    #[test]
    fn memos_stand_under_their_hashes() {
        let memos = [memo("a", StepKind::Sleep, data("null")), memo("b", StepKind::Run, data("1"))];
        let json: serde_json::Value = serde_json::from_slice(&steps_json(&memos)).unwrap();
        assert_eq!(json["86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"], serde_json::Value::Null);
        assert_eq!(json["e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98"]["data"], 1);
    }
}
