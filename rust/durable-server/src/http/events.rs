//! Events from outside.

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use durable_core::{NewEvent, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use ulid::Ulid;

use super::{Server, answer, body, guard, json};
use crate::json::refusal;
use crate::names::{HTTP_REQUEST, begins_endpoint};

/// The most events of one request.
const MOST_EVENTS: usize = 5_000;

/// An event as it is sent.
#[derive(Debug, Deserialize)]
struct Sent<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default)]
    ts: Option<serde_json::Number>,
    #[serde(default)]
    v: Option<String>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
}

/// Before the body is looked at: who has no key is given no room.
pub(super) async fn only_with_key(
    State(server): State<Server>,
    Path(key): Path<String>,
    request: Request,
    next: Next,
) -> Response {
    let given = guard::text(request.headers(), "authorization");
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    if server.keys.lets_send(&key) || given.is_some_and(|key| server.keys.lets_send(key)) {
        return next.run(request).await;
    }
    body::read_away(request.into_body()).await;
    said(StatusCode::UNAUTHORIZED, &[], Some("the event key is not one of this server's"))
}

/// `POST /e/{key}`: one event, a list of them, or a form.
pub(super) async fn send(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    accept(&server, &headers, body).await
}

/// The events of a request whose sender may send.
pub(super) async fn accept(server: &Server, headers: &HeaderMap, body: Bytes) -> Response {
    let seed = guard::text(headers, "x-inngest-event-id-seed").and_then(seed_of);
    // A shell's `curl -d` says that JSON is a form.
    let is_form = guard::text(headers, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
        && !body.trim_ascii_start().starts_with(b"{")
        && !body.trim_ascii_start().starts_with(b"[");
    let body = if is_form { of_form(&body) } else { body };
    let (events, wrong) = read(&body, seed);
    let told: Vec<Option<String>> = events
        .iter()
        .enumerate()
        .map(|(place, event)| {
            let seeded = seeded_id(seed, place);
            seeded.filter(|id| event.user_id.as_ref() == Some(id))
        })
        .collect();
    if events.is_empty() {
        let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        return said(status, &[], wrong.as_deref());
    }
    match server.engine.try_send(events).await {
        Ok(Some(ids)) => {
            let ids = ids.iter().zip(told);
            let ids: Vec<String> =
                ids.map(|(id, told)| told.unwrap_or_else(|| id.to_string())).collect();
            let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            said(status, &ids, wrong.as_deref())
        }
        Ok(None) => {
            let why = "the engine has all it can take for the moment: send it again in a second";
            let refused = said(StatusCode::TOO_MANY_REQUESTS, &[], Some(why));
            answer::again(refused)
        }
        Err(error) => said(answer::status_of(error.kind), &[], Some(&error.text)),
    }
}

fn said(status: StatusCode, ids: &[String], error: Option<&str>) -> Response {
    let mut json = serde_json::json!({"ids": ids, "status": status.as_u16()});
    if let (Some(error), Some(fields)) = (error, json.as_object_mut()) {
        fields.insert("error".to_owned(), error.into());
    }
    answer::json(status, &json)
}

/// The events up to the first that cannot be accepted, and what is wrong with that one.
fn read(body: &[u8], seed: Option<(u64, u128)>) -> (Vec<NewEvent>, Option<String>) {
    let parts = match json::members(body, MOST_EVENTS) {
        Ok(parts) => parts,
        Err(why) => return (Vec::new(), Some(why)),
    };
    let mut events = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        match event(part.get(), seed, place) {
            Ok(event) => events.push(event),
            Err(why) => return (events, Some(why)),
        }
    }
    (events, None)
}

/// One event as it is sent, or what is wrong with it.
pub(super) fn one(json: &[u8]) -> Result<NewEvent, String> {
    event(std::str::from_utf8(json).map_err(|error| error.to_string())?, None, 0)
}

fn event(json: &str, seed: Option<(u64, u128)>, place: usize) -> Result<NewEvent, String> {
    let sent: Sent<'_> =
        serde_json::from_str(json).map_err(|error| format!("no event: {error}"))?;
    let name = sent.name.unwrap_or_default();
    if begins_endpoint(&name) {
        return Err(format!(
            "event '{name}': names beginning with '{HTTP_REQUEST}' are the server's own: choose another"
        ));
    }
    let own = match sent.id {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(id)) => Some(id).filter(|id| !id.is_empty()),
        Some(other) => Some(other.to_string()),
    };
    let ts = sent.ts.as_ref().and_then(ms_of).filter(|ms| *ms > 0);
    let event = NewEvent {
        data: data_of(sent.data).map_err(|why| format!("event '{name}': {why}"))?,
        user_id: own.or_else(|| seeded_id(seed, place)),
        ts: ts.map(Timestamp::from_millis),
        starts_at: None,
        version: sent.v,
        user: sent.user.map(|user| user.get().to_owned().into()),
        name,
    };
    let unread = || {
        let parts = [sent.data, sent.user].into_iter().flatten();
        let why = parts.map(RawValue::get).find_map(refusal)?;
        Some(format!("event '{}': not everybody could read its data: {why}", event.name))
    };
    event.refusal().or_else(unread).map_or(Ok(event), Err)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut off where it does not fit"
)]
fn ms_of(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| number.as_f64().map(|ms| ms.max(0.0) as u64))
}

