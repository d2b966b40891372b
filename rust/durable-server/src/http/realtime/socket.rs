//! Listening through a WebSocket, on which topics can be added and given up.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{Asked, Server, later, subscribed};
use crate::clock;
use crate::realtime::{Frame, Message as Said, Subscription, Topic};

/// So often whoever listens is asked for a sign of life.
const PING: Duration = Duration::from_secs(15);
/// Without one for so long it is gone.
const SILENCE: Duration = Duration::from_secs(50);
/// Whoever takes nothing for so long is gone, too.
const TO_SEND: Duration = Duration::from_secs(30);
/// After the last word the other side has so long to go.
const TO_GO: Duration = Duration::from_millis(500);
/// The most bytes of what it says: a token for many topics.
const MOST_BYTES: usize = 128 * 1024;

/// `GET /v1/realtime/connect?token=`
pub(in super::super) async fn connect(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    match subscribed(&server, &asked, &headers).await {
        Ok(subscription) => upgrade
            .max_message_size(MOST_BYTES)
            .on_upgrade(move |socket| talk(server, socket, subscription)),
        Err(refused) => refused,
    }
}

/// What came next.
enum Next {
    Frame(Frame),
    Said(Option<Message>),
    Ping,
}

async fn talk(server: Server, mut socket: WebSocket, mut subscription: Subscription) {
    let mut ping = interval_at(later(PING), PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    loop {
        let next = tokio::select! {
            frame = subscription.next() => Next::Frame(frame),
            said = socket.recv() => Next::Said(said.and_then(Result::ok)),
            _ = ping.tick() => Next::Ping,
        };
        let outgoing = match next {
            Next::Frame(Frame::Closing(why)) => return farewell(&mut socket, why).await,
            Next::Frame(frame) => Some(message(&frame)),
            Next::Said(None | Some(Message::Close(_))) => return,
            Next::Said(Some(said)) => {
                heard_at = Instant::now();
                answer(&server, &mut subscription, &said).await
            }
            Next::Ping if heard_at.elapsed() > SILENCE => return,
            Next::Ping => Some(Message::Ping(bytes::Bytes::new())),
        };
        if let Some(outgoing) = outgoing
            && !matches!(timeout(TO_SEND, socket.send(outgoing)).await, Ok(Ok(())))
        {
            return;
        }
    }
}

/// JSON is text; so is what is copied, where it is.
fn message(frame: &Frame) -> Message {
    let bytes = frame.json();
    Utf8Bytes::try_from(bytes.clone()).map_or(Message::Binary(bytes), Message::Text)
}

/// Says why, in both ways there are, and waits for the other side to go.
async fn farewell(socket: &mut WebSocket, why: &'static str) {
    let last = message(&Frame::farewell(why));
    let close = CloseFrame { code: close_code::AGAIN, reason: Utf8Bytes::from_static(why) };
    let said = async {
        socket.send(last).await?;
        socket.send(Message::Close(Some(close))).await
    };
    if matches!(timeout(TO_GO, said).await, Ok(Ok(()))) {
        let gone = async { while socket.recv().await.is_some_and(|said| said.is_ok()) {} };
        let _in_time = timeout(TO_GO, gone).await.is_ok();
    }
}

#[derive(Deserialize)]
struct Wish<'a> {
    kind: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What is answered to whoever listens: of `sub` and `unsub` all that it listens to then, or why not.
async fn answer(
    server: &Server,
    subscription: &mut Subscription,
    said: &Message,
) -> Option<Message> {
    let Message::Text(text) = said else { return None };
    let wish: Wish<'_> = serde_json::from_str(text).ok()?;
    let data = wish.data.map_or("null", RawValue::get);
    let done = match wish.kind.as_str() {
        "ping" => return Some(message(&reply("pong", None, None))),
        "sub" => match serde_json::from_str(data)
            .ok()
            .and_then(|token: String| server.tokens.read(&token))
        {
            Some(topics) => subscription.listen(topics).await.map_err(|error| error.text),
            None => Err("the token is of another server or over a minute old".to_owned()),
        },
        "unsub" => serde_json::from_str::<Vec<Topic>>(data)
            .map(|topics| subscription.forget(topics))
            .map_err(|error| format!("no list of topics: {error}")),
        _ => return None,
    };
    let kind = wish.kind.as_str();
    Some(message(&match done {
        Ok(()) => reply(kind, to_raw_value(subscription.topics()).ok().as_deref(), None),
        Err(why) => {
            let why = to_raw_value(&serde_json::json!({ "error": why })).ok();
            reply(kind, None, why.as_deref())
        }
    }))
}

fn reply(kind: &str, data: Option<&RawValue>, metadata: Option<&RawValue>) -> Frame {
    Said { data, metadata, ..Said::new(kind, ("", ""), clock::now()) }.frame()
}
