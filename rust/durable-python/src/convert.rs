//! What Python hands in, read from its tuples.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Backoff, Epoch, EventId, FunctionSpec, NewEvent, NewMessage, OnConflict, Op, Report, Retry,
    RunId, ScheduleChange, ScheduleSpec, Since, Timestamp, Until,
};
use durable_runtime::Request;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

pub(crate) type EventTuple<'py> = (
    String,
    Bound<'py, PyBytes>,
    Option<String>,
    Option<u64>,
    Option<String>,
    Option<Bound<'py, PyBytes>>,
);
pub(crate) type SendTuple<'py> = (u64, Vec<EventTuple<'py>>, Option<(String, u64)>);
pub(crate) type CallTuple<'py> = (u64, String, Bound<'py, PyBytes>, bool);
pub(crate) type ReportTuple<'py> = (String, u32, u32, Vec<Bound<'py, PyTuple>>, Option<u32>);
pub(crate) type FunctionTuple = (String, Vec<String>, u8, Vec<u64>, u64, Vec<u8>);

fn bytes(json: &Bound<'_, PyBytes>) -> Bytes {
    Bytes::copy_from_slice(json.as_bytes())
}

pub(crate) fn run_id(text: &str) -> PyResult<RunId> {
    RunId::parse(text)
        .ok_or_else(|| crate::error::raise("not_found", format!("'{text}' is not the id of a run")))
}

pub(crate) fn run_ids(texts: &[String]) -> PyResult<Vec<RunId>> {
    texts.iter().map(|text| run_id(text)).collect()
}

pub(crate) fn event_id(text: &str) -> PyResult<EventId> {
    EventId::parse(text).ok_or_else(|| {
        crate::error::raise(
            "invalid",
            format!("'{text}' is not an id that the engine gave an event"),
        )
    })
}

pub(crate) fn event(tuple: EventTuple<'_>) -> NewEvent {
    let (name, data, user_id, ts, version, user) = tuple;
    NewEvent {
        name,
        data: bytes(&data),
        user_id,
        ts: ts.map(Timestamp::from_millis),
        starts_at: None,
        version,
        user: user.as_ref().map(bytes),
    }
}

pub(crate) fn events(tuples: Vec<EventTuple<'_>>) -> Vec<NewEvent> {
    tuples.into_iter().map(event).collect()
}

pub(crate) type EventTuples<'py> = Vec<EventTuple<'py>>;

pub(crate) fn send((ticket, tuples, source): SendTuple<'_>) -> Request {
    Request::Send { ticket, events: events(tuples), source }
}

pub(crate) fn call((ticket, name, data, is_signal): CallTuple<'_>) -> Request {
    let data = bytes(&data);
    if is_signal {
        Request::Signal { ticket, signal: name, data }
    } else {
        Request::Invoke { ticket, function: name, data }
    }
}

pub(crate) fn message(channel: String, topic: String, data: &Bound<'_, PyBytes>) -> NewMessage {
    NewMessage { channel, topic, data: bytes(data) }
}

pub(crate) fn function(app: &str, tuple: FunctionTuple) -> PyResult<FunctionSpec> {
    let (name, triggers, retries, delays, jitter, policies) = tuple;
    let delays = delays.into_iter().map(Duration::from_millis).collect();
    let wrong = |error: serde_json::Error| {
        crate::error::raise("invalid", format!("function '{name}': its flow control: {error}"))
    };
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&policies).map_err(wrong)?;
    let crons = fields.remove("crons").map(serde_json::from_value).transpose().map_err(wrong)?;
    let policies = serde_json::from_value(fields.into()).map_err(wrong)?;
    Ok(FunctionSpec {
        triggers,
        crons: crons.unwrap_or_default(),
        retries,
        backoff: Backoff { delays, jitter: Duration::from_millis(jitter) },
        policies,
        ..FunctionSpec::new(app, name)
    })
}

pub(crate) fn schedule(id: &str, spec: &[u8]) -> PyResult<ScheduleSpec> {
    serde_json::from_slice(spec).map_err(|error| {
        crate::error::raise("invalid", format!("schedule '{id}': its settings: {error}"))
    })
}

