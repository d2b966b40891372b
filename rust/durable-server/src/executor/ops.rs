//! The ops of a reply in the engine's own words.

use bytes::Bytes;
use durable_core::{OnConflict, Op, Retry, Since, Until};
use durable_runtime::Offer;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::gateway::Request;
use super::memo::named;
use super::reply::Reply;
use crate::json::{one_or_list, readable, text};
use crate::length::until;
use crate::names::{event_from_sdk, hash_of, name_of_step};

/// What follows from a reply.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) ops: Vec<Op>,
    /// What the server is to ask for by itself: each becomes an op.
    pub(super) requests: Vec<Request>,
    /// The code is not to be called again before all that it asked for has come.
    pub(super) waits_for_all: bool,
    /// It was not called as it was asked for: the code is called again with the steps that are there by now.
    pub(super) is_outdated: bool,
}

impl Plan {
    /// The call, or the code, failed.
    pub(super) fn failed(name: &str, message: &str) -> Self {
        Self::of_error(named(name, message).into(), Retry::Backoff)
    }

    fn of_error(error: Bytes, retry: Retry) -> Self {
        let op = Op::RunError { error, retry, has_left_step: false };
        Self { ops: vec![op], ..Self::default() }
    }

    /// The code has come to an end, or is called again from where it was.
    pub(super) fn is_over(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::RunComplete { .. } | Op::RunError { .. }))
    }
}

/// An op as SDKs write it. What else they write is ignored.
#[derive(Debug, Deserialize)]
struct SdkOp<'a> {
    #[serde(default)]
    id: String,
    op: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "displayName")]
    display_name: Option<String>,
    #[serde(borrow, default)]
    opts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    userland: Option<Userland>,
}

#[derive(Debug, Deserialize)]
struct Userland {
    #[serde(default)]
    id: Option<String>,
}

/// What stands in the options of some ops.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options<'a> {
    duration: Option<String>,
    timeout: Option<String>,
    event: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    signal: Option<String>,
    conflict: Option<String>,
    #[serde(rename = "function_id")]
    function_id: Option<String>,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
    parallel_mode: Option<String>,
}

impl Options<'_> {
    /// Go's SDK writes it with a capital letter.
    fn is_race(&self) -> bool {
        self.parallel_mode.as_deref().is_some_and(|mode| mode.eq_ignore_ascii_case("race"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What stands for the code as a whole where an op names a step.
const WHOLE: &str = "complete";
/// A wait without an end of its own lasts as long as any may, but for a minute.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(366 * 24 * 60 - 1);

/// What follows from what a function's call came to.
pub(super) fn plan(offer: &Offer, reply: Result<Reply, String>, now_ms: u64) -> Plan {
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => return Plan::failed("Error", &why),
    };
    let retry = reply.retry(now_ms);
    match reply.status {
        200 | 206 if !reply.is_sdk => {
            let why = "not_sdk: whoever answered at the function's address is no SDK: is the address right?";
            Plan::failed("Error", why)
        }
        200 if offer.step.is_none() => {
            let data = result_of(&reply.body);
            Plan { ops: vec![Op::RunComplete { data }], ..Plan::default() }
        }
        200 => Plan::default(), // the engine says that the step was not come upon
        206 => of_steps(&reply.body, retry).unwrap_or_else(|why| Plan::failed("Error", &why)),
        _ => Plan::of_error(reply.error(), retry),
    }
}

/// What a function returned; what is no JSON is a text.
fn result_of(body: &Bytes) -> Bytes {
    if body.is_empty() {
        return Bytes::from_static(b"null");
    }
    let said = String::from_utf8_lossy(body);
    readable(&said).unwrap_or_else(|_none| text(&said))
}

fn of_steps(body: &[u8], retry: Retry) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let read = read(body)?;
    let mut is_race = false;
    for op in &read {
        let options = op.options()?;
        is_race |= options.is_race();
        op.put(&mut plan, options, retry)?;
    }
    plan.waits_for_all = !is_race && read.len() > 1;
    Ok(plan)
}

/// One op, or a list of them.
fn read(body: &[u8]) -> Result<Vec<SdkOp<'_>>, String> {
    one_or_list(body).map_err(|error| format!("its steps cannot be read: {error}"))
}

/// Steps that a running call has recorded: those of them that ask for nothing else.
pub(super) fn of_checkpoint(steps: &RawValue) -> Result<Vec<Op>, String> {
    let mut plan = Plan::default();
    for op in read(steps.get().as_bytes())? {
        match op.op.as_str() {
            "Step" | "StepRun" => plan.ops.push(op.ran(op.step_name())?),
            "StepPlanned" => plan.ops.push(Op::StepPlanned { name: op.step_name() }),
            "None" => {}
            other => return Err(format!("a checkpoint cannot hold the op '{other}'")),
        }
    }
    Ok(plan.ops)
}

/// What an endpoint's SDK says.
#[derive(Debug)]
pub(super) enum Said {
    /// Steps are done, and it goes on.
    Recorded(Vec<Op>),
    /// It does not: this is to come first, or it has ended.
    Ended(Plan),
}

