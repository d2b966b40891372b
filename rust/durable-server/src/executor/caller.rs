//! The HTTP client: signs what it asks, and checks who answers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use durable_runtime::Offer;
use reqwest::Method;

use super::endpoint;
use super::reply::{MOST_BYTES, Reply};
use super::request::{CallIds, body};
use crate::apps::Callee;
use crate::config::Kind;
use crate::connect::{Asked, Workers, is_dialled};
use crate::keys::Keys;
use crate::outgoing::Outgoing;

/// Whoever is called speaks the version that it prefers: what it is told is the same in all.
const ANY_VERSION: &str = "-1";

/// See the file's first line.
#[derive(Debug)]
pub(crate) struct Caller {
    client: Outgoing,
    workers: Arc<Workers>,
    keys: Arc<Keys>,
    kind: Kind,
}

impl Caller {
    pub(crate) fn new(
        client: Outgoing,
        workers: Arc<Workers>,
        keys: Arc<Keys>,
        kind: Kind,
    ) -> Self {
        Self { client, workers, keys, kind }
    }

    pub(super) fn client(&self) -> &Outgoing {
        &self.client
    }

    /// Calls a function; `Err` says in words why there is no reply. A call that waits for a worker, or is lost with
    /// one, is made where it is current; `None` where it is so no more.
    pub(super) async fn call(
        &self,
        offer: &Offer,
        callee: &Callee,
        is_current: &(dyn Fn() -> bool + Sync),
    ) -> Option<Result<Reply, String>> {
        let ids = CallIds::of(offer);
        // An endpoint is told by headers, and asks for the rest: the body of its request is its own affair.
        let is_endpoint = endpoint::host_of(&callee.endpoint).is_some();
        let body = if is_endpoint { Vec::new() } else { body(offer, callee, &ids) };
        if is_dialled(&callee.endpoint) {
            let asked = Asked {
                app: callee.app.clone(),
                function: callee.name.clone(),
                step: ids.step,
                run: offer.run.to_string(),
                job: ids.item,
                body,
            };
            return self.workers.call(&asked, is_current).await;
        }
        Some(self.post(offer, callee, (ids, body)).await)
    }

    async fn post(
        &self,
        offer: &Offer,
        callee: &Callee,
        (ids, body): (CallIds, Vec<u8>),
    ) -> Result<Reply, String> {
        let url = match endpoint::host_of(&callee.endpoint) {
            Some(host) => endpoint::url_of(host, offer)?,
            None => url_of(callee, &ids.step)?,
        };
        let signature = self.signature(&body).unwrap_or_default();
        let request = self
            .client
            .request(Method::POST, &url)?
            .header("Content-Type", "application/json")
            .header("User-Agent", "Inngest")
            .header("X-Request-Id", ids.request)
            .header("X-Run-Id", endpoint::run_id_of(offer).as_ref())
            .header("X-Inngest-Force-Step-Plan", if ids.is_plan { "true" } else { "false" })
            .header("X-Inngest-Req-Version", ANY_VERSION)
            .header("X-Inngest-Step-Id", ids.step)
            .header("X-Inngest-Generation-Id", "1")
            .header("X-Inngest-Job-Id", ids.item)
            .header("X-Inngest-Server-Kind", self.kind.as_str())
            // Without this header an endpoint takes the call for a request of somebody else's.
            .header("X-Inngest-Signature", signature);
        let response =
            request.body(body).send().await.map_err(|error| unreachable(callee, error))?;
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
        if !self.keys.can_sign() {
            return None; // the body may be large
        }
        if body.is_empty() {
            return self.keys.sign(body);
        }
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        self.keys.sign(&serde_jcs::to_vec(&value).ok()?)
    }
}

async fn read(response: reqwest::Response) -> Result<Reply, String> {
    let mut reply = Reply { status: response.status().as_u16(), ..Reply::default() };
    for (name, value) in response.headers() {
        reply.take_header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    reply.body = read_whole(response).await?;
    Ok(reply)
}

/// A body up to the limit; `Err` says in words why it is not whole.
pub(super) async fn read_whole(mut response: reqwest::Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let cut = |error: reqwest::Error| format!("its reply broke off: {}", error.without_url());
    while let Some(part) = response.chunk().await.map_err(cut)? {
        body.extend_from_slice(&part);
        if body.len() > MOST_BYTES {
            return Err(format!("output_too_large: its reply has more than {MOST_BYTES} bytes"));
        }
    }
    Ok(body.freeze())
}

/// The function's address with the step that is meant.
fn url_of(callee: &Callee, step: &str) -> Result<String, String> {
    let mut url = reqwest::Url::parse(&callee.endpoint)
        .map_err(|error| format!("its address is none: {error}"))?;
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
    Ok(url.into())
}

/// Why nobody answered, without the address's query: some have keys in it, and this is logged.
fn unreachable(callee: &Callee, error: reqwest::Error) -> String {
    let place = callee.endpoint.split('?').next().unwrap_or_default();
    format!("http_unreachable: nobody answers at {place}: {}", in_words(error))
}

/// An error with all of its causes, and without the address.
pub(super) fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_own_query() {
        let callee = Callee {
            name: "app-f".to_owned(),
            app: "app".to_owned(),
            endpoint: "http://h:1/api?env=x&fnId=old&stepId=step".to_owned(),
            max_attempts: 1,
        };
        let url = url_of(&callee, "abc").unwrap();
        assert_eq!(url, "http://h:1/api?env=x&fnId=app-f&stepId=abc");
        assert!(url_of(&Callee { endpoint: "no address".to_owned(), ..callee }, "s").is_err());
    }
}
