//! The web page: its files, which are part of the program, and what it reads and does, as JSON.

mod brief;
mod events;
mod functions;
mod one_run;
mod runs;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use durable_runtime::Result;
use serde_json::Value;

pub(super) use events::{events, send};
pub(super) use functions::functions;
pub(super) use one_run::{rerun, run};
pub(super) use runs::runs;

use super::answer;

/// A file's name, its kind and what it holds.
type File = (&'static str, &'static str, &'static str);

const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [File; 11] = [
    ("app.js", SCRIPT, include_str!("../../ui/app.js")),
    ("ask.js", SCRIPT, include_str!("../../ui/ask.js")),
    ("dom.js", SCRIPT, include_str!("../../ui/dom.js")),
    ("events.js", SCRIPT, include_str!("../../ui/events.js")),
    ("functions.js", SCRIPT, include_str!("../../ui/functions.js")),
    ("run.js", SCRIPT, include_str!("../../ui/run.js")),
    ("runs.js", SCRIPT, include_str!("../../ui/runs.js")),
    ("timeline.js", SCRIPT, include_str!("../../ui/timeline.js")),
    ("words.js", SCRIPT, include_str!("../../ui/words.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("../../ui/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../ui/icon.svg")),
];

/// Nothing from elsewhere, nothing made of text, in nobody's frame.
const POLICY: &str = "default-src 'self'; script-src 'self'; object-src 'none'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /`.
pub(super) async fn page() -> Response {
    file_of(&("", "text/html; charset=utf-8", include_str!("../../ui/index.html")))
}

/// `GET /ui/{file}`.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some(file) => file_of(file),
        None => answer::no_such_place().await,
    }
}

fn file_of((_, kind, text): &File) -> Response {
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, *text).into_response()
}

/// JSON of what is read where a read may wait.
async fn found(read: impl FnOnce() -> Result<Value> + Send + 'static) -> Response {
    let mut response = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => answer::json(StatusCode::OK, &value),
        Ok(Err(error)) => answer::failed(&error),
        Err(broken) => answer::refused(StatusCode::INTERNAL_SERVER_ERROR, &broken.to_string()),
    };
    let no_store = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// What is wrong with a question.
fn wrong(why: String) -> durable_runtime::Error {
    durable_runtime::Error::new(durable_runtime::Kind::Invalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there() {
        let texts = FILES.iter().map(|(_, _, text)| *text);
        let all: Vec<&str> = texts.chain([include_str!("../../ui/index.html")]).collect();
        let of_page = all.iter().flat_map(|text| text.split("\"/ui/").skip(1));
        let of_scripts = all.iter().flat_map(|text| text.split("from \"./").skip(1));
        let names = of_page.chain(of_scripts).filter_map(|rest| rest.split('"').next());
        for name in names.filter(|name| !name.starts_with("api/")) {
            assert!(file(Path(name.to_owned())).await.status().is_success(), "{name}");
        }
        assert_eq!(file(Path("../Cargo.toml".to_owned())).await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_page_is_sent_with_its_policy() {
        let response = page().await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in
            ["default-src 'self'", "script-src 'self'", "object-src 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{part}");
        }
        assert!(!policy.contains("unsafe"));
    }
}
