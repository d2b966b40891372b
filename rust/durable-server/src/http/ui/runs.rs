//! `GET /ui/api/runs`: a page of runs, newest first.

use axum::extract::{Query, State};
use axum::response::Response;
use durable_core::{FunctionRecord, Outcome, RunId, RunStatus, RunView};
use durable_runtime::{Result, RunFilter};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Server;
use super::{brief, found, wrong};

const MOST: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    status: String,
    function: String,
    limit: Option<usize>,
    cursor: String,
}

pub(in crate::http) async fn runs(
    State(server): State<Server>,
    Query(wanted): Query<Wanted>,
) -> Response {
    found(move || {
        let engine = &server.engine;
        let filter = RunFilter {
            status: statuses(&wanted.status)?,
            function: Some(wanted.function).filter(|name| !name.is_empty()),
            since: None,
            limit: wanted.limit.unwrap_or(50).min(MOST),
            cursor: RunId::parse(&wanted.cursor),
        };
        let functions = engine.functions()?;
        let (runs, next) = engine.runs(&filter)?;
        let runs: Vec<Value> = runs.iter().map(|(id, run)| row(*id, run, &functions)).collect();
        let (next, now) = (next.map(|id| id.to_string()), engine.now().as_millis());
        Ok(json!({"runs": runs, "next": next, "now": now}))
    })
    .await
}

fn row(id: RunId, run: &RunView, functions: &[FunctionRecord]) -> Value {
    let error = match &run.outcome {
        Some(Outcome::Error(json)) => brief::message(json),
        Some(Outcome::Data(_)) | None => Value::Null,
    };
    json!({
        "id": id.to_string(),
        "function": functions.get(run.function.index()).map(|record| record.spec.name.as_str()),
        "status": run.status.as_str(),
        "created_at": run.created_at.as_millis(),
        "started_at": brief::moment(run.started_at),
        "ended_at": brief::moment(run.ended_at),
        "error": error,
    })
}

/// States by their words, separated by commas; none: any.
fn statuses(words: &str) -> Result<Vec<RunStatus>> {
    let status = |word: &str| RunStatus::named(word).map_err(wrong);
    words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_words() {
        assert_eq!(statuses("failed, queued").unwrap(), [RunStatus::Failed, RunStatus::Queued]);
        assert!(statuses("").unwrap().is_empty());
        assert!(statuses("done").unwrap_err().text.contains("one of queued, running"));
    }
}
