//! Publishing: a message that is kept, a stream that is passed on in pieces, bytes that are copied as they come.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use durable_core::{NewMessage, RunId};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Asked, Server, answer, guard, one};
use crate::clock;
use crate::http::body::next_part;
use crate::json::text;
use crate::keys::chance_id;
use crate::realtime::{Frame, Message, Origin, STREAM, name_refusal};

/// The most bytes of a message's data.
const MOST_BYTES: usize = 512 * 1024;
/// Within this time a message has come.
const TO_COME_WHOLE: Duration = Duration::from_secs(30);
/// A stream is passed on in so many pieces at most, each of at most so many bytes.
const MOST_CHUNKS: usize = 1_000;
const CHUNK_BYTES: usize = 1_024;
/// So much more of what is too large is taken, for so long.
const MOST_REST: usize = 4 * 1024 * 1024;
const FOR_REST: Duration = Duration::from_secs(5);
/// A stream from which nothing comes for so long is over.
const SILENCE: Duration = Duration::from_mins(2);

/// Where something is published.
struct Place<'a> {
    channel: &'a str,
    topic: &'a str,
    origin: Origin,
}

/// `POST /v1/realtime/publish?channel=&topic=`
pub(in super::super) async fn publish(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let place = match place(&asked) {
        Ok(place) => place,
        Err(why) => return answer::refused(StatusCode::BAD_REQUEST, &why),
    };
    let kind = guard::text(&headers, "content-type").unwrap_or_default();
    if kind.starts_with("text/stream") {
        return stream(&server, &place, body).await;
    }
    let data = match tokio::time::timeout(TO_COME_WHOLE, whole(body)).await {
        Ok(Ok(bytes)) => data_of(bytes),
        Ok(Err(refused)) => return refused,
        Err(_late) => {
            let why = "the message did not come whole in time";
            return answer::refused(StatusCode::REQUEST_TIMEOUT, why);
        }
    };
    let (channel, topic) = (place.channel.to_owned(), place.topic.to_owned());
    let message = NewMessage { channel, topic, data };
    match server.hub.publish(message, place.origin).await {
        Ok(Some(number)) => answer::json(StatusCode::OK, &json!({"id": format!("{number}-0")})),
        Ok(None) => {
            let why = "the engine has all it can take for the moment: publish it again in a second";
            let refused = answer::refused(StatusCode::TOO_MANY_REQUESTS, why);
            answer::again(refused)
        }
        Err(error) => answer::failed(&error),
    }
}

/// `POST /v1/realtime/publish/tee?channel=`
pub(in super::super) async fn tee(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    mut body: Body,
) -> Response {
    let channel = one(&asked, "channel").unwrap_or_default();
    if let Some(why) = name_refusal("channel", channel) {
        return answer::refused(StatusCode::BAD_REQUEST, &why);
    }
    while let Some(bytes) = match piece(&mut body).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    } {
        server.hub.pass_on(channel, STREAM, &Frame::Raw(bytes));
        tokio::task::yield_now().await; // those who listen take it meanwhile
    }
    answer::json(StatusCode::OK, &json!({}))
}

/// As it comes: a first message with the stream's id, the pieces, a last message.
async fn stream(server: &Server, place: &Place<'_>, mut body: Body) -> Response {
    let id = chance_id().to_string();
    let pass_on = |kind: &str, data: &str| {
        let data: Option<Box<RawValue>> = to_raw_value(data).ok();
        let message = Message {
            data: data.as_deref(),
            metadata: place
                .origin
                .metadata
                .as_deref()
                .and_then(|json| serde_json::from_slice(json).ok()),
            run_id: place.origin.run.as_deref(),
            stream_id: Some(&id),
            ..Message::new(kind, (place.channel, place.topic), clock::now())
        };
        server.hub.pass_on(place.channel, place.topic, &message.frame());
    };
    pass_on("datastream-start", &id);
    let mut chunks = Chunks::default();
    let ended = loop {
        match piece(&mut body).await {
            Ok(Some(bytes)) => chunks.rest.extend_from_slice(&bytes),
            Ok(None) => chunks.is_last = true,
            Err(refused) => break Err(refused),
        }
        while let Some(text) = chunks.next() {
            pass_on("chunk", &text);
        }
        if chunks.is_last {
            break Ok(());
        }
        if chunks.count >= MOST_CHUNKS {
            let why = format!(
                "a stream is passed on in {MOST_CHUNKS} pieces of {CHUNK_BYTES} bytes at most: publish the rest as \
                 another one"
            );
            break Err(too_large(body, &why).await);
        }
        tokio::task::yield_now().await; // those who listen take it meanwhile
    };
    pass_on("datastream-end", &id);
    ended.map_or_else(|refused| refused, |()| answer::json(StatusCode::OK, &json!({})))
}

/// A stream's bytes in pieces of text: no character is cut in two.
#[derive(Debug, Default)]
struct Chunks {
    rest: Vec<u8>,
    count: usize,
    is_last: bool,
}