/// What the SDK of a durable endpoint says while it goes on, or as it stops.
pub(super) fn of_endpoint(steps: &RawValue) -> Result<Said, String> {
    let steps = steps.get().as_bytes();
    let read = read(steps)?;
    if read.iter().all(|op| matches!(op.op.as_str(), "Step" | "StepRun")) {
        let ran: Result<_, _> = read.iter().map(|op| op.ran(op.step_name())).collect();
        return ran.map(Said::Recorded);
    }
    let of_code = |op: &&SdkOp<'_>| op.is_error() && op.id == hash_of(WHOLE);
    if let Some(op) = read.iter().find(of_code) {
        let retry = if op.op == "StepFailed" { Retry::Never } else { op.retry(Retry::Backoff) };
        return Ok(Said::Ended(Plan::of_error(op.error(), retry)));
    }
    of_steps(steps, Retry::Backoff).map(Said::Ended)
}

impl SdkOp<'_> {
    fn is_error(&self) -> bool {
        matches!(self.op.as_str(), "StepError" | "StepFailed")
    }

    fn step_name(&self) -> String {
        let userland = self.userland.as_ref().and_then(|userland| userland.id.as_deref());
        let ids = [userland, self.display_name.as_deref(), self.name.as_deref()];
        name_of_step(&self.id, &ids.map(Option::unwrap_or_default))
    }

    fn options(&self) -> Result<Options<'_>, String> {
        let Some(opts) = self.opts else { return Ok(Options::default()) };
        let read = serde_json::from_str(opts.get());
        match self.op.as_str() {
            // what a step's function was called with may have any shape
            "Step" | "StepRun" | "StepError" | "StepFailed" | "Gateway" | "AIGateway" => {
                Ok(read.unwrap_or_default())
            }
            _ => read.map_err(|error| format!("step '{}': its options: {error}", self.step_name())),
        }
    }

    fn ran(&self, name: String) -> Result<Op, String> {
        match raw(self.data) {
            Ok(data) => Ok(Op::StepRun { name, data }),
            Err(why) => Err(format!("the result of step '{name}': {why}")),
        }
    }

    fn put(&self, plan: &mut Plan, options: Options<'_>, retry: Retry) -> Result<(), String> {
        let name = self.step_name();
        let op = match self.op.as_str() {
            "Step" | "StepRun" => match self.ran(name.clone()) {
                Ok(ran) => ran,
                Err(why) => {
                    let error = named("Error", &why).into();
                    Op::StepError { name, error, retry: Retry::Never }
                }
            },
            "StepPlanned" => Op::StepPlanned { name },
            "StepError" => Op::StepError { name, error: self.error(), retry: self.retry(retry) },
            "StepFailed" => Op::StepError { name, error: self.error(), retry: Retry::Never },
            "Sleep" => Op::Sleep { until: self.end(options.duration.or(self.name.clone()))?, name },
            "WaitForEvent" => Op::WaitForEvent {
                event: self.awaited(options.event)?,
                expression: options.condition.filter(|text| !text.is_empty()),
                own: None,
                until: self.end(options.timeout)?,
                since: Since::Stretch,
                behind: None,
                name,
            },
            "WaitForSignal" => Op::WaitForSignal {
                signal: options.signal.or(self.name.clone()).unwrap_or_default(),
                until: self.end(options.timeout)?,
                on_conflict: match options.conflict.as_deref() {
                    Some("replace") => OnConflict::Replace,
                    Some(_) | None => OnConflict::Fail,
                },
                name,
            },
            "InvokeFunction" => Op::InvokeFunction {
                function: options.function_id.unwrap_or_default(),
                data: options
                    .payload
                    .and_then(|payload| payload.data)
                    .map_or_else(|| Ok(empty()), |data| raw(Some(data)))?,
                until: match options.timeout {
                    Some(timeout) => self.end(Some(timeout))?,
                    None => Until::For(LONGEST),
                },
                name,
            },
            "RunComplete" => Op::RunComplete { data: raw(self.data)? },
            "Gateway" | "AIGateway" => {
                let is_ai = self.op == "AIGateway";
                let request = Request::read(name, self.opts.map(RawValue::get), is_ai)?;
                plan.requests.push(request);
                return Ok(());
            }
            "None" | "DiscoveryRequest" => return Ok(()),
            other => {
                return Err(format!(
                    "it replied with the op '{other}', which this server does not know"
                ));
            }
        };
        plan.ops.push(op);
        Ok(())
    }

    /// The step's error; one that says not to be tried again is not.
    fn error(&self) -> Bytes {
        let said = self.error.and_then(|error| raw(Some(error)).ok());
        said.unwrap_or_else(|| named("Error", "the step failed").into())
    }

    fn retry(&self, retry: Retry) -> Retry {
        #[derive(Default, Deserialize)]
        struct Said {
            #[serde(default, rename = "noRetry")]
            no_retry: bool,
        }
        let said = self.error.and_then(|error| serde_json::from_str::<Said>(error.get()).ok());
        if said.unwrap_or_default().no_retry { Retry::Never } else { retry }
    }

    fn end(&self, text: Option<String>) -> Result<Until, String> {
        let text = text.unwrap_or_default();
        until(&text).ok_or_else(|| {
            format!(
                "step '{}': '{text}' is neither a length of time nor a moment",
                self.step_name()
            )
        })
    }

    fn awaited(&self, event: Option<String>) -> Result<String, String> {
        let event = event.or_else(|| self.name.clone()).filter(|name| !name.is_empty());
        let event =
            event.ok_or_else(|| format!("step '{}' waits for no event", self.step_name()))?;
        Ok(event_from_sdk(&event).into_owned())
    }
}

fn raw(json: Option<&RawValue>) -> Result<Bytes, String> {
    json.map_or_else(|| Ok(Bytes::from_static(b"null")), |json| readable(json.get()))
}

fn empty() -> Bytes {
    Bytes::from_static(b"{}")
}

#[cfg(test)]
pub(super) mod tests;
