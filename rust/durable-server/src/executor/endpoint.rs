//! Durable endpoints: runs that an SDK begins by itself, in the middle of a request that somebody has sent it.
//!
//! Such a run has a function as any other: one for each name that its host gives its endpoints. The first call of its
//! code is made by nobody, as the SDK has begun it: it is held, and what the SDK says goes into it. The call ends with
//! the run, with the first thing that is to be waited for, or once nothing has been said for a while. From then on the
//! endpoint is called where the request went.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use durable_core::{Backoff, FunctionSpec, NewEvent, Op, RunId};
use durable_runtime::{Error, Kind, Offer, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::ops::{self, Plan};
use super::{Checkpointed, Executor};
use crate::apps::Callee;
use crate::names::{HTTP_REQUEST, begins_endpoint};

/// What stands before the host in the address of such a function.
const MARK: &str = "endpoint:";
/// Who has begun a run and says nothing for so long is gone.
const QUIET: Duration = Duration::from_mins(5);
/// A run's first call comes within this time, or there is no room.
const TO_COME: Duration = Duration::from_secs(10);
/// More runs than these are not about to be there at a time.
const MOST_BEGUN: usize = 10_000;
/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How a run begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Begun<'a> {
    /// The SDK's own id of the run.
    pub(crate) run_id: String,
    #[serde(borrow)]
    pub(crate) event: Sent<'a>,
    /// What has been done.
    #[serde(borrow, default)]
    pub(crate) steps: Option<&'a RawValue>,
    /// The tries of each piece, where they are not the usual ones.
    #[serde(default)]
    pub(crate) retries: Option<u8>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sent<'a> {
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
}

/// The request: what is read of it here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    domain: String,
    path: String,
    query_params: String,
    #[serde(rename = "fn")]
    function: String,
}

impl Begun<'_> {
    /// The function, and the event that begins the run; `Err` says what is wrong with it.
    pub(crate) fn read(
        &self,
        backoff: &Backoff,
    ) -> std::result::Result<(FunctionSpec, NewEvent), String> {
        let request: Request = serde_json::from_str(self.event.data.get())
            .map_err(|error| format!("its event's data: {error}"))?;
        let host = request
            .domain
            .split_once("://")
            .map(|(_, host)| host)
            .filter(|host| !host.is_empty())
            .ok_or_else(|| format!("'{}' is no domain: https://HOST", request.domain))?;
        let named =
            if request.function.is_empty() { "endpoint" } else { request.function.as_str() };
        let name = format!("{host}-{named}");
        let event = NewEvent {
            name: format!("{HTTP_REQUEST}{name}"),
            data: self.event.data.get().to_owned().into(),
            user_id: Some(self.run_id.clone()),
            ..NewEvent::default()
        };
        let spec = FunctionSpec {
            triggers: vec![event.name.clone()],
            endpoint: Some(format!("{MARK}{}", request.domain)),
            retries: self.retries.unwrap_or(3).min(FunctionSpec::MAX_RETRIES),
            backoff: backoff.clone(),
            ..FunctionSpec::new(host, name)
        };
        Ok((spec, event))
    }
}

/// The host of a durable endpoint, where that is what lives there.
pub(crate) fn host_of(endpoint: &str) -> Option<&str> {
    endpoint.strip_prefix(MARK)
}

/// Where the request went that began a run.
pub(super) fn url_of(host: &str, offer: &Offer) -> std::result::Result<String, String> {
    let event = offer.events.first().map(|(_, event)| event.data.as_ref()).unwrap_or_default();
    let request: Request = serde_json::from_slice(event).unwrap_or_default();
    let query = if request.query_params.is_empty() { "" } else { "?" };
    let url = format!("{host}{}{query}{}", request.path, request.query_params);
    // No path leads to another host.
    if request.path.starts_with('/') {
        Ok(url)
    } else {
        Err(format!("'{}' is no path of {host}", request.path))
    }
}

/// What a run is called by those who are told of it: an endpoint's by the id that its SDK has given it.
pub(super) fn run_id_of(offer: &Offer) -> Cow<'_, str> {
    let begun = offer.events.first().filter(|(_, event)| begins_endpoint(&event.name));
    match begun.and_then(|(_, event)| event.user_id.as_deref()) {
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(offer.run.to_string()),
    }
}

/// A call that is the SDK's own.
#[derive(Debug)]
pub(super) struct Held {
    offer: Offer,
    said_at: Instant,
}

impl Executor {
    /// Whether this is the first call of an endpoint, which its SDK has begun by itself.
    pub(super) fn is_begun(&self, offer: &Offer, callee: &Callee) -> bool {
        host_of(&callee.endpoint).is_some() && self.state.lock().begun.remove(&*run_id_of(offer))
    }

    /// A run of this id, as its SDK has given it, is about to be there: its first call is its SDK's own.
    pub(crate) fn expect(&self, run: &str) {
        let mut state = self.state.lock();
        if state.begun.len() >= MOST_BEGUN {
            state.begun.clear();
        }
        state.begun.insert(run.to_owned());
    }

