//! `GET /ui/api/events`: a page of events, newest first; and events that are sent from the page.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use durable_core::{EventId, EventRecord, FunctionId, FunctionRecord};
use durable_runtime::EventFilter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Server, answer, events, guard};
use super::{brief, found};

const MOST: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    name: String,
    limit: Option<usize>,
    cursor: String,
}

pub(in crate::http) async fn events(
    State(server): State<Server>,
    Query(wanted): Query<Wanted>,
) -> Response {
    found(move || {
        let engine = &server.engine;
        let filter = EventFilter {
            name: Some(wanted.name).filter(|name| !name.is_empty()),
            since: None,
            limit: wanted.limit.unwrap_or(50).min(MOST),
            cursor: EventId::parse(&wanted.cursor),
        };
        let functions = engine.functions()?;
        let (found, next) = engine.events(&filter)?;
        let most = brief::share(found.len());
        let rows = found.iter().map(|(id, event)| row(*id, event, &functions, most));
        let rows: Vec<Value> = rows.collect();
        let (next, now) = (next.map(|id| id.to_string()), engine.now().as_millis());
        Ok(json!({"events": rows, "next": next, "now": now}))
    })
    .await
}

/// `POST /ui/api/events`: the same as the event API, with the key of the rest.
pub(in crate::http) async fn send(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // What a page of another site can send without being asked first is no JSON.
    let kind = guard::text(&headers, "content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it as application/json");
    }
    events::accept(&server, &headers, body).await
}

pub(super) fn row(
    id: EventId,
    event: &EventRecord,
    functions: &[FunctionRecord],
    most: usize,
) -> Value {
    let name = |id: &FunctionId| functions.get(id.index()).map(|record| &record.spec.name);
    let runs =
        event.runs.iter().map(|(of, run)| json!({"id": run.to_string(), "function": name(of)}));
    let skips =
        event.skips.iter().map(|(of, why)| json!({"function": name(of), "why": why.as_str()}));
    json!({
        "id": id.to_string(),
        "own_id": event.user_id,
        "name": event.name,
        "ts": event.ts.as_millis(),
        "received_at": event.received_at.as_millis(),
        "data": brief::value(if event.data.is_empty() { b"{}" } else { &event.data }, most),
        "runs": runs.take(MOST).collect::<Vec<_>>(),
        "skips": skips.take(MOST).collect::<Vec<_>>(),
        "duplicate_of": event.duplicate_of.map(|first| first.to_string()),
    })
}
