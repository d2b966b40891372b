//! A run as this version shows it.

use durable_core::{EventRecord, FunctionRecord, Outcome, RunId, RunStatus, RunView};
use durable_runtime::Engine;
use serde_json::{Map, Value, json};

use super::super::answer::moment;
use super::answer::Refused;
use crate::names::{event_for_sdk, own_id};

/// Its state in the words of this version: what waits for its first start is queued, all that has begun is running.
pub(super) fn status_of(run: &RunView, function: Option<&FunctionRecord>) -> &'static str {
    match run.status {
        RunStatus::Completed => "COMPLETED",
        RunStatus::Failed => "FAILED",
        RunStatus::Cancelled => "CANCELLED",
        RunStatus::Queued | RunStatus::Running | RunStatus::Parked => match run.started_at {
            None => "QUEUED",
            Some(_) if function.is_some_and(|function| function.is_paused) => "PAUSED",
            Some(_) => "RUNNING",
        },
    }
}

/// The event that started it, or the first of them; `None` where it is no longer kept.
pub(super) fn event_of(engine: &Engine, run: &RunView) -> Result<Option<EventRecord>, Refused> {
    let Some(first) = run.events.first() else { return Ok(None) };
    Ok(engine.event(*first)?)
}

pub(super) fn run_json(
    (id, run): (RunId, &RunView),
    functions: &[FunctionRecord],
    event: Option<&EventRecord>,
    has_output: bool,
) -> Value {
    let function = functions.get(run.function.index());
    let mut json = Map::new();
    let mut put = |name: &str, value: Value| json.insert(name.to_owned(), value);
    put("id", id.to_string().into());
    if let Some(FunctionRecord { spec, .. }) = function {
        put("function", json!({"id": own_id(spec), "name": spec.name, "slug": spec.name}));
        put("app", json!({"id": spec.app}));
    }
    put("status", status_of(run, function).into());
    put("queuedAt", moment(run.created_at));
    if let Some(at) = run.started_at {
        put("startedAt", moment(at));
    }
    if let Some(at) = run.ended_at {
        put("endedAt", moment(at));
    }
    if let (Some(from), Some(to)) = (run.started_at, run.ended_at) {
        // The reference writes what has 64 bits as text.
        let ms = to.as_millis().saturating_sub(from.as_millis());
        put("durationMs", ms.to_string().into());
    }
    put("trigger", trigger(run, event));
    if let Some(output) = run.outcome.as_ref().filter(|_| has_output).map(output) {
        put("output", output);
    }
    json.into()
}

fn trigger(run: &RunView, event: Option<&EventRecord>) -> Value {
    let ids: Vec<String> = run.events.iter().map(ToString::to_string).collect();
    let mut trigger = json!({"eventIds": ids, "isBatch": ids.len() > 1});
    if let (Some(event), Some(fields)) = (event, trigger.as_object_mut()) {
        fields.insert("eventName".to_owned(), event_for_sdk(&event.name).into());
    }
    trigger
}

/// What is no object is put into one.
fn output(outcome: &Outcome) -> Value {
    let (Outcome::Data(json) | Outcome::Error(json)) = outcome;
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    if value.is_object() { value } else { json!({"data": value}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_an_object() {
        let read = |json: &'static str| output(&Outcome::Data(json.into()));
        assert_eq!(read(r#"{"a":1}"#), json!({"a": 1}));
        assert_eq!(read("[1]"), json!({"data": [1]}));
        assert_eq!(read("null"), json!({"data": null}));
    }
}
