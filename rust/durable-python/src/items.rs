//! What Python gets: each item a plain tuple that begins with its tag (see `_bridge.py`).

use durable_core::{
    Answer, Ending, EventId, EventRecord, Memo, Outcome, Refusal, RunStatus, Timestamp,
};
use durable_runtime::{Item, Offer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;
const STARTED: u8 = 2;
const WORK: u8 = 3;
const MEMOS: u8 = 4;
const CONFIRM: u8 = 5;
const ABANDON: u8 = 6;
const ENDED: u8 = 7;
const POISONED: u8 = 8;
const ROOM: u8 = 9;
const IDLE: u8 = 10;
const UNKNOWN: u8 = 11;
const FINISHED: u8 = 12;
const SIGNALLED: u8 = 13;
const STIRRED: u8 = 20;
const PUBLISHED: u8 = 21;

pub(crate) fn item(py: Python<'_>, item: Item) -> PyResult<Bound<'_, PyTuple>> {
    match item {
        Item::Answer { ticket, answer } => to_answer(py, ticket, answer),
        Item::Work(offer) => work(py, *offer),
        Item::Memos { run, epoch, memo_count, memos } => {
            let memos = to_memos(py, memos)?;
            (MEMOS, run.to_string(), epoch.0, memo_count, memos).into_pyobject(py)
        }
        Item::Confirm { run, epoch, number, memo_count } => {
            (CONFIRM, run.to_string(), epoch.0, number, memo_count).into_pyobject(py)
        }
        Item::Abandon { run, epoch } => (ABANDON, run.to_string(), epoch.0).into_pyobject(py),
        Item::Ended { run, event, ending, outcome } => {
            let outcome = json(py, &outcome);
            (ENDED, run.to_string(), status(ending), outcome, event.to_string()).into_pyobject(py)
        }
        Item::Poisoned(error) => (POISONED, error.kind.as_str(), error.text).into_pyobject(py),
        Item::Room => (ROOM,).into_pyobject(py),
        Item::Idle(ticket) => (IDLE, ticket).into_pyobject(py),
        Item::Unknown(run) => (UNKNOWN, run.to_string()).into_pyobject(py),
        Item::Stirred(channel) => (STIRRED, channel).into_pyobject(py),
        Item::Finished(run, error) => {
            let error = error.map(|error| PyBytes::new(py, &error));
            (FINISHED, run.to_string(), error).into_pyobject(py)
        }
    }
}

fn to_answer(py: Python<'_>, ticket: u64, answer: Answer) -> PyResult<Bound<'_, PyTuple>> {
    let (kind, text) = match answer {
        Answer::Accepted(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            return (ACCEPTED, ticket, ids).into_pyobject(py);
        }
        Answer::Started(run, event) => {
            return (STARTED, ticket, run.to_string(), event.to_string()).into_pyobject(py);
        }
        Answer::Signalled(run) => {
            return (SIGNALLED, ticket, run.to_string()).into_pyobject(py);
        }
        Answer::Published(number) => return (PUBLISHED, ticket, number).into_pyobject(py),
        Answer::Refused(Refusal::Invalid(text)) => ("event", text),
        Answer::Refused(Refusal::TooLarge(text)) => ("too_large", text),
        Answer::Refused(Refusal::UnknownFunction(text)) => ("unknown_function", text),
        Answer::Refused(Refusal::NotFound(text)) => ("not_found", text),
        Answer::Refused(Refusal::Skipped(text)) => ("skipped", text),
        Answer::Refused(Refusal::NoWaiter(text)) => ("no_waiter", text),
        Answer::Registered(_)
        | Answer::StartedBefore(..)
        | Answer::Paused
        | Answer::Cancelled(_)
        | Answer::EventCancelled(_)
        | Answer::Scheduled => {
            ("broken", "a ticket was answered with the answer to another question".to_owned())
        }
    };
    (REFUSED, ticket, kind, text).into_pyobject(py)
}

fn work(py: Python<'_>, offer: Offer) -> PyResult<Bound<'_, PyTuple>> {
    let events = offer.events.into_iter().map(|(id, record)| to_event(py, id, record));
    // A tuple of plain values is of no interest to the collector of cycles; a list always is.
    let events = PyTuple::new(py, events.collect::<PyResult<Vec<_>>>()?)?;
    let fields = (
        WORK,
        offer.run.to_string(),
        offer.epoch.0,
        offer.function.0,
        offer.step,
        (offer.attempt, offer.step_attempt, offer.failure_count),
        offer.memo_count,
        events,
        to_memos(py, offer.memos)?,
        offer.pending,
    );
    fields.into_pyobject(py)
}

pub(crate) fn to_event(
    py: Python<'_>,
    id: EventId,
    event: EventRecord,
) -> PyResult<Bound<'_, PyTuple>> {
    let fields = (
        id.to_string(),
        event.name,
        PyBytes::new(py, &event.data),
        event.ts.as_millis(),
        event.received_at.as_millis(),
        event.user_id,
        event.version,
        event.user.map(|user| PyBytes::new(py, &user)),
    );
    fields.into_pyobject(py)
}

fn to_memos(py: Python<'_>, memos: Vec<Memo>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for memo in memos {
        let is_error = matches!(memo.outcome, Outcome::Error(_));
        list.append((memo.name, memo.kind.as_str(), is_error, json(py, &memo.outcome)))?;
    }
    Ok(list)
}

pub(crate) fn json<'py>(py: Python<'py>, outcome: &Outcome) -> Bound<'py, PyBytes> {
    match outcome {
        Outcome::Data(json) | Outcome::Error(json) => PyBytes::new(py, json),
    }
}

pub(crate) fn status(ending: Ending) -> &'static str {
    RunStatus::from(ending).as_str()
}

pub(crate) fn millis(at: Option<Timestamp>) -> Option<u64> {
    at.map(Timestamp::as_millis)
}
