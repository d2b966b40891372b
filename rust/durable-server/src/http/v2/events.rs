//! `POST /v2/events`: one event.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

use super::super::{Server, events};
use super::answer::{self, Answered, Refused};

pub(super) async fn send(State(server): State<Server>, body: Bytes) -> Answered {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Refused::invalid("the body is one event, a JSON object: several go to /e/KEY"));
    }
    let event = events::one(&body).map_err(|why| {
        let status = StatusCode::BAD_REQUEST;
        Refused::new(status, "validation_error", why)
    })?;
    let accepted = server.engine.try_send(vec![event]).await?.ok_or_else(Refused::busy)?;
    let id = accepted.first().map(ToString::to_string);
    Ok(answer::data(StatusCode::OK, &json!({"eventId": id})))
}
