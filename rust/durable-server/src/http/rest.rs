//! Runs, events and signals, as the first version of the REST API has them.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use durable_core::{
    EventId, EventRecord, FunctionRecord, Outcome, RunId, RunStatus, RunView, Timestamp,
};
use durable_runtime::EventFilter;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::run_state::found;
use super::{Server, answer};
use crate::executor::event_json;
use crate::length::moment_ms;
use crate::names::{ENVIRONMENT, app_id, event_from_sdk, own_id, uuid_of};

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
    #[serde(default)]
    received_after: Option<String>,
    #[serde(default)]
    received_before: Option<String>,
}

impl Wanted {
    fn filter(self) -> Result<EventFilter, String> {
        let cursor = self.cursor.filter(|text| !text.is_empty()).map(|text| {
            EventId::parse(&text).ok_or_else(|| format!("cursor '{text}' is no id of an event"))
        });
        let before = moment("received_before", self.received_before)?.map(EventId::earliest);
        Ok(EventFilter {
            name: self
                .name
                .filter(|name| !name.is_empty())
                .map(|name| event_from_sdk(&name).into_owned()),
            since: moment("received_after", self.received_after)?,
            limit: self.limit.unwrap_or(20).clamp(1, MOST),
            cursor: cursor.transpose()?.into_iter().chain(before).min(),
        })
    }
}

/// A moment in RFC 3339, or in milliseconds since 1970.
fn moment(name: &str, text: Option<String>) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let ms = text.parse().ok().or_else(|| moment_ms(&text)).ok_or_else(|| {
        format!("{name} '{text}' is no moment: write it as in '2026-01-31T12:00:00Z'")
    })?;
    Ok(Some(Timestamp::from_millis(ms)))
}

/// `GET /v1/events`.
pub(super) async fn events(State(server): State<Server>, Query(wanted): Query<Wanted>) -> Response {
    let filter = match wanted.filter() {
        Ok(filter) => filter,
        Err(why) => return answer::refused(StatusCode::BAD_REQUEST, &why),
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

/// `GET /v1/apps/{app}/functions`.
pub(super) async fn functions(State(server): State<Server>, Path(app): Path<String>) -> Response {
    let functions = match server.engine.functions() {
        Ok(functions) => functions,
        Err(error) => return answer::failed(&error),
    };
    let mut of = functions.iter().filter(|record| record.spec.app == app).peekable();
    if of.peek().is_none() {
        return answer::refused(StatusCode::NOT_FOUND, "there is no such application");
    }
    let live: Vec<Value> = of.filter(|record| !record.is_archived).map(function_value).collect();
    answer::data(StatusCode::OK, &live.into())
}

fn function_value(record: &FunctionRecord) -> Value {
    let spec = &record.spec;
    json!({
        "id": uuid_of(&spec.name),
        "app_id": app_id(&spec.app),
        "function_id": own_id(spec),
        "slug": spec.name,
        "name": spec.name,
        "is_paused": record.is_paused,
    })
}

/// `POST /v1/runs/{run}/metadata`: what an SDK says of a run beside its steps. Nobody keeps it.
pub(super) async fn metadata(
    State(server): State<Server>,
    Path(run): Path<String>,
    body: Bytes,
) -> Response {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, rename = "metadata")]
        _metadata: Vec<&'a RawValue>,
    }
    if let Err(error) = serde_json::from_slice::<Said<'_>>(&body) {
        return answer::refused(StatusCode::BAD_REQUEST, &format!("no metadata: {error}"));
    }
    match found(&server, &run) {
        Ok(_) => StatusCode::OK.into_response(),
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
    if let Some(why) = crate::json::refusal(&data) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_asked_for_by_when_they_came() {
        let asked = |received_before: &str, cursor: Option<EventId>| Wanted {
            received_after: Some("1970-01-01T00:00:01Z".to_owned()),
            received_before: Some(received_before.to_owned()),
            cursor: cursor.map(|id| id.to_string()),
            ..Wanted::default()
        };
        let second = EventId::earliest(Timestamp::from_millis(2_000));
        let filter = asked("2000", None).filter().unwrap();
        assert_eq!(
            (filter.since, filter.cursor),
            (Some(Timestamp::from_millis(1_000)), Some(second))
        );
        let third = EventId::earliest(Timestamp::from_millis(3_000));
        assert_eq!(
            asked("1970-01-01T00:00:02Z", Some(third)).filter().unwrap().cursor,
            Some(second)
        );
        assert!(asked("soon", None).filter().unwrap_err().contains("received_before 'soon'"));
        let wrong = Wanted { cursor: Some("x".to_owned()), ..Wanted::default() };
        assert!(wrong.filter().unwrap_err().contains("cursor 'x'"));
    }
}
