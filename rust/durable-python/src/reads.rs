//! Stored runs, events and functions, and the engine in numbers, as Python sees them.

use durable_core::{
    EventId, EventRecord, FunctionId, FunctionRecord, Memo, MessageRecord, Outcome, Pending,
    Rhythm, RunId, RunStatus, RunView, ScheduleRecord,
};
use durable_runtime::{MessagePage, Stats};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::items::{json, millis, to_event};

pub(crate) fn run<'py>(
    py: Python<'py>,
    id: RunId,
    name: &str,
    run: &RunView,
) -> PyResult<Bound<'py, PyTuple>> {
    let memos = run.memos.iter().map(|memo| remembered(py, memo));
    let pending = run.pending.iter().map(|step| waiting(py, step));
    let steps: PyResult<Vec<_>> = memos.chain(pending).collect();
    let (result, error) = match &run.outcome {
        Some(Outcome::Data(json)) => (Some(PyBytes::new(py, json)), None),
        Some(Outcome::Error(json)) => (None, Some(PyBytes::new(py, json))),
        None => (None, None),
    };
    let fields = (
        id.to_string(),
        name,
        run.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
        run.status.as_str(),
        run.created_at.as_millis(),
        millis(run.started_at),
        millis(run.ended_at),
        result,
        error,
        millis(run.retry_at),
        steps?,
        run.rerun_of.map(|id| id.to_string()),
    );
    fields.into_pyobject(py)
}

fn remembered<'py>(py: Python<'py>, memo: &Memo) -> PyResult<Bound<'py, PyTuple>> {
    let status = match memo.outcome {
        Outcome::Data(_) => "completed",
        Outcome::Error(_) => "failed",
    };
    let fields = (
        &memo.name,
        memo.kind.as_str(),
        status,
        json(py, &memo.outcome),
        memo.start_count,
        memo.asked_at.as_millis(),
        memo.recorded_at.as_millis(),
        None::<u64>,
    );
    fields.into_pyobject(py)
}

fn waiting<'py>(py: Python<'py>, step: &Pending) -> PyResult<Bound<'py, PyTuple>> {
    let fields = (
        &step.name,
        step.kind().as_str(),
        step.state.as_str(),
        None::<u8>,
        step.start_count,
        step.asked_at.as_millis(),
        None::<u64>,
        millis(step.state.until()),
    );
    fields.into_pyobject(py)
}

pub(crate) fn stored_event<'py>(
    py: Python<'py>,
    id: EventId,
    event: EventRecord,
    functions: &[FunctionRecord],
) -> PyResult<Bound<'py, PyTuple>> {
    let runs: Vec<String> = event.runs.iter().map(|(_, run)| run.to_string()).collect();
    let duplicate_of = event.duplicate_of.map(|id| id.to_string());
    let name = |id: FunctionId| functions.get(id.index()).map(|record| record.spec.name.clone());
    let skips = event.skips.iter().filter_map(|(id, why)| Some((name(*id)?, why.as_str())));
    let skips: Vec<(String, &str)> = skips.collect();
    (to_event(py, id, event)?, runs, duplicate_of, skips).into_pyobject(py)
}

pub(crate) fn messages(py: Python<'_>, page: MessagePage) -> PyResult<Bound<'_, PyTuple>> {
    let message = |(number, message): (u64, MessageRecord)| {
        (number, message.topic, PyBytes::new(py, &message.data), message.at.as_millis())
    };
    let messages: Vec<_> = page.messages.into_iter().map(message).collect();
    (messages, page.missed, page.next).into_pyobject(py)
}

pub(crate) fn function<'py>(
    py: Python<'py>,
    record: FunctionRecord,
    crons: &[ScheduleRecord],
) -> PyResult<Bound<'py, PyTuple>> {
    let spec = record.spec;
    let policies = as_json(py, &spec.policies);
    let states = (record.is_archived, record.is_paused);
    let crons = crons.iter().map(|cron| schedule(py, &spec.name, cron));
    let crons = crons.collect::<PyResult<Vec<_>>>()?;
    let fields =
        (&spec.name, spec.app, spec.triggers, spec.retries, policies, states.0, states.1, crons);
    fields.into_pyobject(py)
}

