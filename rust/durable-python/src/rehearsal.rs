//! A rehearsal of flow control: events in, columns of whole numbers out.

use std::time::Duration;

use durable_core::{Ending, Timestamp};
use durable_runtime::{Arrival, Plan, Trace};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{self, FunctionTuple};
use crate::error::to_py;

/// An event, when it comes and how long its run lasts, in microseconds.
type ArrivalTuple<'py> = (convert::EventTuple<'py>, u64, u64);
/// A column of 64-bit whole numbers.
type Column<'py> = Bound<'py, PyBytes>;
type EventColumns<'py> = (Column<'py>, Column<'py>, Vec<&'static str>);
type RunColumns<'py> = (Column<'py>, Column<'py>, Column<'py>, Column<'py>);

/// Stands for what is not there.
const NONE: i64 = -1;

/// Plays events through the scheduler under a simulated clock; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (function, arrivals, *, capacity=1000, seed=0, stop_at_us=None))]
pub(crate) fn rehearse<'py>(
    py: Python<'py>,
    function: FunctionTuple,
    arrivals: Vec<ArrivalTuple<'py>>,
    capacity: u32,
    seed: u64,
    stop_at_us: Option<u64>,
) -> PyResult<(EventColumns<'py>, RunColumns<'py>, i64)> {
    let arrivals = arrivals.into_iter().map(|(event, at, length)| Arrival {
        event: convert::event(event),
        at: moment(at),
        length: Duration::from_micros(length),
    });
    let plan = Plan {
        function: convert::function("bench", function)?,
        capacity,
        seed,
        arrivals: arrivals.collect(),
        stop_at: stop_at_us.map(moment),
    };
    let mut signal = None;
    let trace = py.detach(|| {
        let mut is_cancelled = || {
            signal = Python::attach(signal_of).err();
            signal.is_some()
        };
        durable_runtime::rehearse(plan, &mut is_cancelled)
    });
    match (trace.map_err(to_py)?, signal) {
        (Some(trace), _) => Ok(columns(py, &trace)),
        (None, Some(signal)) => Err(signal),
        (None, None) => Err(crate::error::raise("closed", "the rehearsal was called off")),
    }
}

/// Ctrl-C, where it came.
fn signal_of(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

fn columns<'py>(py: Python<'py>, trace: &Trace) -> (EventColumns<'py>, RunColumns<'py>, i64) {
    let mut words: Vec<&'static str> = trace.events.iter().filter_map(|event| event.skip).collect();
    words.sort_unstable();
    words.dedup();
    let skip = |word: &str| words.iter().position(|known| *known == word);
    let runs = &trace.runs;
    let events = (
        column(py, trace.events.iter().map(|event| place(event.run))),
        column(py, trace.events.iter().map(|event| place(event.skip.and_then(skip)))),
    );
    let runs = (
        column(py, runs.iter().map(|run| place(Some(run.event)))),
        column(py, runs.iter().map(|run| micros(run.started_at))),
        column(py, runs.iter().map(|run| micros(run.ended.map(|(at, _)| at)))),
        column(py, runs.iter().map(|run| run.ended.map_or(NONE, |(_, ending)| number(ending)))),
    );
    ((events.0, events.1, words), runs, micros(Some(trace.ended_at)))
}

fn column(py: Python<'_>, numbers: impl Iterator<Item = i64>) -> Column<'_> {
    let bytes: Vec<u8> = numbers.flat_map(i64::to_ne_bytes).collect();
    PyBytes::new(py, &bytes)
}

fn place(place: Option<usize>) -> i64 {
    place.map_or(NONE, |place| i64::try_from(place).unwrap_or(NONE))
}

fn micros(moment: Option<Timestamp>) -> i64 {
    moment.map_or(NONE, |moment| i64::try_from(moment.as_nanos() / 1_000).unwrap_or(i64::MAX))
}

fn moment(micros: u64) -> Timestamp {
    Timestamp::from_nanos(micros.saturating_mul(1_000))
}

/// The numbers are those of `_core.pyi`.
fn number(ending: Ending) -> i64 {
    match ending {
        Ending::Completed => 0,
        Ending::Failed => 1,
        Ending::Cancelled => 2,
    }
}
