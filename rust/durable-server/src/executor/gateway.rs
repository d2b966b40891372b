//! Requests that the server makes for a step: `step.fetch` and inferences.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{Op, Retry};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::caller::read_whole;
use super::memo::named;
use super::ops::Plan;
use crate::outgoing::{Outgoing, in_words};

/// So long one may take.
const AT_MOST: Duration = Duration::from_mins(10);

/// A request that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    name: String,
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    body: String,
    is_ai: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options<'a> {
    url: String,
    method: Option<String>,
    headers: BTreeMap<String, String>,
    auth_key: Option<String>,
    format: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Request {
    pub(super) fn read(name: String, opts: Option<&str>, is_ai: bool) -> Result<Self, String> {
        let options: Options<'_> = serde_json::from_str(opts.unwrap_or("{}"))
            .map_err(|error| format!("step '{name}': its request cannot be read: {error}"))?;
        let method = options.method.clone().filter(|_| !is_ai);
        let method = method.unwrap_or_else(|| if is_ai { "POST" } else { "GET" }.to_owned());
        let body = options.body.map(RawValue::get).unwrap_or_default();
        let text = serde_json::from_str::<String>(body).unwrap_or_else(|_json| body.to_owned());
        let mut request = Self {
            name,
            url: options.url.clone(),
            method,
            headers: options.headers.clone(),
            body: if body == "null" { String::new() } else { text },
            is_ai,
        };
        if is_ai {
            request.authorize(options.format.as_deref(), options.auth_key.as_deref());
        }
        Ok(request)
    }

    /// The key in the place where this kind of provider looks for it.
    fn authorize(&mut self, format: Option<&str>, key: Option<&str>) {
        let mut set = |name: &str, value: &str| {
            self.headers.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        };
        set("Content-Type", "application/json");
        let Some(key) = key.filter(|key| !key.is_empty()) else { return };
        match format {
            Some("anthropic") => {
                set("X-Api-Key", key);
                set("Anthropic-Version", "2023-06-01");
            }
            Some("gemini") => {
                let sign = if self.url.contains('?') { '&' } else { '?' };
                self.url = format!("{}{sign}key={key}", self.url);
            }
            Some(_) | None => set("Authorization", &format!("Bearer {key}")),
        }
    }

    async fn made(&self, client: &Outgoing) -> Result<Bytes, String> {
        let method = reqwest::Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|error| format!("'{}' is no method: {error}", self.method))?;
        let mut request = client.request(method, &self.url)?.timeout(AT_MOST);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.body.is_empty() {
            request = request.body(self.body.clone());
        }
        let response = request.send().await.map_err(in_words)?;
        let status = response.status().as_u16();
        let headers: BTreeMap<String, String> = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = read_whole(response).await?;
        if !self.is_ai {
            let body = String::from_utf8_lossy(&body);
            let said =
                json!({"url": self.url, "headers": headers, "body": body, "status_code": status});
            return Ok(said.to_string().into());
        }
        if status >= 400 {
            return Err(format!(
                "the provider answered {status}: {}",
                String::from_utf8_lossy(&body)
            ));
        }
        serde_json::from_slice::<&RawValue>(&body)
            .map_err(|error| format!("the provider's answer is no JSON: {error}"))?;
        Ok(body)
    }
}

/// Makes all of them at once; each becomes an op.
pub(super) async fn perform(plan: &mut Plan, client: &Outgoing) {
    let mut tasks = Vec::new();
    for request in std::mem::take(&mut plan.requests) {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let made = request.made(&client).await;
            (request, made)
        }));
    }
    for task in tasks {
        let Ok((request, made)) = task.await else { continue };
        let name = request.name;
        plan.ops.push(match made {
            Ok(data) => Op::StepRun { name, data },
            Err(why) => {
                let kind = if request.is_ai { "AIGatewayError" } else { "GatewayError" };
                Op::StepError { name, error: named(kind, &why).into(), retry: Retry::Backoff }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(opts: &str, is_ai: bool) -> Request {
        Request::read("s".to_owned(), Some(opts), is_ai).unwrap()
    }

    #[test]
    fn a_fetch_is_made_as_it_is_written() {
        let request =
            read(r#"{"url":"http://a","method":"put","headers":{"X-A":"1"},"body":"text"}"#, false);
        assert_eq!((request.method.as_str(), request.body.as_str()), ("put", "text"));
        assert_eq!(request.headers["X-A"], "1");
    }

    #[test]
    fn each_provider_finds_the_key_where_it_looks() {
        let of = |format: &str| {
            let opts = format!(
                r#"{{"url":"http://a","format":"{format}","auth_key":"k","body":{{"m":1}}}}"#
            );
            read(&opts, true)
        };
        assert_eq!(of("openai-chat").headers["Authorization"], "Bearer k");
        assert_eq!(of("anthropic").headers["X-Api-Key"], "k");
        assert_eq!(of("gemini").url, "http://a?key=k");
        assert_eq!(
            (of("gemini").method.as_str(), of("gemini").body.as_str()),
            ("POST", r#"{"m":1}"#)
        );
    }
}
