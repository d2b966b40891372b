//! What came back: a reply of an SDK, or why there is none.

use std::time::Duration;

use bytes::Bytes;
use durable_core::Retry;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::memo::named;

/// The most bytes of a reply.
pub(crate) const MOST_BYTES: usize = 40 * 1024 * 1024;
/// The status of a reply that says its own in its body: whoever sends it can keep the connection alive meanwhile.
const STREAMED: u16 = 201;

/// What an SDK said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// It is an SDK that has answered.
    pub(crate) is_sdk: bool,
    pub(crate) no_retry: bool,
    /// When it wants to be called again, where it does.
    pub(crate) retry_after: Option<String>,
    /// What signs the body.
    pub(crate) signature: Option<String>,
    pub(crate) body: Bytes,
}

/// The reply that one which was streamed holds.
#[derive(Deserialize)]
struct Inner<'a> {
    status: u16,
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// So Go's SDK says what others say in headers.
    #[serde(default, rename = "noRetry")]
    no_retry: bool,
    #[serde(rename = "retryAt")]
    retry_at: Option<String>,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Reply {
    /// One header of it, by its name in small letters.
    pub(super) fn take_header(&mut self, name: &str, value: &str) {
        if name == "x-inngest-sdk" {
            self.is_sdk = true;
        }
        self.take_inner_header(name, value);
    }

    /// The same of one that is inside: who answers is said outside.
    fn take_inner_header(&mut self, name: &str, value: &str) {
        match name {
            "x-inngest-no-retry" => self.no_retry = value == "true",
            "retry-after" => self.retry_after = Some(value.to_owned()),
            "x-inngest-signature" => self.signature = Some(value.to_owned()),
            _ => {}
        }
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.status == STREAMED
    }

    /// The reply inside one that was streamed: whoever signs it signs that one.
    pub(super) fn unwrapped(self) -> Result<Self, String> {
        if !self.is_streamed() {
            return Ok(self);
        }
        let inner: Inner<'_> = serde_json::from_slice(&self.body)
            .map_err(|error| format!("its streamed reply has ended early, or is none: {error}"))?;
        let mut reply = Self {
            status: inner.status,
            is_sdk: self.is_sdk,
            no_retry: inner.no_retry,
            retry_after: inner.retry_at,
            ..Self::default()
        };
        for (name, value) in &inner.headers.unwrap_or_default() {
            reply.take_inner_header(&name.to_ascii_lowercase(), value);
        }
        let text = serde_json::from_str::<String>(inner.body.get());
        reply.body = text.unwrap_or_else(|_json| inner.body.get().to_owned()).into();
        Ok(reply)
    }

    /// What it says about another try.
    pub(super) fn retry(&self, now_ms: u64) -> Retry {
        if self.no_retry {
            return Retry::Never;
        }
        let after = self.retry_after.as_deref().and_then(|text| length_of(text, now_ms));
        after.map_or(Retry::Backoff, Retry::After)
    }

    /// The error that a reply without steps holds: its body, as it is, where that is one.
    pub(super) fn error(&self) -> Bytes {
        let text = serde_json::from_slice::<String>(&self.body).ok();
        let body = text.map_or_else(|| self.body.clone(), Bytes::from);
        let fields = serde_json::from_slice::<serde_json::Map<_, _>>(&body).unwrap_or_default();
        if fields.contains_key("message") || fields.contains_key("name") {
            return body;
        }
        let what = format!("invalid status code: {}", self.status);
        let said = String::from_utf8_lossy(&body);
        let message = if said.is_empty() { what } else { format!("{what}: {}", beginning(&said)) };
        named("Error", &message).into()
    }
}

fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(500).map_or(text.len(), |(place, _)| place);
    text.get(..end).unwrap_or_default()
}

/// Seconds, or a moment as HTTP or ISO 8601 have it.
fn length_of(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let http = || {
        let moment = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        u64::try_from(moment.as_millisecond()).ok()
    };
    let at = crate::length::moment_ms(text).or_else(http)?;
    Some(Duration::from_millis(at.saturating_sub(now_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_reply_holds_the_real_one() {
        let body =
            br#"   {"body":"{\"a\":1}","headers":{"X-Inngest-No-Retry":"true"},"status":500}"#;
        let streamed =
            Reply { status: 201, is_sdk: true, body: Bytes::from_static(body), ..Reply::default() };
        let reply = streamed.unwrapped().unwrap();
        assert_eq!((reply.status, reply.no_retry, reply.is_sdk), (500, true, true));
        assert_eq!(reply.body, "{\"a\":1}");
        let gos = br#" {"status":500,"body":[1],"headers":null,"noRetry":true,"retryAt":"2001-09-09T01:46:50Z"}"#;
        let streamed =
            Reply { status: 201, is_sdk: true, body: Bytes::from_static(gos), ..Reply::default() };
        let reply = streamed.unwrapped().unwrap();
        assert_eq!((reply.status, reply.no_retry, &*reply.body), (500, true, &b"[1]"[..]));
        assert_eq!(reply.retry_after.as_deref(), Some("2001-09-09T01:46:50Z"));
        let cut = Reply { status: 201, body: Bytes::from_static(b"   "), ..Reply::default() };
        assert!(cut.unwrapped().is_err());
    }

    #[test]
    fn when_to_try_again_is_said_in_three_ways() {
        let retry = |text: &str| {
            Reply { retry_after: Some(text.to_owned()), ..Reply::default() }
                .retry(1_000_000_000_000)
        };
        assert_eq!(retry("7"), Retry::After(Duration::from_secs(7)));
        assert_eq!(retry("2001-09-09T01:46:50Z"), Retry::After(Duration::from_secs(10)));
        assert_eq!(retry("Sun, 09 Sep 2001 01:46:50 GMT"), Retry::After(Duration::from_secs(10)));
        assert_eq!(retry("soon"), Retry::Backoff);
        assert_eq!(Reply { no_retry: true, ..Reply::default() }.retry(0), Retry::Never);
    }

    #[test]
    fn an_error_is_kept_as_it_was_said() {
        let error = |body: &'static str| {
            let reply = Reply {
                status: 500,
                body: Bytes::from_static(body.as_bytes()),
                ..Reply::default()
            };
            String::from_utf8(reply.error().to_vec()).unwrap()
        };
        assert_eq!(error(r#"{"name":"E","stack":null}"#), r#"{"name":"E","stack":null}"#);
        assert!(error("<h1>Oops</h1>").contains("invalid status code: 500: <h1>"));
        assert!(error("").contains("\"invalid status code: 500\""));
    }
}
