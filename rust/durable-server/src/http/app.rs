//! Applications: what they say of themselves, and what they ask about the server.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use durable_core::CronTrigger;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Server, answer, events, guard};
use crate::apps::Synced;
use crate::config::Kind;
use crate::log::Level;
use crate::names::{app_id, uuid_of};
use crate::registration;

pub(super) async fn health() -> Response {
    answer::json(StatusCode::OK, &json!({"status": 200, "message": "OK"}))
}

/// `GET /dev`: that this is a server for one programmer, and which functions there are.
pub(super) async fn info(State(server): State<Server>) -> Response {
    if server.config.kind != Kind::Dev {
        return answer::no_such_place().await;
    }
    let functions = match server.engine.functions() {
        Ok(functions) => functions,
        Err(error) => return answer::failed(&error),
    };
    let live = functions.iter().filter(|record| !record.is_archived);
    let functions: Vec<Value> = live
        .map(|record| {
            let spec = &record.spec;
            let events = spec.triggers.iter().map(|event| json!({"event": event}));
            let crons = spec.crons.iter().map(|cron| json!({"cron": cron_text(cron)}));
            let triggers: Vec<Value> = events.chain(crons).collect();
            json!({"id": uuid_of(&spec.name), "slug": spec.name, "name": spec.name, "triggers": triggers})
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    answer::json(
        StatusCode::OK,
        &json!({
            "version": version,
            "authed": false,
            "startOpts": {"sdkURLs": server.config.urls},
            "functions": functions,
            "handlers": [],
        }),
    )
}

/// As SDKs write it: with its time zone in front.
fn cron_text(cron: &CronTrigger) -> String {
    if cron.tz == "UTC" { cron.text.clone() } else { format!("TZ={} {}", cron.tz, cron.text) }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Deploy {
    #[serde(default, rename = "deployId")]
    id: Option<String>,
}

/// `POST /fn/register`.
pub(super) async fn register(
    State(server): State<Server>,
    Query(deploy): Query<Deploy>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = server.config.kind.as_str();
    if let Some(expected) = guard::text(&headers, "x-inngest-expected-server-kind")
        && expected != kind
    {
        return answer::error(
            StatusCode::BAD_REQUEST,
            &format!("Expected server kind {expected}, got {kind}"),
        );
    }
    let said = match registration::read(&body, &server.config.backoff) {
        Ok(said) => said,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, &why),
    };
    let mut endpoints = said.functions.iter().filter_map(|function| function.endpoint.as_deref());
    if let Some(why) = endpoints.find_map(|url| server.reach.check(url).err()) {
        return answer::error(StatusCode::BAD_REQUEST, &why);
    }
    let (app, apps) = (said.app.clone(), server.apps);
    // It waits for the disk.
    let synced = tokio::task::spawn_blocking(move || apps.sync(said)).await;
    match synced {
        Ok(Ok(synced)) => {
            if synced == Synced::Modified {
                server.config.log.say(
                    Level::Info,
                    "an application has said what it has",
                    &[("app", app.clone())],
                );
            }
            let mut json = json!({"ok": true, "modified": synced == Synced::Modified});
            if synced == Synced::Modified
                && let Some(fields) = json.as_object_mut()
            {
                let sync = deploy.id.unwrap_or_else(|| uuid_of(&format!("sync {app}")));
                fields.insert("sync_id".to_owned(), sync.into());
                fields.insert("app_id".to_owned(), app_id(&app).into());
            }
            answer::json(StatusCode::OK, &json)
        }
        Ok(Err(error)) => {
            // What follows shows the application's own text, which is for whoever wrote it.
            let why = error.text.lines().next().unwrap_or_default().to_owned();
            let names = [("app", app), ("why", why)];
            server.config.log.say(Level::Warning, "an application was refused", &names);
            answer::error(answer::status_of(error.kind), &error.text)
        }
        Err(broken) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &broken.to_string()),
    }
}

/// `DELETE /fn/remove?url=`: applications that are gone are left as they are; their runs wait for them.
pub(super) async fn remove() -> Response {
    answer::json(StatusCode::OK, &json!({"ok": true}))
}

/// SDKs tell how they are used. Nobody keeps it.
pub(super) async fn telemetry() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `POST /v1/traces/userland`: spans of an SDK's own, in OTLP. Nobody keeps them.
pub(super) async fn spans(headers: HeaderMap) -> Response {
    // Both are the answer that says that all of them were taken.
    let kind = guard::text(&headers, "content-type").unwrap_or_default();
    if kind.starts_with("application/json") {
        answer::json(StatusCode::OK, &json!({}))
    } else {
        let kind = [(axum::http::header::CONTENT_TYPE, "application/x-protobuf")];
        axum::response::IntoResponse::into_response((kind, ""))
    }
}

/// `POST /invoke/{function}`: one run, whatever the triggers.
pub(super) async fn invoke(
    State(server): State<Server>,
    Path(function): Path<String>,
    body: Bytes,
) -> Response {
    #[derive(Default, Deserialize)]
    struct Given<'a> {
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
    }
    let given = if body.is_empty() { Ok(Given::default()) } else { serde_json::from_slice(&body) };
    let data = match given {
        Ok(given) => given.data,
        Err(error) => {
            return answer::error(StatusCode::BAD_REQUEST, &format!("no JSON object: {error}"));
        }
    };
    let unread = data.and_then(|data| super::json::refusal(data.get()));
    let data = match unread.map_or_else(|| events::data_of(data), Err) {
        Ok(data) => data,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, &why),
    };
    match server.engine.invoke(function, data).await {
        Ok((run, event)) => {
            let json = json!({"status": 200, "id": event.to_string(), "run_id": run.to_string()});
            answer::json(StatusCode::OK, &json)
        }
        Err(error) => answer::failed(&error),
    }
}
