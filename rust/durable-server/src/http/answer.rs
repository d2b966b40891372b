//! The shapes of answers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use durable_core::Timestamp;
use durable_runtime::{Error, Kind};
use serde_json::{Value, json};

use crate::clock;

/// JSON with a status.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    raw(status, value.to_string().into_bytes())
}

/// JSON that is written already.
pub(super) fn raw(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What API v1 answers: the data in an envelope.
pub(super) fn data(status: StatusCode, data: &Value) -> Response {
    let fetched_at = moment(clock::now());
    json(
        status,
        &json!({"data": data, "metadata": {"fetched_at": fetched_at, "cached_until": null}}),
    )
}

/// What API v1 answers where it cannot.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    json(status, &json!({"error": why, "data": null, "status": status.as_u16()}))
}

/// A short error.
pub(super) fn error(status: StatusCode, why: &str) -> Response {
    json(status, &json!({"error": why, "status": status.as_u16()}))
}

/// The same, for whoever asks again in a second.
pub(super) fn again(mut refused: Response) -> Response {
    refused.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    refused
}

/// An error of the engine.
pub(super) fn failed(error: &Error) -> Response {
    refused(status_of(error.kind), &error.text)
}

pub(super) fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid | Kind::Event => StatusCode::BAD_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnknownFunction | Kind::NotFound | Kind::NoWaiter => StatusCode::NOT_FOUND,
        Kind::Skipped => StatusCode::CONFLICT,
        Kind::Closed
        | Kind::Broken
        | Kind::Locked
        | Kind::Location
        | Kind::Corrupt
        | Kind::Io
        | Kind::Full
        | Kind::Newer
        | Kind::Poisoned => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What may be asked, in the words of OpenAPI 3.1.
pub(super) async fn openapi() -> Response {
    raw(StatusCode::OK, OPENAPI.into())
}

pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn no_such_place() -> Response {
    error(StatusCode::NOT_FOUND, "there is nothing here: is the address right?")
}

/// A moment as people and programs read it.
pub(super) fn moment(at: Timestamp) -> Value {
    let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| at.to_string().into())
}
