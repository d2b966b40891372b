//! How the server speaks to those that it calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, Url};

use crate::reach::{Reach, refused};

/// So long a function may take to answer.
const AT_MOST: Duration = Duration::from_hours(2);
const TO_CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 3;

/// The client of everything that the server asks for.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    client: Client,
    /// The same, and it goes nowhere by itself.
    staying: Client,
    reach: Reach,
}

impl Outgoing {
    pub(crate) fn new(reach: Reach) -> Result<Self, String> {
        let hops = reach.clone();
        let resolver = Arc::new(Resolver { reach: reach.clone() });
        let made = |policy: Policy| {
            let builder = builder().redirect(policy).dns_resolver(Arc::clone(&resolver));
            builder.build().map_err(|error| format!("no HTTP client: {error}"))
        };
        let client = made(Policy::custom(move |attempt| follow(attempt, &hops)))?;
        Ok(Self { client, staying: made(Policy::none())?, reach })
    }

    /// A request that may be made; `Err` says why it may not.
    pub(crate) fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, String> {
        Ok(self.client.request(method, self.reach.check(url)?))
    }

    /// Sends a body, and sends it as it is to where that leads, whatever the status that leads there: others make a
    /// request without a body of it. `Err` says in words why there is no answer.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, String> {
        let mut url = self.reach.check(url)?;
        for _ in 0..=REDIRECTS {
            let request = self.staying.post(url).headers(headers.clone()).body(body.clone());
            let response = request.send().await.map_err(in_words)?;
            let Some(next) = led_to(&response) else { return Ok(response) };
            self.reach.check_url(&next)?;
            url = next;
        }
        Err("it leads on and on".to_owned())
    }

    pub(crate) const fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// HTTP's own names have capital letters: some of those who are asked look for them so.
fn builder() -> ClientBuilder {
    // Where another has been chosen before, that one is used.
    let _chosen = rustls::crypto::ring::default_provider().install_default().is_ok();
    Client::builder()
        .http1_title_case_headers()
        .http1_only()
        .no_proxy()
        .connect_timeout(TO_CONNECT)
        .timeout(AT_MOST)
        .tcp_nodelay(true)
}

/// Where somebody else answers, if that is what was answered.
fn led_to(response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301..=303 | 307 | 308) {
        return None;
    }
    let place = response.headers().get(header::LOCATION)?.to_str().ok()?;
    response.url().join(place).ok()
}

/// An error with all of its causes, and without the address.
pub(crate) fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// An address without what may be secret in it.
pub(crate) fn shown(url: &str) -> String {
    let place = url.split(['?', '#']).next().unwrap_or_default();
    match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, behind))) => format!("{scheme}://{behind}"),
        (None | Some(_), None | Some(_)) => place.to_owned(),
    }
}

fn follow(attempt: Attempt<'_>, reach: &Reach) -> Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("it leads on and on");
    }
    match reach.check_url(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    }
}

/// Gives of a name's addresses those that may be called.
#[derive(Debug)]
struct Resolver {
    reach: Reach,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|at| reach.lets(at.ip())).collect();
            if allowed.is_empty() {
                return Err(refused(&host).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        let refusing = Outgoing::new(Reach::new(&[])).unwrap();
        let error =
            refusing.request(Method::GET, "http://localhost:1/").unwrap().send().await.unwrap_err();
        let mut said = String::new();
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause {
            said = format!("{said}{deeper};");
            cause = deeper.source();
        }
        assert!(said.contains("--allow"), "{said}");
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(shown("http://a:80/api?key=1"), "http://a:80/api");
        assert_eq!(shown("https://me:secret@a/api#x"), "https://a/api");
    }
}