pub(crate) fn schedule_change(word: &str) -> PyResult<ScheduleChange> {
    match word {
        "pause" => Ok(ScheduleChange::Pause),
        "resume" => Ok(ScheduleChange::Resume),
        "delete" => Ok(ScheduleChange::Delete),
        "trigger" => Ok(ScheduleChange::Trigger),
        _ => Err(PyValueError::new_err(format!("'{word}' is nothing to do with a schedule"))),
    }
}

pub(crate) fn report(tuple: ReportTuple<'_>) -> PyResult<Report> {
    let (run, epoch, number, ops, parked_at) = tuple;
    let ops: PyResult<Vec<Op>> = ops.iter().map(op).collect();
    Ok(Report { run: run_id(&run)?, epoch: Epoch(epoch), number, ops: ops?, parked_at })
}

/// The tags are those of `_bridge.py`.
fn op(tuple: &Bound<'_, PyTuple>) -> PyResult<Op> {
    let tag: u8 = tuple.get_item(0)?.extract()?;
    match tag {
        0 => Ok(Op::StepRun { name: text(tuple, 1)?, data: json(tuple, 2)? }),
        1 => Ok(Op::StepError {
            name: text(tuple, 1)?,
            error: json(tuple, 2)?,
            retry: retry(tuple, 3)?,
        }),
        2 => Ok(Op::StepPlanned { name: text(tuple, 1)? }),
        3 => Ok(Op::Sleep {
            name: text(tuple, 1)?,
            until: Until::For(Duration::from_millis(millis(tuple, 2)?)),
        }),
        4 => Ok(Op::Sleep {
            name: text(tuple, 1)?,
            until: Until::At(Timestamp::from_millis(millis(tuple, 2)?)),
        }),
        5 => Ok(Op::RunComplete { data: json(tuple, 1)? }),
        6 => Ok(Op::RunError {
            error: json(tuple, 1)?,
            retry: retry(tuple, 2)?,
            has_left_step: tuple.get_item(3)?.extract()?,
        }),
        7 => Ok(Op::WaitForSignal {
            name: text(tuple, 1)?,
            signal: text(tuple, 2)?,
            until: Until::For(Duration::from_millis(millis(tuple, 3)?)),
            on_conflict: if tuple.get_item(4)?.extract()? {
                OnConflict::Replace
            } else {
                OnConflict::Fail
            },
        }),
        8 => Ok(Op::WaitForEvent {
            name: text(tuple, 1)?,
            event: text(tuple, 2)?,
            expression: tuple.get_item(3)?.extract()?,
            own: None,
            until: Until::For(Duration::from_millis(millis(tuple, 4)?)),
            since: if tuple.get_item(5)?.extract()? { Since::Run } else { Since::Stretch },
            behind: tuple.get_item(6)?.extract()?,
        }),
        9 => Ok(Op::InvokeFunction {
            name: text(tuple, 1)?,
            function: text(tuple, 2)?,
            data: json(tuple, 3)?,
            until: Until::For(Duration::from_millis(millis(tuple, 4)?)),
        }),
        other => Err(PyValueError::new_err(format!("there is no op with the tag {other}"))),
    }
}

fn text(tuple: &Bound<'_, PyTuple>, place: usize) -> PyResult<String> {
    tuple.get_item(place)?.extract()
}

fn json(tuple: &Bound<'_, PyTuple>, place: usize) -> PyResult<Bytes> {
    let item = tuple.get_item(place)?;
    let json = item.cast::<PyBytes>().map_err(|_other| {
        PyTypeError::new_err(format!("member {place} of an op is JSON and must be bytes"))
    })?;
    Ok(bytes(json))
}

/// A moment or a length; before the epoch, or below nothing, is nothing.
fn millis(tuple: &Bound<'_, PyTuple>, place: usize) -> PyResult<u64> {
    let signed: i64 = tuple.get_item(place)?.extract()?;
    Ok(u64::try_from(signed).unwrap_or(0))
}

fn retry(tuple: &Bound<'_, PyTuple>, place: usize) -> PyResult<Retry> {
    let wait: Option<i64> = tuple.get_item(place)?.extract()?;
    Ok(match wait.map(u64::try_from) {
        None => Retry::Backoff,
        Some(Ok(wait)) => Retry::After(Duration::from_millis(wait)),
        Some(Err(_)) => Retry::Never,
    })
}
