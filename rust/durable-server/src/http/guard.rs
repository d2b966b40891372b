//! Who is let in: whoever reaches the server, but no page of another site, and the rest of the API with a key only.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Server, answer, body, realtime};
use crate::config::{Config, Kind};

/// Everything: a browser that shows another site's page reaches this machine too, and names that others own may lead
/// here.
pub(super) async fn only_from_here(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Response {
    let kind = server.config.kind;
    let mut response = match refusal(&server, &request) {
        Some(why) => {
            body::read_away(request.into_body()).await;
            answer::error(StatusCode::FORBIDDEN, why)
        }
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert("x-inngest-server-kind", HeaderValue::from_static(kind.as_str()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What is not the event API.
pub(super) async fn only_with_key(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Response {
    if server.keys.lets_ask(text(request.headers(), "authorization")) {
        next.run(request).await
    } else {
        body::read_away(request.into_body()).await;
        answer::refused(
            StatusCode::UNAUTHORIZED,
            "the signing key, as a bearer, is missing or another one",
        )
    }
}

fn refusal(server: &Server, request: &Request) -> Option<&'static str> {
    let headers = request.headers();
    let host = text(headers, "host").unwrap_or_default();
    if server.config.kind == Kind::Dev && !is_of_this_machine(host) {
        return Some(
            "this server is for programs of this machine: ask for it as localhost or 127.0.0.1",
        );
    }
    // A socket is read and written, whatever it is asked for with.
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && !headers.contains_key(header::UPGRADE);
    let is_other_site = text(headers, "sec-fetch-site") == Some("cross-site");
    let origins = headers.get_all(header::ORIGIN);
    let is_own = origins.iter().all(|origin| is_of(origin, host));
    let is_refused = if realtime::is_listening(request.uri().path()) {
        let may_listen = |origin| {
            is_of(origin, host) || origin.to_str().is_ok_and(|of| may_listen(&server.config, of))
        };
        let is_any = headers.contains_key(header::ORIGIN);
        if is_any { !origins.iter().all(may_listen) } else { is_other_site }
    } else {
        (!is_own && !is_read) || is_other_site
    };
    is_refused.then_some("a page of another site may not ask this server")
}

/// A page of one's own may stand elsewhere than the server: for one programmer anywhere on this machine.
fn may_listen(config: &Config, origin: &str) -> bool {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    (config.kind == Kind::Dev && is_of_this_machine(host))
        || config.origins.iter().any(|known| known == origin)
}

/// Whether a page with this `Origin` is one of the server's own.
fn is_of(origin: &HeaderValue, host: &str) -> bool {
    let place = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    place.is_some_and(|(_, of)| of == host)
}

/// A name or a number that always is this machine, with or without a port.
fn is_of_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_few() {
        for host in ["localhost", "localhost:8288", "127.0.0.1:1", "[::1]:8288", "[::1]"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.com", "localhost.evil.com:8288", "127.0.0.1.nip.io", "localhost:8288:1x"]
        {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }
}
