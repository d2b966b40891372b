//! A run's state, for SDKs that are called without it, and steps that they record while they go on.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use durable_core::{RunId, RunView};
use durable_runtime::{Engine, Result};

use super::{Server, answer};
use crate::executor::{Checkpoint, Checkpointed, events_json, steps_json};
use crate::names::begins_endpoint;

/// `GET /v0/runs/{run}/actions`: the memos.
pub(super) async fn actions(State(server): State<Server>, Path(run): Path<String>) -> Response {
    match found(&server, &run) {
        Ok((_, view)) => answer::raw(StatusCode::OK, steps_json(&view.memos)),
        Err(refused) => *refused,
    }
}

/// `GET /v0/runs/{run}/batch`: the events.
pub(super) async fn batch(State(server): State<Server>, Path(run): Path<String>) -> Response {
    let view = match found(&server, &run) {
        Ok((_, view)) => view,
        Err(refused) => return *refused,
    };
    let mut events = Vec::with_capacity(view.events.len());
    for id in view.events {
        match server.engine.event(id) {
            Ok(Some(event)) => events.push((id, event)),
            Ok(None) => {
                return answer::refused(StatusCode::GONE, "the run's events are kept no more");
            }
            Err(error) => return answer::failed(&error),
        }
    }
    answer::raw(StatusCode::OK, events_json(&events))
}

/// The run of this id, or the answer that says why there is none.
pub(super) fn found(
    server: &Server,
    run: &str,
) -> std::result::Result<(RunId, RunView), Box<Response>> {
    let id = RunId::parse(run).ok_or_else(|| {
        answer::refused(StatusCode::BAD_REQUEST, &format!("'{run}' is no id of a run"))
    })?;
    match view_of(&server.engine, id, run) {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Box::new(answer::refused(StatusCode::NOT_FOUND, "there is no such run"))),
        Err(error) => Err(Box::new(answer::failed(&error))),
    }
}

/// The same, where `None` is none.
pub(super) fn view_of(engine: &Engine, id: RunId, run: &str) -> Result<Option<(RunId, RunView)>> {
    if let Some(view) = engine.run(id)? {
        return Ok(Some((id, view)));
    }
    // That of a durable endpoint has the id that its SDK has given it.
    let Some(event) = engine.event_sent_as(run)? else { return Ok(None) };
    let begun = engine.event(event)?.filter(|event| begins_endpoint(&event.name));
    let Some(id) = begun.and_then(|event| event.runs.first().map(|(_, run)| *run)) else {
        return Ok(None);
    };
    Ok(engine.run(id)?.map(|view| (id, view)))
}

/// `POST /v1/checkpoint/{run}/async`.
pub(super) async fn checkpoint(
    State(server): State<Server>,
    Path(_run): Path<String>,
    body: Bytes,
) -> Response {
    let said: Checkpoint<'_> = match serde_json::from_slice(&body) {
        Ok(said) => said,
        Err(error) => {
            return answer::refused(StatusCode::BAD_REQUEST, &format!("no checkpoint: {error}"));
        }
    };
    told(server.executor.checkpoint(&said).await)
}

/// What an SDK hears of what it has recorded.
pub(super) fn told(came: Checkpointed) -> Response {
    match came {
        Checkpointed::Recorded => StatusCode::OK.into_response(),
        Checkpointed::Stale => answer::refused(
            StatusCode::CONFLICT,
            "stale_dispatch: another call of this run counts now: stop",
        ),
        Checkpointed::Refused(why) => answer::refused(StatusCode::BAD_REQUEST, &why),
    }
}
