//! The HTTP client: signs what it asks, and checks who answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use durable_runtime::Offer;
use reqwest::redirect::Policy;
use ulid::Ulid;

use super::reply::{MOST_BYTES, Reply};
use super::request::{body, item_id, step_id};
use crate::apps::Callee;
use crate::keys::Keys;

/// So long a function may take to answer.
const AT_MOST: Duration = Duration::from_hours(2);
const TO_CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 3;
/// Whoever is called speaks the version that it prefers: what it is told is the same in all.
const ANY_VERSION: &str = "-1";

/// See the file's first line.
#[derive(Debug)]
pub(super) struct Caller {
    client: reqwest::Client,
    keys: Arc<Keys>,
}

/// The client of everything that the server asks for. HTTP's own names have capital letters: some of those who are
/// asked look for them so.
pub(crate) fn client() -> Result<reqwest::Client, String> {
    // Where another has been chosen before, that one is used.
    let _chosen = rustls::crypto::ring::default_provider().install_default().is_ok();
    reqwest::Client::builder()
        .http1_title_case_headers()
        .http1_only()
        .no_proxy()
        .redirect(Policy::limited(REDIRECTS))
        .connect_timeout(TO_CONNECT)
        .timeout(AT_MOST)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

impl Caller {
    pub(super) fn new(client: reqwest::Client, keys: Arc<Keys>) -> Self {
        Self { client, keys }
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Calls a function; `Err` says in words why there is no reply.
    pub(super) async fn call(&self, offer: &Offer, callee: &Callee) -> Result<Reply, String> {
        let request_id = Ulid::from_parts(offer.run.made_at().as_millis(), chance()).to_string();
        let body = body(offer, callee, &request_id);
        let url = url_of(callee, &step_id(offer))?;
        let mut request = self
            .client
            .post(url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "Inngest")
            .header("X-Request-Id", request_id)
            .header("X-Run-Id", offer.run.to_string())
            .header("X-Inngest-Req-Version", ANY_VERSION)
            .header("X-Inngest-Step-Id", step_id(offer))
            .header("X-Inngest-Generation-Id", "1")
            .header("X-Inngest-Job-Id", item_id(offer))
            .header("X-Inngest-Server-Kind", "dev");
        if let Some(signature) = self.signature(&body) {
            request = request.header("X-Inngest-Signature", signature);
        }
        let response =
            request.body(body).send().await.map_err(|error| unreachable(callee, &error))?;
        let reply = read(response).await?;
        if reply.is_sdk && !self.keys.is_signed(&reply.body, reply.signature.as_deref()) {
            return Err(
                "its reply is not signed with one of this server's keys: do both have the same \
                        signing key?"
                    .to_owned(),
            );
        }
        Ok(reply)
    }

    /// Of the canonical form: whoever is asked makes it again of what it reads.
    fn signature(&self, body: &[u8]) -> Option<String> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        self.keys.sign(&serde_jcs::to_vec(&value).ok()?)
    }
}

async fn read(mut response: reqwest::Response) -> Result<Reply, String> {
    let mut reply = Reply { status: response.status().as_u16(), ..Reply::default() };
    for (name, value) in response.headers() {
        reply.take_header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    let mut body = BytesMut::new();
    let cut = |error: reqwest::Error| format!("its reply broke off: {}", error.without_url());
    while let Some(part) = response.chunk().await.map_err(cut)? {
        body.extend_from_slice(&part);
        if body.len() > MOST_BYTES {
            return Err(format!("output_too_large: its reply has more than {MOST_BYTES} bytes"));
        }
    }
    reply.body = Bytes::from(body);
    Ok(reply)
}

/// The function's address with the step that is meant.
fn url_of(callee: &Callee, step: &str) -> Result<reqwest::Url, String> {
    let mut url = reqwest::Url::parse(&callee.endpoint)
        .map_err(|error| format!("'{}' is no address: {error}", callee.endpoint))?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "fnId" && name != "stepId")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("fnId", &callee.name)
        .append_pair("stepId", step);
    Ok(url)
}

fn unreachable(callee: &Callee, error: &reqwest::Error) -> String {
    let mut text = format!("http_unreachable: nobody answers at {}: {error}", callee.endpoint);
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// Bits that nobody has to guess: they tell requests apart in logs.
fn chance() -> u128 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let half = || u128::from(RandomState::new().build_hasher().finish());
    (half() << 64) | half()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_own_query() {
        let callee = Callee {
            name: "app-f".to_owned(),
            endpoint: "http://h:1/api?env=x&fnId=old&stepId=step".to_owned(),
            max_attempts: 1,
        };
        let url = url_of(&callee, "abc").unwrap();
        assert_eq!(url.as_str(), "http://h:1/api?env=x&fnId=app-f&stepId=abc");
        assert!(url_of(&Callee { endpoint: "no address".to_owned(), ..callee }, "s").is_err());
    }
}
