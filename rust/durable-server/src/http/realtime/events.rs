//! Listening to a stream of events, as a browser's `EventSource` does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame as Part;
use tokio::time::{Sleep, sleep};

use super::{Asked, Server, later, subscribed};
use crate::realtime::{Frame, Subscription};

/// After so long without a message there is a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Whoever wants to listen longer comes back with another token.
const AT_MOST: Duration = Duration::from_mins(15);
const SIGN_OF_LIFE: &[u8] = b":\n\n";
const TOO_LONG: &str = "listening for a quarter of an hour is over: listen again with a new token";

/// `GET /v1/realtime/sse?token=`
pub(in super::super) async fn events(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let subscription = match subscribed(&server, &asked, &headers).await {
        Ok(subscription) => subscription,
        Err(refused) => return refused,
    };
    let body = Body::new(Events::new(subscription, KEEP_ALIVE, AT_MOST));
    let named = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    let mut response = (named, body).into_response();
    // A page of another place that was let in so far may read it, too.
    if let Some(origin) = headers.get(header::ORIGIN) {
        let said = response.headers_mut();
        said.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        said.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// The body of an answer that goes on. Whoever goes drops it.
#[derive(Debug)]
struct Events {
    subscription: Option<Subscription>,
    every: Duration,
    keep_alive: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    /// What says that somebody listens comes first: some wait for a first byte.
    has_begun: bool,
}

impl Events {
    fn new(subscription: Subscription, every: Duration, at_most: Duration) -> Self {
        Self {
            subscription: Some(subscription),
            every,
            keep_alive: Box::pin(sleep(every)),
            end: Box::pin(sleep(at_most)),
            has_begun: false,
        }
    }

    /// The next piece; `None`: that was all.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(subscription) = &mut self.subscription else { return Poll::Ready(None) };
        if !std::mem::replace(&mut self.has_begun, true) {
            return Poll::Ready(Some(Bytes::from_static(SIGN_OF_LIFE)));
        }
        if let Poll::Ready(frame) = subscription.poll_next(context) {
            self.keep_alive.as_mut().reset(later(self.every));
            if matches!(frame, Frame::Closing(_)) {
                self.subscription = None;
            }
            return Poll::Ready(Some(frame.event()));
        }
        if self.end.as_mut().poll(context).is_ready() {
            self.subscription = None;
            return Poll::Ready(Some(Frame::farewell(TOO_LONG).event()));
        }
        if self.keep_alive.as_mut().poll(context).is_ready() {
            self.keep_alive.as_mut().reset(later(self.every));
            context.waker().wake_by_ref(); // it is asked again, and says then when
            return Poll::Ready(Some(Bytes::from_static(SIGN_OF_LIFE)));
        }
        Poll::Pending
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Infallible>>> {
        self.poll_piece(context).map(|piece| piece.map(Part::data).map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use durable_runtime::Engine;

    use super::*;
    use crate::realtime::Hub;

    async fn piece(events: &mut Events) -> Option<Bytes> {
        poll_fn(|context| events.poll_piece(context)).await
    }

    /// Where nothing is said for a while, there is a sign of life; after a time it is over.
    #[tokio::test]
    async fn a_stream_of_events_lives_and_ends() {
        let engine = Engine::open(&durable_runtime::Config::new("memory:")).unwrap();
        let hub = Arc::new(Hub::new(Arc::new(engine)));
        let open = |every: u64, at_most: u64| {
            let subscription = hub.open().unwrap();
            Events::new(subscription, Duration::from_millis(every), Duration::from_millis(at_most))
        };
        let mut quiet = open(1, 60_000);
        for _ in 0..5 {
            assert_eq!(piece(&mut quiet).await.as_deref(), Some(SIGN_OF_LIFE));
        }
        let mut short = open(60_000, 1);
        assert_eq!(piece(&mut short).await.as_deref(), Some(SIGN_OF_LIFE));
        let last = piece(&mut short).await.unwrap();
        assert!(String::from_utf8_lossy(&last).contains("quarter of an hour"));
        assert_eq!(piece(&mut short).await, None);
        assert_eq!(hub.count(), 1, "it is let go at once");
        hub.close();
        let mut last = piece(&mut quiet).await.unwrap();
        while last == SIGN_OF_LIFE {
            last = piece(&mut quiet).await.unwrap();
        }
        assert!(String::from_utf8_lossy(&last).contains("the server is closing"));
        assert_eq!(piece(&mut quiet).await, None);
        assert!(hub.open().is_none());
        hub.emptied().await;
    }
}