impl Chunks {
    /// The next piece; `None`: more has to come first, or there are too many.
    fn next(&mut self) -> Option<String> {
        let most = self.rest.get(..CHUNK_BYTES).unwrap_or(&self.rest);
        let whole = match std::str::from_utf8(most) {
            Ok(text) => text.len(),
            // The last character goes on behind it.
            Err(error)
                if error.error_len().is_none() && !(self.is_last && error.valid_up_to() == 0) =>
            {
                error.valid_up_to()
            }
            Err(_) => most.len(), // it is no text
        };
        if whole == 0 || self.count >= MOST_CHUNKS {
            return None;
        }
        self.count = self.count.saturating_add(1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// All of a body, where it is not too large.
async fn whole(mut body: Body) -> Result<Bytes, Response> {
    let mut all = Vec::new();
    while let Some(bytes) = piece(&mut body).await? {
        all.extend_from_slice(&bytes);
        if all.len() > MOST_BYTES {
            let why = format!(
                "a message has at most {MOST_BYTES} bytes: publish a reference to what is larger"
            );
            return Err(too_large(body, &why).await);
        }
    }
    Ok(all.into())
}

/// Who still sends would not see an answer: what comes is taken first, as far as it is not much.
async fn too_large(mut body: Body, why: &str) -> Response {
    let mut rest = MOST_REST;
    let take = async {
        while let Ok(Some(bytes)) = piece(&mut body).await {
            rest = rest.saturating_sub(bytes.len());
            if rest == 0 {
                return;
            }
        }
    };
    let _in_time = tokio::time::timeout(FOR_REST, take).await.is_ok();
    answer::refused(StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// The next bytes of a body; `None`: that was all.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, Response> {
    match tokio::time::timeout(SILENCE, next_part(body)).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(error))) => Err(answer::refused(StatusCode::BAD_REQUEST, &error.to_string())),
        Err(_late) => {
            let why = "nothing came for two minutes";
            Err(answer::refused(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

fn place(asked: &Asked) -> Result<Place<'_>, String> {
    let (channel, topic) = (one(asked, "channel"), one(asked, "topic"));
    let (channel, topic) = (channel.unwrap_or_default(), topic.unwrap_or_default());
    if let Some(why) = name_refusal("channel", channel).or_else(|| name_refusal("topic", topic)) {
        return Err(why);
    }
    if asked.iter().filter(|(name, _)| name == "topic").count() > 1 {
        return Err("a message is published under one topic: ask once for each".to_owned());
    }
    if topic.starts_with('$') {
        return Err(format!("topic '{topic}': those that begin with '$' are the engine's own"));
    }
    let run = one(asked, "run_id").filter(|run| !run.is_empty());
    if let Some(run) = run.filter(|run| RunId::parse(run).is_none()) {
        return Err(format!("run_id '{run}' is no id of a run"));
    }
    let metadata = one(asked, "metadata").filter(|metadata| !metadata.is_empty());
    let metadata = metadata.map(|text| data_of(Bytes::from(text.to_owned())));
    Ok(Place { channel, topic, origin: Origin { run: run.map(str::to_owned), metadata } })
}

/// JSON as it came; what is none is a text.
fn data_of(bytes: Bytes) -> Bytes {
    if serde_json::from_slice::<&RawValue>(&bytes).is_ok() {
        return bytes;
    }
    text(&String::from_utf8_lossy(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(parts: &[&[u8]]) -> Vec<String> {
        let (mut chunks, mut texts) = (Chunks::default(), Vec::new());
        for part in parts {
            chunks.rest.extend_from_slice(part);
            texts.extend(std::iter::from_fn(|| chunks.next()));
        }
        chunks.is_last = true;
        texts.extend(std::iter::from_fn(|| chunks.next()));
        texts
    }

    #[test]
    fn a_stream_is_cut_between_characters() {
        let euro = "€".as_bytes();
        assert_eq!(chunks(&[b"a", &euro[..1], &euro[1..], b"b"]), ["a", "€", "b"]);
        let long = "€".repeat(1_000);
        let cut = chunks(&[long.as_bytes()]);
        assert_eq!(cut.concat(), long);
        assert!(cut.iter().all(|text| text.len() <= CHUNK_BYTES));
        assert_eq!(chunks(&[b"a", &euro[..1]]), ["a", "\u{fffd}"], "what never became one");
        assert_eq!(chunks(&[b"\xff\xfeb"]), ["\u{fffd}\u{fffd}b"]);
        assert_eq!(chunks(&[&vec![b'x'; 3 * CHUNK_BYTES * MOST_CHUNKS]]).len(), MOST_CHUNKS);
    }

    #[test]
    fn what_is_no_json_is_a_text() {
        for (given, data) in
            [("{\"a\": 1}", "{\"a\": 1}"), ("hello", "\"hello\""), ("", "\"\""), ("1", "1")]
        {
            assert_eq!(data_of(Bytes::from(given)), data);
        }
    }
}
