//! Realtime: tokens, those who listen with them, and those who publish.

mod events;
mod publish;
mod socket;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;
use tokio::time::Instant;

use super::{Server, answer, guard};
use crate::realtime::{Subscription, Topic};
pub(super) use events::events;
pub(super) use publish::{publish, tee};
pub(super) use socket::connect;

/// The names and values in an address; a name may come twice.
type Asked = Vec<(String, String)>;

/// Whether a page may ask for this from elsewhere, if it is let.
pub(super) fn is_listening(path: &str) -> bool {
    matches!(path, "/v1/realtime/connect" | "/v1/realtime/sse")
}

/// `POST /v1/realtime/token`: a list of topics in, a token for a minute out.
pub(super) async fn token(State(server): State<Server>, body: Bytes) -> Response {
    let topics: Vec<Topic> = match serde_json::from_slice(&body) {
        Ok(topics) => topics,
        Err(error) => {
            let why = format!("no list of topics, each with a channel and a name: {error}");
            return answer::refused(StatusCode::BAD_REQUEST, &why);
        }
    };
    if let Some(why) = Topic::refusal(&topics) {
        return answer::refused(StatusCode::BAD_REQUEST, &why);
    }
    match server.tokens.issue(topics) {
        Some(jwt) => answer::json(StatusCode::CREATED, &json!({ "jwt": jwt })),
        None => answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "no token could be made"),
    }
}

/// Lets in whoever has a token, in the address or as a bearer. It listens from here on.
async fn subscribed(
    server: &Server,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Subscription, Response> {
    let bearer = guard::text(headers, "authorization");
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let token = one(asked, "token").or(bearer).unwrap_or_default();
    let Some(topics) = server.tokens.read(token) else {
        let why = "the token is missing, of another server or over a minute old: ask for one with POST \
                   /v1/realtime/token, and use it at once";
        return Err(answer::refused(StatusCode::UNAUTHORIZED, why));
    };
    let Some(mut subscription) = server.hub.open() else {
        let why = "as many listen as can, or the server is closing: try again in a second";
        let refused = answer::refused(StatusCode::SERVICE_UNAVAILABLE, why);
        return Err(answer::again(refused));
    };
    match subscription.listen(topics).await {
        Ok(()) => Ok(subscription),
        Err(error) => Err(answer::failed(&error)),
    }
}

fn one<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn later(after: Duration) -> Instant {
    Instant::now().checked_add(after).unwrap_or_else(Instant::now)
}
