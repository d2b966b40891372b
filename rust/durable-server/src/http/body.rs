//! A request's body: whole before anything is made of it, and never more than there is room for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};

use super::{Server, answer};

const MIB: usize = 1024 * 1024;
/// The most bytes of a request: of a send of many events, of what functions have made, of anything else.
const MOST_OF_EVENTS: usize = 64 * MIB;
const MOST_OF_RESULTS: usize = 40 * MIB;
const MOST_OF_OTHERS: usize = 5 * MIB;
/// Of spans, which nobody keeps.
const MOST_OF_SPANS: usize = 8 * MIB;
/// All bodies together, but for those that are small.
const MOST_HELD: usize = 256 * MIB;
const SMALL: usize = MIB;
/// Within this time a body has come.
const TO_COME_WHOLE: Duration = Duration::from_secs(30);

/// The bytes of all bodies that are in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

/// One body's bytes among them, for as long as it is there.
#[derive(Debug)]
struct Hold {
    all: Held,
    own: usize,
}

impl Hold {
    /// Whether there is room for so many more.
    fn take(&mut self, more: usize) -> bool {
        self.own = self.own.saturating_add(more);
        let before = self.all.0.fetch_add(more, Ordering::Relaxed);
        self.own <= SMALL || before.saturating_add(more) <= MOST_HELD
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.own, Ordering::Relaxed);
    }
}

enum Refusal {
    TooLarge,
    NoRoom,
    Broken,
}

/// What comes in pieces: none of them is packed.
pub(super) async fn only_plain(request: Request, next: Next) -> Response {
    if is_packed(&request) { refuse_packed(request).await } else { next.run(request).await }
}

/// What is packed could be anything once it is unpacked.
fn is_packed(request: &Request) -> bool {
    request.headers().contains_key(header::CONTENT_ENCODING)
}

async fn refuse_packed(request: Request) -> Response {
    read_away(request.into_body()).await;
    let why = "a body is sent as it is: without Content-Encoding";
    answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
}

/// What is too large, or does not come, ends here.
pub(super) async fn only_whole(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Response {
    if is_packed(&request) {
        return refuse_packed(request).await;
    }
    let (parts, body) = request.into_parts();
    let most = most_bytes(parts.uri.path());
    let mut hold = Hold { all: server.held, own: 0 };
    match tokio::time::timeout(TO_COME_WHOLE, whole(body, most, &mut hold)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, bytes.into())).await,
        Ok(Err(Refusal::TooLarge)) => {
            let why = format!("such a request has at most {most} bytes: send it in several");
            answer::error(StatusCode::PAYLOAD_TOO_LARGE, &why)
        }
        Ok(Err(Refusal::NoRoom)) => {
            let why = "the server has all it can hold for the moment: send it again in a second";
            let refused = answer::error(StatusCode::TOO_MANY_REQUESTS, why);
            answer::again(refused)
        }
        Ok(Err(Refusal::Broken)) => {
            answer::error(StatusCode::BAD_REQUEST, "the body broke off: send it again")
        }
        Err(_late) => {
            answer::error(StatusCode::REQUEST_TIMEOUT, "the body did not come whole in time")
        }
    }
}

/// What is asked without a body: one that comes is not kept.
pub(super) async fn without(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    read_away(body).await;
    next.run(Request::from_parts(parts, Body::empty())).await
}

/// Reads a body, and keeps nothing of it: whoever is refused then hears it. What is too long is left.
pub(super) async fn read_away(mut body: Body) {
    let reading = async {
        let mut seen = 0_usize;
        while let Some(Ok(part)) = next_part(&mut body).await {
            seen = seen.saturating_add(part.len());
            if seen > MOST_OF_EVENTS {
                return;
            }
        }
    };
    let _in_time = tokio::time::timeout(TO_COME_WHOLE, reading).await.is_ok();
}

async fn whole(mut body: Body, most: usize, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > most {
        return Err(Refusal::TooLarge);
    }
    let (mut parts, mut length) = (Vec::new(), 0_usize);
    while let Some(part) = next_part(&mut body).await {
        let part = part.map_err(|_broken| Refusal::Broken)?;
        length = length.saturating_add(part.len());
        if length > most {
            return Err(Refusal::TooLarge);
        }
        if !hold.take(part.len()) {
            return Err(Refusal::NoRoom);
        }
        parts.push(part);
    }
    Ok(joined(parts, length))
}

/// Parts as one: a body that grew in place would be copied again and again, and half of its room be empty.
fn joined(mut parts: Vec<Bytes>, length: usize) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(length);
    for part in parts {
        whole.extend_from_slice(&part);
    }
    whole.freeze()
}

/// The next bytes, at least one; `None` at the end.
pub(super) async fn next_part(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Ok(frame) => {
                if let Some(part) = frame.into_data().ok().filter(|part| !part.is_empty()) {
                    return Some(Ok(part));
                }
            }
            Err(broken) => return Some(Err(broken)),
        }
    }
}

fn most_bytes(path: &str) -> usize {
    let begins = |with: &[&str]| with.iter().any(|one| path.starts_with(one));
    if begins(&["/e/"]) {
        MOST_OF_EVENTS
    } else if begins(&["/v1/checkpoint", "/v1/http/", "/v0/connect/flush"]) {
        MOST_OF_RESULTS
    } else if begins(&["/v1/traces/"]) {
        MOST_OF_SPANS
    } else {
        MOST_OF_OTHERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit_and_given_back() {
        let held = Held::default();
        let mut hold = Hold { all: held.clone(), own: 0 };
        let taken = whole(Body::from("four"), 4, &mut hold).await;
        assert!(taken.is_ok_and(|bytes| bytes == "four"));
        assert_eq!(held.0.load(Ordering::Relaxed), 4);
        drop(hold);
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
        assert_eq!(joined(vec![Bytes::from("a"), Bytes::from("bc")], 3), "abc");
        let mut hold = Hold { all: held, own: 0 };
        assert!(matches!(whole(Body::from("fives"), 4, &mut hold).await, Err(Refusal::TooLarge)));
    }

    #[test]
    fn where_there_is_no_room_only_small_bodies_are_taken() {
        let all = Held::default();
        let mut large = Hold { all: all.clone(), own: 0 };
        assert!(large.take(MOST_HELD));
        let mut one = Hold { all, own: 0 };
        assert!(one.take(SMALL) && !one.take(1));
        drop(large);
        assert!(one.take(1));
    }
}
