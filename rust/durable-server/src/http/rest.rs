//! Runs, events and signals, as the first version of the REST API has them.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use durable_core::{EventId, EventRecord, Outcome, RunId, RunStatus, RunView};
use durable_runtime::EventFilter;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::run_state::found;
use super::{Server, answer};
use crate::executor::event_json;
use crate::names::{ENVIRONMENT, uuid_of};

/// The most events of a page.
const MOST: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    cursor: Option<String>,
}

/// `GET /v1/events`.
pub(super) async fn events(State(server): State<Server>, Query(wanted): Query<Wanted>) -> Response {
    let filter = EventFilter {
        name: wanted.name,
        since: None,
        limit: wanted.limit.unwrap_or(20).min(MOST),
        cursor: wanted.cursor.as_deref().and_then(EventId::parse),
    };
    match server.engine.events(&filter) {
        Ok((found, _cursor)) => {
            let events: Vec<Value> =
                found.iter().map(|(id, event)| event_value(*id, event)).collect();
            answer::data(StatusCode::OK, &events.into())
        }
        Err(error) => answer::failed(&error),
    }
}

/// `GET /v1/events/{event}`.
pub(super) async fn event(State(server): State<Server>, Path(event): Path<String>) -> Response {
    match stored(&server, &event) {
        Ok((id, event)) => answer::data(StatusCode::OK, &event_value(id, &event)),
        Err(refused) => *refused,
    }
}

/// `GET /v1/events/{event}/runs`.
pub(super) async fn runs_of_event(
    State(server): State<Server>,
    Path(event): Path<String>,
) -> Response {
    let (_, event) = match stored(&server, &event) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let mut runs = Vec::new();
    for (_, run) in &event.runs {
        match server.engine.run(*run) {
            Ok(Some(view)) => runs.push(run_value(&server, *run, &view)),
            Ok(None) => {}
            Err(error) => return answer::failed(&error),
        }
    }
    answer::data(StatusCode::OK, &runs.into())
}

/// `GET /v1/runs/{run}`.
pub(super) async fn run(State(server): State<Server>, Path(run): Path<String>) -> Response {
    match found(&server, &run) {
        Ok((id, view)) => answer::data(StatusCode::OK, &run_value(&server, id, &view)),
        Err(refused) => *refused,
    }
}

/// `DELETE /v1/runs/{run}`.
pub(super) async fn cancel(State(server): State<Server>, Path(run): Path<String>) -> Response {
    match cancelled(server, &run).await {
        Ok(view) => answer::data(StatusCode::OK, &view),
        Err(refused) => *refused,
    }
}

/// `DELETE /v0/runs/{run}`.
pub(super) async fn cancel_silently(
    State(server): State<Server>,
    Path(run): Path<String>,
) -> Response {
    match cancelled(server, &run).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => *refused,
    }
}

/// `GET /v1/runs/{run}/jobs`: what of it is queued or executes.
pub(super) async fn jobs(State(server): State<Server>, Path(run): Path<String>) -> Response {
    match found(&server, &run) {
        Ok((_, view)) => {
            let jobs: Vec<Value> =
                view.pending.iter().map(|step| json!({"id": step.name})).collect();
            answer::data(StatusCode::OK, &jobs.into())
        }
        Err(refused) => *refused,
    }
}

#[derive(Debug, Deserialize)]
struct Signal<'a> {
    signal: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// `POST /v1/signals`.
pub(super) async fn signal(State(server): State<Server>, body: Bytes) -> Response {
    let said: Signal<'_> = match serde_json::from_slice(&body) {
        Ok(said) => said,
        Err(error) => {
            return answer::refused(StatusCode::BAD_REQUEST, &format!("no signal: {error}"));
        }
    };
    let data = said.data.map_or("null", RawValue::get).to_owned();
    if let Some(why) = super::json::refusal(&data) {
        let why = format!("not everybody could read the signal's data: {why}");
        return answer::refused(StatusCode::BAD_REQUEST, &why);
    }
    match server.engine.signal(said.signal, data.into()).await {
        Ok(run) => answer::data(StatusCode::OK, &json!({"run_id": run.to_string()})),
        Err(error) if error.kind == durable_runtime::Kind::NoWaiter => {
            answer::refused(StatusCode::NOT_FOUND, "No signal found")
        }
        Err(error) => answer::failed(&error),
    }
}

async fn cancelled(server: Server, run: &str) -> Result<Value, Box<Response>> {
    let (id, _) = found(&server, run)?;
    let engine = server.engine.clone();
    // It waits for the disk.
    let done = tokio::task::spawn_blocking(move || engine.cancel(id)).await;
    match done {
        Ok(Ok(_)) => found(&server, run).map(|(id, view)| run_value(&server, id, &view)),
        Ok(Err(error)) => Err(Box::new(answer::failed(&error))),
        Err(broken) => {
            Err(Box::new(answer::refused(StatusCode::INTERNAL_SERVER_ERROR, &broken.to_string())))
        }
    }
}

/// An event by its id, or by the one that its sender was told of.
fn stored(server: &Server, event: &str) -> Result<(EventId, EventRecord), Box<Response>> {
    let failed = |error: &durable_runtime::Error| Box::new(answer::failed(error));
    let id = EventId::parse(event).ok_or_else(|| {
        answer::refused(StatusCode::BAD_REQUEST, &format!("'{event}' is no id of an event"))
    })?;
    let nobody = || answer::refused(StatusCode::NOT_FOUND, "there is no such event");
    if let Some(event) = server.engine.event(id).map_err(|error| failed(&error))? {
        return Ok((id, event));
    }
    let sent = server.engine.event_sent_as(event).map_err(|error| failed(&error))?;
    let id = sent.ok_or_else(nobody)?;
    let event = server.engine.event(id).map_err(|error| failed(&error))?;
    Ok((id, event.ok_or_else(nobody)?))
}

fn event_value(id: EventId, event: &EventRecord) -> Value {
    let mut value: Value = serde_json::from_slice(&event_json(id, event)).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        let internal = event.duplicate_of.unwrap_or(id).to_string();
        fields.insert("internal_id".to_owned(), internal.into());
        fields.insert("received_at".to_owned(), answer::moment(event.received_at));
    }
    value
}

fn run_value(server: &Server, id: RunId, view: &RunView) -> Value {
    let function = server.apps.callee(view.function).map(|callee| callee.name.clone());
    let output: Value = match &view.outcome {
        Some(Outcome::Data(json) | Outcome::Error(json)) => {
            serde_json::from_slice(json).unwrap_or_default()
        }
        None => Value::Null,
    };
    json!({
        "run_id": id.to_string(),
        "run_started_at": answer::moment(view.created_at),
        "function_id": function.as_deref().map(uuid_of),
        "function_version": 1,
        "environment_id": ENVIRONMENT,
        "event_id": view.events.first().map(ToString::to_string),
        "status": status_of(view.status),
        "ended_at": view.ended_at.map_or(Value::Null, answer::moment),
        "output": output,
    })
}

const fn status_of(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued | RunStatus::Running | RunStatus::Parked => "Running",
        RunStatus::Completed => "Completed",
        RunStatus::Failed => "Failed",
        RunStatus::Cancelled => "Cancelled",
    }
}
