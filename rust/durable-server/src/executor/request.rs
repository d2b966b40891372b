//! What a function is called with.

use std::borrow::Cow;

use durable_core::{EventId, EventRecord};
use durable_runtime::Offer;
use serde_json::json;
use ulid::Ulid;

use super::memo::{hashes_of, steps_under};
use crate::apps::Callee;
use crate::json::put_text;
use crate::keys::chance;
use crate::names::{event_for_sdk, hash_of_step, uuid_of};

/// Larger, and events and memos are to be asked for.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The step that stands for the code between steps.
const DISCOVERY: &str = "step";

/// What names a call.
#[derive(Clone, Debug)]
pub(super) struct CallIds {
    /// The request, in logs.
    pub(super) request: String,
    /// The step that is to execute, or that none is in particular.
    pub(super) step: String,
    /// What a checkpoint names the call by.
    pub(super) item: String,
    /// Other steps are under way: the code says what it wants, and executes none of it.
    pub(super) is_plan: bool,
}

impl CallIds {
    pub(super) fn of(offer: &Offer) -> Self {
        let step = offer.step.as_deref().map(hash_of_step);
        Self {
            request: Ulid::from_parts(offer.run.made_at().as_millis(), chance()).to_string(),
            step: step.map_or_else(|| DISCOVERY.to_owned(), Cow::into_owned),
            item: format!("{}.{}", offer.run, offer.epoch.0),
            is_plan: offer.pending.iter().any(|name| offer.step.as_ref() != Some(name)),
        }
    }
}

/// The body of a call.
pub(super) fn body(offer: &Offer, callee: &Callee, ids: &CallIds) -> Vec<u8> {
    let stack = hashes_of(&offer.memos);
    let whole = compose(offer, callee, ids, &stack, false);
    if whole.len() > MOST_BYTES { compose(offer, callee, ids, &stack, true) } else { whole }
}

fn compose(
    offer: &Offer,
    callee: &Callee,
    ids: &CallIds,
    stack: &[Cow<'_, str>],
    use_api: bool,
) -> Vec<u8> {
    let ctx = json!({
        "attempt": offer.failure_count,
        "disable_immediate_execution": ids.is_plan,
        "env": "",
        "fn_id": uuid_of(&callee.name),
        "generation_id": 1,
        "job_id": ids.item,
        "max_attempts": callee.max_attempts,
        "qi_id": ids.item,
        "request_id": ids.request,
        "run_id": offer.run.to_string(),
        "stack": {"current": stack.len(), "stack": stack},
        "step_id": ids.step,
        "use_api": use_api,
    });
    let (events, steps) = if use_api {
        (b"[]".to_vec(), b"{}".to_vec())
    } else {
        (events_json(&offer.events), steps_under(stack, &offer.memos))
    };
    let event = match offer.events.first() {
        Some((id, record)) => event_json(*id, record), // whatever its size: nobody asks for it
        None => b"{\"data\":{},\"name\":\"\"}".to_vec(),
    };
    let mut body = Vec::from(*b"{\"ctx\":");
    body.extend_from_slice(ctx.to_string().as_bytes());
    body.extend_from_slice(b",\"defers\":{},\"event\":");
    body.extend_from_slice(&event);
    body.extend_from_slice(b",\"events\":");
    body.extend_from_slice(&events);
    body.extend_from_slice(b",\"steps\":");
    body.extend_from_slice(&steps);
    body.extend_from_slice(format!(",\"use_api\":{use_api},\"version\":2}}").as_bytes());
    body
}

/// All events of a run.
pub(crate) fn events_json(events: &[(EventId, EventRecord)]) -> Vec<u8> {
    let mut json = Vec::from(*b"[");
    for (place, (id, event)) in events.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&event_json(*id, event));
    }
    json.push(b']');
    json
}

/// An event as SDKs read it.
pub(crate) fn event_json(id: EventId, event: &EventRecord) -> Vec<u8> {
    let mut json = Vec::from(*b"{\"data\":");
    json.extend_from_slice(&data_of(event));
    json.extend_from_slice(b",\"id\":");
    put_text(&mut json, event.user_id.as_ref().unwrap_or(&id.to_string()));
    json.extend_from_slice(b",\"name\":");
    put_text(&mut json, &event_for_sdk(&event.name));
    json.extend_from_slice(format!(",\"ts\":{}", event.ts.as_millis()).as_bytes());
    json.extend_from_slice(b",\"user\":");
    json.extend_from_slice(event.user.as_deref().unwrap_or(b"{}"));
    if let Some(version) = &event.version {
        json.extend_from_slice(b",\"v\":");
        put_text(&mut json, version);
    }
    json.push(b'}');
    json
}

