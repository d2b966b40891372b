//! The HTTP client: signs what it asks, and checks who answers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use durable_runtime::Offer;
use reqwest::header::{HeaderName, HeaderValue};

use super::endpoint;
use super::reply::{MOST_BYTES, Reply};
use super::request::{CallIds, body};
use crate::apps::Callee;
use crate::config::Kind;
use crate::connect::{Asked, Workers, is_dialled};
use crate::keys::Keys;
use crate::outgoing::{Outgoing, shown};

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
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", "Inngest"),
            ("x-request-id", &ids.request),
            ("x-run-id", &endpoint::run_id_of(offer)),
            ("x-inngest-force-step-plan", if ids.is_plan { "true" } else { "false" }),
            ("x-inngest-req-version", ANY_VERSION),
            ("x-inngest-step-id", &ids.step),
            ("x-inngest-generation-id", "1"),
            ("x-inngest-job-id", &ids.item),
            ("x-inngest-server-kind", self.kind.as_str()),
            // Without this header an endpoint takes the call for a request of somebody else's.
            ("x-inngest-signature", &self.signature(&body)?),
        ];
        let made = headers.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        });
        let response = self.client.post(&url, made.collect(), body.into()).await;
        let response = response.map_err(|why| {
            format!("http_unreachable: nobody answers at {}: {why}", shown(&callee.endpoint))
        })?;
        let reply = read(response).await?;
        let is_streamed = reply.is_streamed();
        let reply = reply.unwrapped()?;
        if !reply.is_sdk || self.keys.is_signed(&reply.body, reply.signature.as_deref()) {
            return Ok(reply);
        }
        let why = "its reply is not signed with one of this server's keys: do both have the same signing key?";
        let streamed = " It is streamed: not every SDK signs what it streams.";
        Err(if is_streamed { format!("{why}{streamed}") } else { why.to_owned() })
    }

    /// Of the canonical form: whoever is asked makes it again of what it reads.
    fn signature(&self, body: &[u8]) -> Result<String, String> {
        if !self.keys.can_sign() {
            return Ok(String::new()); // the body may be large
        }
        let canonical = if body.is_empty() {
            Ok(Vec::new())
        } else {
            let value = serde_json::from_slice(body);
            value.and_then(|value: serde_json::Value| serde_jcs::to_vec(&value))
        };
        let canonical = canonical.map_err(|error| format!("the call cannot be signed: {error}"))?;
        self.keys.sign(&canonical).ok_or_else(|| "there is no key to sign with".to_owned())
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
