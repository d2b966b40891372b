//! The shapes of answers.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use durable_runtime::{Error, Kind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer;
use crate::clock;

/// An error: what of it programs look at, and what people do.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: &'static str,
    why: String,
}

pub(super) type Answered = Result<Response, Refused>;

/// An answer has the envelope of this version.
#[derive(Clone, Copy)]
struct Enveloped;

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, why: impl Into<String>) -> Self {
        Self { status, code, why: why.into() }
    }

    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", why)
    }

    pub(super) fn missing(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "missing_field", why)
    }

    pub(super) fn format(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_field_format", why)
    }

    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", why)
    }

    pub(super) fn not_here(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", why)
    }

    pub(super) fn busy() -> Self {
        let why = "the engine has all it can take for the moment, and nothing was done: ask again in a second";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", why)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if error.kind == Kind::Skipped {
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "function_skipped", error.text);
        }
        let status = answer::status_of(error.kind);
        let code = match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => "validation_error",
            StatusCode::NOT_FOUND => "not_found",
            _ => "internal_error",
        };
        Self::new(status, code, error.text)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let response = failed(self.status, self.code, &self.why);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            answer::again(response)
        } else {
            response
        }
    }
}

fn failed(status: StatusCode, code: &str, why: &str) -> Response {
    let mut response = answer::json(status, &json!({"errors": [{"code": code, "message": why}]}));
    response.extensions_mut().insert(Enveloped);
    response
}

/// Data in an envelope.
pub(super) fn data(status: StatusCode, data: &Value) -> Response {
    let mut response = answer::json(status, &json!({"data": data, "metadata": metadata()}));
    response.extensions_mut().insert(Enveloped);
    response
}

/// A part of a list, and where the next one begins.
pub(super) fn page(data: &[Value], cursor: Option<String>, limit: usize) -> Response {
    let mut page = json!({"hasMore": cursor.is_some(), "limit": limit});
    if let (Some(cursor), Some(fields)) = (cursor, page.as_object_mut()) {
        fields.insert("cursor".to_owned(), cursor.into());
    }
    let json = json!({"data": data, "metadata": metadata(), "page": page});
    answer::json(StatusCode::OK, &json)
}

fn metadata() -> Value {
    json!({"fetchedAt": answer::moment(clock::now())})
}

/// What another part of the server refused.
pub(super) async fn enveloped(response: Response) -> Response {
    #[derive(Default, Deserialize)]
    struct Said {
        error: String,
    }
    let status = response.status();
    if status.is_success() || response.extensions().get::<Enveloped>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let said: Said = serde_json::from_slice(&body).unwrap_or_default();
    let code = match status {
        StatusCode::UNAUTHORIZED => "invalid_signing_key",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::NOT_FOUND => "not_found",
        _ => "invalid_request",
    };
    let why = if said.error.is_empty() { status.to_string() } else { said.error };
    let (own, body) = failed(status, code, &why).into_parts();
    parts.headers.extend(own.headers);
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// Reads where a read may wait for the disk.
pub(super) async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|broken| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Err(Refused::new(status, "internal_error", broken.to_string()))
    })
}

/// `GET /v2/health`.
pub(super) async fn health() -> Response {
    data(StatusCode::OK, &json!({"status": "ok"}))
}

/// What there is in Inngest's cloud alone.
pub(super) async fn of_cloud() -> Refused {
    Refused::not_here("this is a part of Inngest's cloud: a server of one's own has none")
}

/// `GET /v2/runs/{run}/trace`.
pub(super) async fn no_trace() -> Refused {
    Refused::not_here(
        "there are no traces: a run's steps are at /ui/api/runs/RUN, and on the page at /",
    )
}

/// `POST /v2/apps/{app}/syncs`.
pub(super) async fn no_sync() -> Refused {
    Refused::not_here("send a PUT to the application's own endpoint: it then says what it has")
}
