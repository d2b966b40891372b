//! `GET /ui/api/runs/{run}`: one run with its steps; and runs that repeat it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use durable_core::{EventId, FromStep, Memo, Outcome, Pending, Rerun, RunId, RunView};
use durable_runtime::{Engine, Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Server;
use super::{brief, events, found, wrong};

/// The most events of a batch that are shown.
const MOST_EVENTS: usize = 10;

pub(in crate::http) async fn run(
    State(server): State<Server>,
    Path(run): Path<String>,
) -> Response {
    found(move || {
        let (engine, id) = (&server.engine, id_of(&run)?);
        let none = || {
            Error::new(Kind::NotFound, format!("there is no run {id}: its time may have run out"))
        };
        let view = engine.run(id)?.ok_or_else(none)?;
        described(engine, id, &view)
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// The first step that executes again.
    from: Option<String>,
}

/// `POST /ui/api/runs/{run}/rerun`.
pub(in crate::http) async fn rerun(
    State(server): State<Server>,
    Path(run): Path<String>,
    body: Bytes,
) -> Response {
    found(move || {
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let wanted: Wanted = serde_json::from_slice(body)
            .map_err(|error| wrong(format!("no JSON object: {error}")))?;
        let from = wanted.from.map(|name| FromStep { name, output: None });
        let rerun = Rerun { run: id_of(&run)?, from, data: None, is_once: false, origin: None };
        let started = server.engine.rerun(rerun)?;
        Ok(json!({"run_id": started.to_string()}))
    })
    .await
}

fn id_of(run: &str) -> Result<RunId> {
    RunId::parse(run).ok_or_else(|| wrong(format!("'{run}' is no id of a run")))
}

fn described(engine: &Engine, id: RunId, view: &RunView) -> Result<Value> {
    let most = brief::share(view.memos.len());
    let memos = view.memos.iter().map(|memo| remembered(memo, most));
    let steps: Vec<Value> = memos.chain(view.pending.iter().map(pending)).collect();
    let (result, error) = came_of(view.outcome.as_ref(), brief::share(1));
    let functions = engine.functions()?;
    let function = functions.get(view.function.index()).map(|record| &record.spec);
    let waiting_on = if view.ended_at.is_none() { engine.waiting_on(id)? } else { None };
    let shown: Vec<EventId> = view.events.iter().copied().take(MOST_EVENTS).collect();
    let mut events = Vec::with_capacity(shown.len());
    for event in shown {
        if let Some(record) = engine.event(event)? {
            events.push(events::row(event, &record, &functions, brief::share(MOST_EVENTS)));
        }
    }
    Ok(json!({
        "id": id.to_string(),
        "now": engine.now().as_millis(),
        "function": function.map(|spec| spec.name.as_str()),
        "app": function.map(|spec| spec.app.as_str()),
        "status": view.status.as_str(),
        "created_at": view.created_at.as_millis(),
        "started_at": brief::moment(view.started_at),
        "ended_at": brief::moment(view.ended_at),
        "retry_at": brief::moment(view.retry_at),
        "rerun_of": view.rerun_of.map(|run| run.to_string()),
        "result": result,
        "error": error,
        "steps": steps,
        "waiting_on": waiting_on.unwrap_or_default(),
        "events": events,
        "event_count": view.events.len(),
    }))
}

fn remembered(memo: &Memo, most: usize) -> Value {
    let (result, error) = came_of(Some(&memo.outcome), most);
    json!({
        "name": memo.name,
        "kind": memo.kind.as_str(),
        "status": if error.is_null() { "completed" } else { "failed" },
        "tries": memo.start_count,
        "asked_at": memo.asked_at.as_millis(),
        "recorded_at": memo.recorded_at.as_millis(),
        "result": result,
        "error": error,
    })
}

fn pending(step: &Pending) -> Value {
    json!({
        "name": step.name,
        "kind": step.kind().as_str(),
        "status": step.state.as_str(),
        "tries": step.start_count,
        "failures": step.failure_count,
        "asked_at": step.asked_at.as_millis(),
        "until": brief::moment(step.state.until()),
    })
}

fn came_of(outcome: Option<&Outcome>, most: usize) -> (Value, Value) {
    match outcome {
        Some(Outcome::Data(json)) => (brief::value(json, most), Value::Null),
        Some(Outcome::Error(json)) => (Value::Null, brief::failure(json, most)),
        None => (Value::Null, Value::Null),
    }
}