/// The data, in the reference's shape where the event is the engine's own.
fn data_of(event: &EventRecord) -> Vec<u8> {
    let data: &[u8] = if event.data.is_empty() { b"{}" } else { &event.data };
    let status = match event.name.as_str() {
        "durable/function.failed" => "Failed",
        "durable/function.cancelled" => "Cancelled",
        "durable/function.finished" => "Completed",
        _ => return data.to_vec(),
    };
    let Ok(mut fields) = serde_json::from_slice::<serde_json::Map<_, _>>(data) else {
        return data.to_vec();
    };
    let status = if fields.contains_key("error") { "Failed" } else { status };
    if let Some(serde_json::Value::Object(error)) = fields.get_mut("error") {
        error.entry("error").or_insert_with(|| "invalid status code: 500".into());
    }
    fields.insert("_inngest".to_owned(), json!({ "status": status }));
    serde_json::to_vec(&fields).unwrap_or_else(|_unwritten| data.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use durable_core::{Epoch, ExecutorId, FunctionId, Memo, Outcome, RunId, StepKind, Timestamp};

    fn event(name: &str, data: &str) -> (EventId, EventRecord) {
        let record = EventRecord {
            name: name.to_owned(),
            user_id: None,
            received_at: Timestamp::default(),
            ts: Timestamp::from_millis(7),
            version: None,
            user: None,
            runs: Vec::new(),
            skips: Vec::new(),
            duplicate_of: None,
            made_for: None,
            data: Bytes::from(data.to_owned()),
        };
        (EventId::default(), record)
    }

    fn offer(data: &str) -> Offer {
        let at = Timestamp::default();
        Offer {
            executor: ExecutorId(1),
            run: RunId::default(),
            epoch: Epoch(3),
            function: FunctionId(0),
            step: None,
            attempt: 4,
            failure_count: 1,
            step_attempt: 0,
            memo_count: 1,
            events: vec![event("a/b", data)],
            memos: vec![Memo {
                name: "a".to_owned(),
                kind: StepKind::Run,
                start_count: 1,
                asked_at: at,
                recorded_at: at,
                outcome: Outcome::Data(Bytes::from_static(b"{\"x\":1.50}")),
            }],
            pending: Vec::new(),
        }
    }

    fn callee() -> Callee {
        Callee {
            name: "app-f".to_owned(),
            app: "app".to_owned(),
            endpoint: "http://a/b".to_owned(),
            max_attempts: 5,
        }
    }

    fn body_of(offer: &Offer) -> Vec<u8> {
        body(offer, &callee(), &CallIds::of(offer))
    }

    #[test]
    fn a_call_says_all_that_its_function_needs() {
        let body = body_of(&offer("{\"n\":1}"));
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["event"]["data"]["n"], 1);
        assert_eq!(json["events"][0], json["event"]);
        let hash = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
        assert_eq!(json["ctx"]["stack"], json!({"current": 1, "stack": [hash]}));
        assert_eq!(json["ctx"]["attempt"], 1);
        assert_eq!(json["ctx"]["max_attempts"], 5);
        assert_eq!(json["ctx"]["disable_immediate_execution"], false);
        assert!(String::from_utf8_lossy(&body).contains("{\"x\":1.50}"), "memos go as they are");
    }

    #[test]
    fn others_that_are_outstanding_are_told_of() {
        let mut offer = offer("{}");
        offer.step = Some("b".to_owned());
        offer.pending = vec!["b".to_owned()];
        let flag = |offer: &Offer| {
            let json: serde_json::Value = serde_json::from_slice(&body_of(offer)).unwrap();
            json["ctx"]["disable_immediate_execution"] == true
        };
        assert!(!flag(&offer));
        offer.pending.push("c".to_owned());
        assert!(flag(&offer));
    }

    #[test]
    fn what_is_large_is_to_be_asked_for() {
        let large = format!("{{\"t\":\"{}\"}}", "x".repeat(MOST_BYTES));
        let json: serde_json::Value = serde_json::from_slice(&body_of(&offer(&large))).unwrap();
        assert_eq!((&json["use_api"], &json["ctx"]["use_api"]), (&json!(true), &json!(true)));
        assert_eq!((&json["events"], &json["steps"]), (&json!([]), &json!({})));
        assert_eq!(json["event"]["name"], "a/b");
    }

    #[test]
    fn the_engines_events_have_the_references_names_and_shapes() {
        let (id, record) =
            event("durable/function.failed", r#"{"function_id":"f","error":{"name":"E"}}"#);
        let json: serde_json::Value = serde_json::from_slice(&event_json(id, &record)).unwrap();
        assert_eq!(json["name"], "inngest/function.failed");
        assert_eq!(json["data"]["_inngest"]["status"], "Failed");
        assert_eq!(
            json["data"]["error"],
            json!({"name": "E", "error": "invalid status code: 500"})
        );
    }
}