/// The data as it came, without what only the server may say in it.
pub(super) fn data_of(data: Option<&RawValue>) -> Result<Bytes, String> {
    let Some(json) = data.map(RawValue::get) else { return Ok(Bytes::from_static(b"{}")) };
    if !json.starts_with('{') {
        return Err("its data is no JSON object".to_owned());
    }
    if !json.contains("\"_inngest\"") {
        return Ok(json.to_owned().into());
    }
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|error| error.to_string())?;
    fields.remove("_inngest");
    Ok(serde_json::to_vec(&fields).map_err(|error| error.to_string())?.into())
}

/// The id that a seed gives the event in this place.
fn seeded_id(seed: Option<(u64, u128)>, place: usize) -> Option<String> {
    let (ms, entropy) = seed?;
    let entropy = entropy.wrapping_add(u128::try_from(place).ok()?);
    Some(Ulid::from_parts(ms, entropy).to_string())
}

/// `MS,BASE64`: events of a request that is sent again have the same ids.
fn seed_of(text: &str) -> Option<(u64, u128)> {
    let (ms, entropy) = text.split_once(',')?;
    let bytes = BASE64_STANDARD.decode(entropy.trim()).ok()?;
    let entropy = bytes.get(..10)?.iter().fold(0_u128, |all, byte| (all << 8) | u128::from(*byte));
    Some((ms.trim().parse().ok()?, entropy))
}

/// A form's fields: the event's own, and the rest as its data.
fn of_form(body: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let mut event = serde_json::Map::new();
    let mut data = serde_json::Map::new();
    let url = reqwest::Url::parse(&format!("form:?{text}"));
    for (name, value) in url.iter().flat_map(reqwest::Url::query_pairs) {
        let into = if matches!(&*name, "name" | "id" | "v") { &mut event } else { &mut data };
        into.insert(name.into_owned(), value.into_owned().into());
    }
    event.insert("data".to_owned(), data.into());
    serde_json::to_vec(&event).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_up_to_the_first_that_is_wrong() {
        let (events, wrong) =
            read(br#"[{"name":"a","data":{"x":1.0}},{"name":""},{"name":"c"}]"#, None);
        assert_eq!(events.len(), 1);
        assert_eq!(&*events[0].data, b"{\"x\":1.0}");
        assert!(wrong.is_some_and(|why| why.contains("no name")));
        let (events, wrong) = read(br#"{"name":"inngest/function.failed"}"#, None);
        assert!(events.is_empty() && wrong.is_some_and(|why| why.contains("the engine's own")));
        assert!(read(b"{", None).1.is_some_and(|why| why.contains("no JSON")));
        assert!(read(br#"{"name":"a","data":[]}"#, None).1.is_some_and(|why| why.contains("'a'")));
    }

    #[test]
    fn what_only_the_server_may_say_is_taken_out() {
        let (events, _) = read(br#"{"name":"a","data":{"_inngest":{"x":1},"y":2}}"#, None);
        assert_eq!(&*events[0].data, b"{\"y\":2}");
    }

    #[test]
    fn a_seed_gives_the_same_ids_again() {
        let seed = seed_of("1700000000000,AAAAAAAAAAAAAQ==").unwrap();
        let ids = |seed| {
            let (events, _) =
                read(br#"[{"name":"a"},{"name":"b"},{"name":"c","id":"own"}]"#, Some(seed));
            events.into_iter().filter_map(|event| event.user_id).collect::<Vec<_>>()
        };
        let once = ids(seed);
        assert_eq!(once, ids(seed));
        assert_eq!(once[2], "own");
        assert!(once[0] < once[1] && once[0].len() == 26);
        assert_eq!(seed_of("x,AA=="), None);
    }

    #[test]
    fn a_form_is_an_event_too() {
        let (events, wrong) = read(&of_form(b"name=shop%2Fpaid&total=3&id=o1"), None);
        assert_eq!(wrong, None);
        assert_eq!(
            (events[0].name.as_str(), events[0].user_id.as_deref()),
            ("shop/paid", Some("o1"))
        );
        assert_eq!(&*events[0].data, b"{\"total\":\"3\"}");
    }
}
