//! One run: what became of it, a run that repeats it, and its end before its time.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use durable_core::{FromStep, Memo, Rerun, RunId, RunStatus, RunView};
use durable_runtime::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Server, run_state};
use super::answer::{self, Answered, Refused};
use super::question::Question;
use super::run::{event_of, run_json};
use crate::names::hash_of_step;

/// `GET /v2/runs/{run}`.
pub(super) async fn run(
    State(server): State<Server>,
    Path(run): Path<String>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Answered {
    let asked = Question::read(asked, &["includeOutput", "include"])?;
    let is_included = asked.all("include").any(|word| word.eq_ignore_ascii_case("output"));
    let has_output = asked.is_true("includeOutput")? || is_included;
    answer::read(move || {
        let (id, view) = found(&server, &run)?;
        let event = event_of(&server.engine, &view)?;
        let functions = server.engine.functions()?;
        let shown = run_json((id, &view), &functions, event.as_ref(), has_output);
        Ok(answer::data(StatusCode::OK, &shown))
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Again {
    #[serde(rename = "fromStep", alias = "from_step")]
    from: Option<From>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    #[serde(rename = "stepId", alias = "step_id")]
    step: String,
    input: Option<Value>,
}

/// `POST /v2/runs/{run}/rerun`.
pub(super) async fn rerun(
    State(server): State<Server>,
    Path(run): Path<String>,
    body: Bytes,
) -> Answered {
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let again: Again = serde_json::from_slice(body)
        .map_err(|error| Refused::invalid(format!("no JSON object: {error}")))?;
    let from = again.from.map(From::step).transpose()?;
    answer::read(move || {
        let (id, view) = found(&server, &run)?;
        let has_step = from.is_some();
        let from = from.map(|step| FromStep { name: named(&view, step), output: None });
        let rerun = Rerun { run: id, from, data: None, is_once: false, origin: None };
        let started = server.engine.rerun(rerun).map_err(|error| {
            let is_step = has_step && error.kind == Kind::NotFound;
            if is_step { Refused::invalid(error.text) } else { error.into() }
        })?;
        Ok(answer::data(StatusCode::OK, &json!({"runId": started.to_string()})))
    })
    .await
}

impl From {
    fn step(self) -> Result<String, Refused> {
        if self.step.is_empty() {
            return Err(Refused::missing("Step ID is required"));
        }
        if self.input.is_some() {
            let why = "a step's input is part of the run's code: it cannot be replaced";
            return Err(Refused::not_here(why));
        }
        Ok(self.step)
    }
}

/// A step that may have been named by its hash.
fn named(view: &RunView, step: String) -> String {
    let mut names = view.memos.iter().map(|memo: &Memo| &memo.name);
    let known = names.find(|name| **name == step || hash_of_step(name) == step);
    known.cloned().unwrap_or(step)
}

/// `POST /v2/runs/{run}/cancel`.
pub(super) async fn cancel(State(server): State<Server>, Path(run): Path<String>) -> Answered {
    answer::read(move || {
        let (id, view) = found(&server, &run)?;
        if view.ended_at.is_none() && server.engine.cancel(id)? {
            return Ok(answer::data(StatusCode::OK, &json!({"runId": id.to_string()})));
        }
        let (_, view) = found(&server, &run)?;
        let (code, why) = if view.status == RunStatus::Cancelled {
            ("run_already_cancelled", "Run is already cancelled")
        } else {
            ("run_already_ended", "Cannot cancel an ended run")
        };
        Err(Refused::new(StatusCode::CONFLICT, code, why))
    })
    .await
}

fn found(server: &Server, run: &str) -> Result<(RunId, RunView), Refused> {
    let id = RunId::parse(run).ok_or_else(|| Refused::format("Run ID must be a valid ULID"))?;
    run_state::view_of(&server.engine, id, run)?.ok_or_else(|| Refused::not_found("Run not found"))
}