pub(crate) fn schedule<'py>(
    py: Python<'py>,
    function: &str,
    record: &ScheduleRecord,
) -> PyResult<Bound<'py, PyTuple>> {
    let rhythm = match &record.spec.rhythm {
        Rhythm::Cron { text, tz } => (Some(text), Some(tz), None),
        Rhythm::Every { ms } => (None, None, Some(*ms)),
    };
    let fields = (
        &record.id,
        function,
        rhythm,
        PyBytes::new(py, &record.data),
        record.spec.jitter_ms,
        record.spec.catch_up.as_str(),
        record.is_paused,
        record.made_at.as_millis(),
        millis(record.last_at),
        millis(record.next.map(|tick| tick.at)),
        millis(record.next.map(|tick| tick.due)),
    );
    fields.into_pyobject(py)
}

/// A value of ours as JSON: none of them holds what JSON cannot say.
pub(crate) fn as_json<'py>(py: Python<'py>, value: &impl serde::Serialize) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &serde_json::to_vec(value).unwrap_or_default())
}

/// A run's state by the word that the API uses.
pub(crate) fn status(word: &str) -> PyResult<RunStatus> {
    RunStatus::named(word).map_err(|why| crate::error::raise("invalid", why))
}

pub(crate) fn stats<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let functions = PyDict::new(py);
    for function in &stats.counts.functions {
        let counts = PyDict::new(py);
        counts.set_item("queued", function.queued)?;
        counts.set_item("running", function.running)?;
        counts.set_item("executing", function.executing)?;
        let parked = PyDict::new(py);
        parked.set_item("signal", function.parked.signal)?;
        parked.set_item("wait", function.parked.wait)?;
        parked.set_item("invoke", function.parked.invoke)?;
        parked.set_item("sleep", function.parked.sleep)?;
        parked.set_item("retry", function.parked.retry)?;
        parked.set_item("events", function.parked.events)?;
        counts.set_item("parked", parked)?;
        counts.set_item("completed", function.completed)?;
        counts.set_item("failed", function.failed)?;
        counts.set_item("cancelled", function.cancelled)?;
        counts.set_item("skipped", function.skipped)?;
        counts.set_item("missing_keys", function.missing_keys)?;
        counts.set_item("priority_errors", function.priority_errors)?;
        counts.set_item("paused", function.is_paused)?;
        functions.set_item(&function.name, counts)?;
    }
    let commits = PyDict::new(py);
    commits.set_item("count", stats.commits.count)?;
    commits.set_item("turns", stats.commits.turns)?;
    commits.set_item("bytes", stats.commits.bytes)?;
    commits.set_item("size_p50", stats.commits.size_p50)?;
    commits.set_item("size_p99", stats.commits.size_p99)?;
    commits.set_item("time_p50_us", stats.commits.time_p50_us)?;
    commits.set_item("time_p99_us", stats.commits.time_p99_us)?;
    let all = PyDict::new(py);
    all.set_item("functions", functions)?;
    all.set_item("live", stats.counts.live_count)?;
    all.set_item("executing", stats.counts.executing_count)?;
    all.set_item("timers", stats.counts.timer_count)?;
    all.set_item("stale_reports", stats.counts.stale_report_count)?;
    all.set_item("mailbox", stats.mailbox_count)?;
    all.set_item("outbox", stats.outbox_count)?;
    all.set_item("staged_bytes", stats.staged_bytes)?;
    all.set_item("now_ms", stats.now.as_millis())?;
    all.set_item("ahead_ms", stats.ahead.as_millis())?;
    all.set_item("commits", commits)?;
    Ok(all)
}