    /// Holds such a call until what is said ends it, or nothing has been said for a while.
    pub(super) async fn hold(&self, offer: Offer) {
        let (run, epoch) = (offer.run, offer.epoch);
        let mut said_at = Instant::now();
        self.state.lock().held.insert(run, Held { offer, said_at });
        self.holds.notify_waiters();
        loop {
            tokio::time::sleep_until(said_at + QUIET).await;
            let mut state = self.state.lock();
            let Some(held) = state.held.get(&run).filter(|held| held.offer.epoch == epoch) else {
                return;
            };
            if held.said_at > said_at {
                said_at = held.said_at;
                continue;
            }
            let Some(held) = state.held.remove(&run) else { return };
            drop(state);
            let why = "whoever began the run has said nothing of it for five minutes";
            self.report(&held.offer, Plan::failed("Error", why));
            return;
        }
    }

    /// Waits until the call of a run that has just begun is held; false: there was no room for it in time.
    pub(crate) async fn is_held(&self, run: RunId) -> bool {
        let until = Instant::now() + TO_COME;
        loop {
            let holds = self.holds.notified();
            let mut holds = std::pin::pin!(holds);
            holds.as_mut().enable();
            if self.state.lock().held.contains_key(&run) {
                return true;
            }
            if tokio::time::timeout_at(until, holds).await.is_err() {
                return false;
            }
        }
    }

    /// Records what an endpoint's SDK has done, and ends the call with what is to be waited for.
    pub(crate) async fn record(
        self: &Arc<Self>,
        run: RunId,
        steps: &RawValue,
    ) -> Result<Checkpointed> {
        let said = match ops::of_endpoint(steps) {
            Ok(said) => said,
            Err(why) => return Ok(Checkpointed::Refused(why)),
        };
        let epoch = {
            let mut state = self.state.lock();
            let Some(held) = state.held.get_mut(&run) else { return Ok(Checkpointed::Stale) };
            held.said_at = Instant::now();
            held.offer.epoch
        };
        match said {
            ops::Said::Recorded(ops) => Ok(self.confirmed((run, epoch), ops).await),
            ops::Said::Ended(plan) => {
                // Once begun it is brought to its end, whether or not somebody still waits for it.
                let executor = Arc::clone(self);
                let ending = tokio::spawn(async move { executor.end(run, plan).await });
                ending.await.map_err(|broken| Error::new(Kind::Broken, broken.to_string()))?
            }
        }
    }

    async fn end(&self, run: RunId, mut plan: Plan) -> Result<Checkpointed> {
        let held = self.state.lock().held.remove(&run);
        let Some(Held { offer, .. }) = held else { return Ok(Checkpointed::Stale) };
        super::gateway::perform(&mut plan, self.caller.client()).await;
        if !plan.is_over() {
            // It is on disk before the call ends, and nobody is told of that.
            let done = self.confirmed((run, offer.epoch), plan.ops).await;
            self.state.lock().keep(run, plan.waits_for_all);
            self.report(&offer, Plan::default());
            return Ok(done);
        }
        let is_end = plan.ops.iter().any(|op| matches!(op, Op::RunComplete { .. }));
        if !self.report(&offer, plan) {
            return Ok(Checkpointed::Stale);
        }
        // What has failed and is lost is tried again all the same.
        let until = Instant::now() + TO_COME;
        while is_end && !self.has_ended(run)? {
            if Instant::now() > until {
                return Ok(Checkpointed::Stale);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Checkpointed::Recorded)
    }

    fn has_ended(&self, run: RunId) -> Result<bool> {
        Ok(self.engine.run(run)?.is_none_or(|view| view.ended_at.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use durable_core::{EventId, EventRecord, Timestamp};

    use super::*;
    use crate::executor::ops::tests::discovery;

    const REQUEST: &str =
        r#"{"domain":"http://h:1","path":"/a/b","query_params":"c=1","method":"GET","fn":""}"#;

    fn begun(data: &str) -> std::result::Result<(FunctionSpec, NewEvent), String> {
        let body = format!(r#"{{"run_id":"R","event":{{"name":"n","data":{data}}},"retries":5}}"#);
        let begun: Begun<'_> = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        begun.read(&Backoff::default())
    }

    fn offer_of(event: NewEvent) -> Offer {
        let record = EventRecord {
            name: event.name,
            user_id: event.user_id,
            received_at: Timestamp::default(),
            ts: Timestamp::default(),
            version: None,
            user: None,
            runs: Vec::new(),
            skips: Vec::new(),
            duplicate_of: None,
            made_for: None,
            data: event.data,
        };
        Offer { events: vec![(EventId::default(), record)], ..discovery() }
    }

    #[test]
    fn a_request_is_an_event_of_its_hosts_function() {
        let (spec, event) = begun(REQUEST).unwrap();
        assert_eq!((spec.app.as_str(), spec.name.as_str()), ("h:1", "h:1-endpoint"));
        assert_eq!((spec.retries, spec.triggers), (5, vec![event.name.clone()]));
        assert_eq!(spec.endpoint.as_deref().and_then(host_of), Some("http://h:1"));
        let offer = offer_of(event);
        assert_eq!(url_of("http://h:1", &offer).unwrap(), "http://h:1/a/b?c=1");
        assert_eq!(run_id_of(&offer), "R");
        assert!(begun(r#"{"domain":"nowhere"}"#).is_err());
    }

    #[test]
    fn a_path_leads_to_no_other_host() {
        for path in ["", "@evil/", ".evil/", ":80/"] {
            let (_, event) = begun(&REQUEST.replace("/a/b", path)).unwrap();
            assert!(url_of("http://h", &offer_of(event)).is_err(), "{path}");
        }
    }
}
