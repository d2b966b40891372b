//! Durable endpoints: runs that an SDK begins by itself, and where their answer is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use durable_core::{Outcome, RunId, RunStatus, RunView};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::run_state::{found, told};
use super::{Server, answer};
use crate::executor::{Begun, Checkpointed, host_of};
use crate::names::{app_id, uuid_of};
use crate::realtime::Topic;

/// Who asks for an answer waits for it so long.
const MOST_WAIT: Duration = Duration::from_mins(5);
/// How long after each look the next comes: the first, and the longest.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// `POST /v1/checkpoint`: a run that its SDK has begun, with what it has done.
pub(super) async fn begin(State(server): State<Server>, body: Bytes) -> Response {
    let begun: Begun<'_> = match serde_json::from_slice(&body) {
        Ok(begun) => begun,
        Err(error) => return wrong(&format!("no run: {error}")),
    };
    let (spec, event) = match begun.read(&server.config.backoff) {
        Ok(read) => read,
        Err(why) => return wrong(&why),
    };
    if RunId::parse(&begun.run_id).is_none() {
        return wrong(&format!("'{}' is no id of a run", begun.run_id));
    }
    let host = spec.endpoint.as_deref().and_then(host_of);
    if let Some(why) = host.and_then(|host| server.reach.check(host).err()) {
        return wrong(&why);
    }
    let json = json!({
        "fn_id": uuid_of(&spec.name),
        "app_id": app_id(&spec.app),
        "run_id": begun.run_id,
        "token": server.keys.ticket(&begun.run_id),
        "realtime_token": server.tokens.issue(vec![Topic::stream(&begun.run_id)]),
    });
    let apps = server.apps.clone();
    // It waits for the disk.
    match tokio::task::spawn_blocking(move || apps.add(spec)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return answer::failed(&error),
        Err(broken) => {
            return answer::refused(StatusCode::INTERNAL_SERVER_ERROR, &broken.to_string());
        }
    }
    server.executor.expect(&begun.run_id);
    match server.engine.try_send(vec![event]).await {
        Ok(Some(_)) => {}
        Ok(None) => return busy(),
        Err(error) => return answer::failed(&error),
    }
    let run = match found(&server, &begun.run_id) {
        Ok((run, view)) if view.ended_at.is_none() => run,
        Ok(_) => return told(Checkpointed::Stale),
        Err(refused) => return *refused,
    };
    if !server.executor.is_held(run).await {
        return busy();
    }
    match recorded(&server, run, begun.steps).await {
        Ok(()) => answer::data(StatusCode::OK, &json),
        Err(refused) => *refused,
    }
}

#[derive(Debug, Deserialize)]
struct Done<'a> {
    #[serde(borrow)]
    steps: &'a RawValue,
}

/// `POST /v1/checkpoint/{run}/steps`: what has been done since.
pub(super) async fn record(
    State(server): State<Server>,
    Path(run): Path<String>,
    body: Bytes,
) -> Response {
    let done: Done<'_> = match serde_json::from_slice(&body) {
        Ok(done) => done,
        Err(error) => return wrong(&format!("no steps: {error}")),
    };
    let recorded = match found(&server, &run) {
        Ok((run, _)) => recorded(&server, run, Some(done.steps)).await,
        Err(refused) => Err(refused),
    };
    match recorded {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => *refused,
    }
}

async fn recorded(
    server: &Server,
    run: RunId,
    steps: Option<&RawValue>,
) -> Result<(), Box<Response>> {
    let Some(steps) = steps.filter(|steps| !matches!(steps.get(), "null" | "[]")) else {
        return Ok(());
    };
    match server.executor.record(run, steps).await {
        Ok(Checkpointed::Recorded) => Ok(()),
        Ok(came) => Err(Box::new(told(came))),
        Err(error) => Err(Box::new(answer::failed(&error))),
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Ticket {
    #[serde(default)]
    token: String,
}

/// `GET /v1/http/runs/{run}/output`: what the endpoint answers, once it does.
pub(super) async fn output(
    State(server): State<Server>,
    Path(run): Path<String>,
    Query(ticket): Query<Ticket>,
) -> Response {
    if !server.keys.is_ticket(&run, &ticket.token) {
        let why = "the token is not for this run, or too old: it holds for an hour";
        return answer::refused(StatusCode::UNAUTHORIZED, why);
    }
    let until = Instant::now() + MOST_WAIT;
    let (mut pause, longest) = LOOKS;
    loop {
        match found(&server, &run) {
            Ok((_, view)) if view.ended_at.is_some() => return answered(&view),
            Ok(_) if Instant::now() > until => {
                let json = json!({"status": "running", "run_id": run});
                return answer::again(answer::json(StatusCode::ACCEPTED, &json));
            }
            Ok(_) => {}
            Err(refused) => return *refused,
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// An answer as SDKs keep it.
#[derive(Debug, Deserialize)]
struct Kept {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
}

fn answered(view: &RunView) -> Response {
    match (&view.outcome, view.status) {
        (Some(Outcome::Data(json)), _) => match serde_json::from_slice::<Kept>(json) {
            Ok(kept) => kept.into_response(),
            Err(_other) => answer::raw(StatusCode::OK, json.to_vec()),
        },
        (_, RunStatus::Cancelled) => answer::refused(StatusCode::GONE, "the run was cancelled"),
        (Some(Outcome::Error(json)), _) => {
            let error: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
            answer::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": error}))
        }
        (None, _) => answer::refused(StatusCode::GONE, "the run's answer is kept no more"),
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, self.body).into_response();
        let own = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let Some((name, value)) = name.zip(HeaderValue::from_str(value).ok()) else { continue };
            if !own.contains(&name) {
                response.headers_mut().insert(name, value);
            }
        }
        // Whatever it is, it comes from somewhere else and has no business with this server's own page.
        let policy = HeaderValue::from_static("sandbox");
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }
}

fn wrong(why: &str) -> Response {
    answer::refused(StatusCode::BAD_REQUEST, why)
}

fn busy() -> Response {
    let why = "the engine has all it can take for the moment: send it again in a second";
    let refused = answer::refused(StatusCode::TOO_MANY_REQUESTS, why);
    answer::again(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_as_it_was_but_has_no_power_here() {
        let kept: Kept = serde_json::from_str(
            r#"{"status":201,"headers":{"Content-Type":"text/html","content-length":"9","x":"1"},"body":"<b>"}"#,
        )
        .unwrap();
        let response = kept.into_response();
        assert_eq!(response.status(), StatusCode::CREATED);
        let headers = response.headers();
        assert_eq!(
            (headers["content-type"].as_bytes(), headers["x"].as_bytes()),
            (&b"text/html"[..], &b"1"[..])
        );
        assert_eq!(headers["content-security-policy"], "sandbox");
        assert!(!headers.contains_key("content-length"));
    }
}
