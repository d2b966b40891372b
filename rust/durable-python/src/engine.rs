//! The one object: an open engine. See `_core.pyi` for what each call promises.
#![expect(clippy::needless_pass_by_value, reason = "what comes from Python is made for the call")]

mod guard;

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Epoch, EventId, EventRecord, FromStep, FunctionId, FunctionRecord, Rerun, RunId, Timestamp,
};
use durable_runtime::{
    ClockChoice, Config, Engine, EventFilter, Kind, RunFilter, ScheduleFilter, Selection,
    Submission, Sync,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::convert::{self, CallTuple, EventTuples, FunctionTuple, ReportTuple, SendTuple};
use crate::error::to_py;
use crate::{items, reads};

/// An open store and the threads that drive it.
#[pyclass(frozen, module = "durable._core")]
pub(crate) struct Core {
    engine: Arc<Engine>,
    /// Threads and locks do not come along into a forked child.
    pid: u32,
    /// Names of functions by number; they never change.
    names: Mutex<Vec<String>>,
}

#[pymethods]
impl Core {
    #[staticmethod]
    #[pyo3(signature = (store, *, sync="always", clock="system", capacity=1000, retention_ms=None, max_mailbox=65_536, seed=None))]
    fn open(
        py: Python<'_>,
        store: &str,
        sync: &str,
        clock: &str,
        capacity: u32,
        retention_ms: Option<u64>,
        max_mailbox: usize,
        seed: Option<u64>,
    ) -> PyResult<Self> {
        let mut config = Config::new(store);
        config.sync = Sync::parse(sync).map_err(to_py)?;
        config.clock = ClockChoice::parse(clock).map_err(to_py)?;
        config.capacity = capacity;
        config.max_mailbox = max_mailbox;
        config.seed = seed;
        if let Some(retention) = retention_ms {
            config.retention = Duration::from_millis(retention);
        }
        let engine = py.detach(|| Engine::open(&config)).map_err(to_py)?;
        let names = Mutex::default();
        Ok(Self { engine: Arc::new(engine), pid: std::process::id(), names })
    }

    #[getter]
    fn notices(&self) -> PyResult<Vec<String>> {
        Ok(self.engine()?.notices())
    }

    fn register(
        &self,
        py: Python<'_>,
        app: &str,
        functions: Vec<FunctionTuple>,
    ) -> PyResult<Vec<u32>> {
        let engine = self.engine()?;
        let specs = functions.into_iter().map(|tuple| convert::function(app, tuple));
        let specs = specs.collect::<PyResult<_>>()?;
        let ids = py.detach(|| engine.register(app, specs)).map_err(to_py)?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    fn pause(&self, py: Python<'_>, function: &str, is_paused: bool) -> PyResult<()> {
        let engine = self.engine()?;
        py.detach(|| engine.pause(function, is_paused)).map_err(to_py)
    }

    fn cancel(&self, py: Python<'_>, run: &str) -> PyResult<bool> {
        let engine = self.engine()?;
        let Some(run) = RunId::parse(run) else { return Ok(false) };
        py.detach(|| engine.cancel(run)).map_err(to_py)
    }

    fn cancel_many(&self, py: Python<'_>, runs: Vec<String>) -> PyResult<Vec<bool>> {
        let engine = self.engine()?;
        let runs = convert::run_ids(&runs)?;
        py.detach(|| engine.cancel_many(runs)).map_err(to_py)
    }

    fn cancel_event(&self, py: Python<'_>, event: &str) -> PyResult<Option<u32>> {
        let engine = self.engine()?;
        let Some(event) = EventId::parse(event) else { return Ok(None) };
        match py.detach(|| engine.cancel_event(event)) {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            count => count.map(Some).map_err(to_py),
        }
    }

    #[pyo3(signature = (run, from_step=None, output=None, data=None))]
    fn rerun(
        &self,
        py: Python<'_>,
        run: &str,
        from_step: Option<String>,
        output: Option<&[u8]>,
        data: Option<&[u8]>,
    ) -> PyResult<String> {
        let engine = self.engine()?;
        let output = output.map(Bytes::copy_from_slice);
        let from = from_step.map(|name| FromStep { name, output });
        let (run, data) = (convert::run_id(run)?, data.map(Bytes::copy_from_slice));
        let rerun = Rerun { run, from, data, is_once: false, origin: None };
        let started = py.detach(|| engine.rerun(rerun)).map_err(to_py)?;
        Ok(started.to_string())
    }

    fn rerun_many(
        &self,
        py: Python<'_>,
        runs: Vec<String>,
    ) -> PyResult<Vec<(Option<String>, Option<String>)>> {
        let engine = self.engine()?;
        let runs = convert::run_ids(&runs)?;
        let started = py.detach(|| engine.rerun_many(runs)).map_err(to_py)?;
        let outcome = |one: durable_runtime::Result<RunId>| match one {
            Ok(run) => Ok((Some(run.to_string()), None)),
            Err(error) if error.kind.is_refusal() => Ok((None, Some(error.text))),
            Err(error) => Err(to_py(error)),
        };
        started.into_iter().map(outcome).collect()
    }

    #[pyo3(signature = (status, function, created, between, *, condition=None, last_only=false))]
    fn select(
        &self,
        py: Python<'_>,
        status: Vec<String>,
        function: Option<String>,
        created: (Option<u64>, Option<u64>),
        between: (Option<String>, Option<String>),
        condition: Option<&str>,
        last_only: bool,
    ) -> PyResult<(Vec<String>, Option<String>)> {
        let engine = self.engine()?;
        let status: PyResult<Vec<_>> = status.iter().map(|word| reads::status(word)).collect();
        let id = |text: Option<String>| text.as_deref().map(convert::run_id).transpose();
        let selection = Selection {
            status: status?,
            function,
            since: created.0.map(Timestamp::from_millis),
            until: created.1.map(Timestamp::from_millis),
            after: id(between.0)?,
            upto: id(between.1)?,
            condition: condition.map(crate::expression::of_event).transpose()?,
            is_last: last_only,
        };
        let found = py.detach(|| engine.select(&selection, RUNS_PER_LOOK)).map_err(to_py)?;
        let ids = found.0.iter().map(ToString::to_string).collect();
        Ok((ids, found.1.map(|id| id.to_string())))
    }

    fn connect(&self, functions: Vec<String>) -> PyResult<()> {
        self.engine()?.connect(functions).map_err(to_py)
    }

    fn drain_executor(&self) -> PyResult<()> {
        self.engine()?.drain_executor().map_err(to_py)
    }

    fn fileno(&self) -> PyResult<i32> {
        Ok(self.engine()?.outbox().wake_fd().as_raw_fd())
    }

    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let items: PyResult<Vec<_>> = self
            .engine()?
            .outbox()
            .drain(limit)
            .into_iter()
            .map(|item| items::item(py, item))
            .collect();
        PyList::new(py, items?)
    }

    fn park(&self) -> PyResult<bool> {
        Ok(self.engine()?.park())
    }

    #[pyo3(
        signature = (sends, calls, reports, dropped=vec![], reloads=vec![]),
        text_signature = "($self, sends, calls, reports, dropped=(), reloads=())"
    )]
    fn submit(
        &self,
        sends: Vec<SendTuple<'_>>,
        calls: Vec<CallTuple<'_>>,
        reports: Vec<ReportTuple<'_>>,
        dropped: Vec<String>,
        reloads: Vec<(String, u32)>,
    ) -> PyResult<usize> {
        let engine = self.engine()?;
        let reports: PyResult<Vec<_>> = reports.into_iter().map(convert::report).collect();
        let reloads: PyResult<Vec<_>> =
            reloads.iter().map(|(run, epoch)| Ok((convert::run_id(run)?, Epoch(*epoch)))).collect();
        let sends = sends.into_iter().map(convert::send);
        let submission = Submission {
            reports: reports?,
            dropped: convert::run_ids(&dropped)?,
            reloads: reloads?,
            requests: sends.chain(calls.into_iter().map(convert::call)).collect(),
        };
        engine.submit(submission).map_err(to_py)
    }

    fn wake(&self, runs: Vec<String>) -> PyResult<()> {
        self.engine()?.wake(convert::run_ids(&runs)?).map_err(to_py)
    }

    #[pyo3(signature = (events, source=None))]
    fn send_wait(
        &self,
        py: Python<'_>,
        events: EventTuples<'_>,
        source: Option<(String, u64)>,
    ) -> PyResult<Vec<String>> {
        let engine = self.engine()?;
        let events = convert::events(events);
        let ids = py.detach(|| engine.send_wait(events, source)).map_err(to_py)?;
        Ok(ids.iter().map(ToString::to_string).collect())
    }

    fn publish(
        &self,
        ticket: u64,
        channel: String,
        topic: String,
        data: Bound<'_, PyBytes>,
    ) -> PyResult<()> {
        let message = convert::message(channel, topic, &data);
        self.engine()?.publish(ticket, message).map_err(to_py)
    }

    fn publish_wait(
        &self,
        py: Python<'_>,
        channel: String,
        topic: String,
        data: Bound<'_, PyBytes>,
    ) -> PyResult<u64> {
        let engine = self.engine()?;
        let message = convert::message(channel, topic, &data);
        py.detach(|| engine.publish_wait(message)).map_err(to_py)
    }

    fn subscribe(&self, channel: String) -> PyResult<()> {
        self.engine()?.subscribe(channel).map_err(to_py)
    }

    fn unsubscribe(&self, channel: String) -> PyResult<()> {
        self.engine()?.unsubscribe(channel).map_err(to_py)
    }

    fn messages<'py>(
        &self,
        py: Python<'py>,
        channel: &str,
        after: u64,
        limit: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let engine = self.engine()?;
        let page = py.detach(|| engine.messages(channel, after, limit)).map_err(to_py)?;
        reads::messages(py, page)
    }

    fn watch(&self, runs: Vec<String>) -> PyResult<()> {
        self.engine()?.watch(convert::run_ids(&runs)?).map_err(to_py)
    }

    fn unwatch(&self, runs: Vec<String>) -> PyResult<()> {
        self.engine()?.unwatch(convert::run_ids(&runs)?).map_err(to_py)
    }

    fn join(&self, ticket: u64) -> PyResult<()> {
        self.engine()?.join(ticket).map_err(to_py)
    }

    fn unjoin(&self, ticket: u64) -> PyResult<()> {
        self.engine()?.unjoin(ticket).map_err(to_py)
    }

    fn advance(&self, ticket: u64, length_ms: u64) -> PyResult<()> {
        self.engine()?.advance(ticket, Duration::from_millis(length_ms)).map_err(to_py)
    }

    fn now_ms(&self) -> PyResult<u64> {
        Ok(self.engine()?.now().as_millis())
    }

    fn run<'py>(&self, py: Python<'py>, run: &str) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let engine = self.engine()?;
        let Some(id) = RunId::parse(run) else { return Ok(None) };
        let found = py.detach(|| match engine.run(id)? {
            Some(run) => Ok(Some((self.name(engine, run.function)?, run))),
            None => Ok(None),
        });
        let found = found.map_err(to_py)?;
        found.map(|(name, run)| reads::run(py, id, &name, &run)).transpose()
    }

    #[pyo3(
        signature = (*, status=vec![], function=None, since_ms=None, limit=50, cursor=None),
        text_signature = "($self, *, status=(), function=None, since_ms=None, limit=50, cursor=None)"
    )]
    fn runs<'py>(
        &self,
        py: Python<'py>,
        status: Vec<String>,
        function: Option<String>,
        since_ms: Option<u64>,
        limit: usize,
        cursor: Option<&str>,
    ) -> PyResult<(Bound<'py, PyList>, Option<String>)> {
        let engine = self.engine()?;
        let status: PyResult<Vec<_>> = status.iter().map(|word| reads::status(word)).collect();
        let filter = RunFilter {
            status: status?,
            function,
            since: since_ms.map(Timestamp::from_millis),
            limit,
            cursor: cursor.map(convert::run_id).transpose()?,
        };
        let found = py.detach(|| {
            let (runs, cursor) = engine.runs(&filter)?;
            let named: durable_runtime::Result<Vec<_>> = runs
                .into_iter()
                .map(|(id, run)| Ok((id, self.name(engine, run.function)?, run)))
                .collect();
            Ok((named?, cursor))
        });
        let (runs, cursor) = found.map_err(to_py)?;
        let runs: PyResult<Vec<_>> =
            runs.iter().map(|(id, name, run)| reads::run(py, *id, name, run)).collect();
        Ok((PyList::new(py, runs?)?, cursor.map(|id| id.to_string())))
    }

    fn event<'py>(&self, py: Python<'py>, event: &str) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let engine = self.engine()?;
        let id = convert::event_id(event)?;
        let found = py.detach(|| {
            let found = engine.event(id)?;
            let functions = functions_if(engine, found.iter().any(has_skips))?;
            Ok((found, functions))
        });
        let (found, functions) = found.map_err(to_py)?;
        found.map(|event| reads::stored_event(py, id, event, &functions)).transpose()
    }

    #[pyo3(signature = (*, name=None, since_ms=None, limit=50, cursor=None))]
    fn events<'py>(
        &self,
        py: Python<'py>,
        name: Option<String>,
        since_ms: Option<u64>,
        limit: usize,
        cursor: Option<&str>,
    ) -> PyResult<(Bound<'py, PyList>, Option<String>)> {
        let engine = self.engine()?;
        let filter = EventFilter {
            name,
            since: since_ms.map(Timestamp::from_millis),
            limit,
            cursor: cursor.map(convert::event_id).transpose()?,
        };
        let found = py.detach(|| {
            let (events, cursor) = engine.events(&filter)?;
            let functions = functions_if(engine, events.iter().any(|(_, event)| has_skips(event)))?;
            Ok((events, cursor, functions))
        });
        let (events, cursor, functions) = found.map_err(to_py)?;
        let read = |(id, event)| reads::stored_event(py, id, event, &functions);
        let events: PyResult<Vec<_>> = events.into_iter().map(read).collect();
        Ok((PyList::new(py, events?)?, cursor.map(|id| id.to_string())))
    }

    fn functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let engine = self.engine()?;
        let found = py.detach(|| Ok((engine.functions()?, engine.crons()?)));
        let (functions, crons) = found.map_err(to_py)?;
        let crons_of = |id| crons.iter().filter(move |cron| cron.function == id).cloned();
        let numbered = (0..).map(FunctionId).zip(functions);
        let functions = numbered.map(|(id, record)| {
            let crons: Vec<_> = crons_of(id).collect();
            reads::function(py, record, &crons)
        });
        PyList::new(py, functions.collect::<PyResult<Vec<_>>>()?)
    }

    fn put_schedule(
        &self,
        py: Python<'_>,
        schedule: &str,
        function: &str,
        spec: Vec<u8>,
        data: Vec<u8>,
    ) -> PyResult<()> {
        let engine = self.engine()?;
        let spec = convert::schedule(schedule, &spec)?;
        py.detach(|| engine.put_schedule((schedule, function), spec, data.into())).map_err(to_py)
    }

    fn change_schedule(
        &self,
        py: Python<'_>,
        schedule: &str,
        change: &str,
    ) -> PyResult<Option<String>> {
        let engine = self.engine()?;
        let change = convert::schedule_change(change)?;
        let run = py.detach(|| engine.change_schedule(schedule, change)).map_err(to_py)?;
        Ok(run.map(|run| run.to_string()))
    }

    fn schedule<'py>(
        &self,
        py: Python<'py>,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let engine = self.engine()?;
        let found = py.detach(|| engine.schedule(schedule)).map_err(to_py)?;
        found.map(|(function, record)| reads::schedule(py, &function, &record)).transpose()
    }

    #[pyo3(signature = (*, function=None, limit=50, cursor=None))]
    fn schedules<'py>(
        &self,
        py: Python<'py>,
        function: Option<String>,
        limit: usize,
        cursor: Option<String>,
    ) -> PyResult<(Bound<'py, PyList>, Option<String>)> {
        let engine = self.engine()?;
        let filter = ScheduleFilter { function, limit, cursor };
        let (found, cursor) = py.detach(|| engine.schedules(&filter)).map_err(to_py)?;
        let found = found.iter().map(|(function, record)| reads::schedule(py, function, record));
        Ok((PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)?, cursor))
    }

    fn limits<'py>(
        &self,
        py: Python<'py>,
        function: &str,
        most: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let engine = self.engine()?;
        let found = py.detach(|| engine.limits(function, most)).map_err(to_py)?;
        Ok(found.map(|limits| reads::as_json(py, &limits)))
    }

    fn waiting_on<'py>(&self, py: Python<'py>, run: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let engine = self.engine()?;
        let Some(id) = RunId::parse(run) else { return Ok(None) };
        let found = py.detach(|| engine.waiting_on(id)).map_err(to_py)?;
        Ok(found.map(|waits| reads::as_json(py, &waits)))
    }

    fn source_position(&self, py: Python<'_>, source: &str) -> PyResult<Option<u64>> {
        let engine = self.engine()?;
        py.detach(|| engine.source_position(source)).map_err(to_py)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        reads::stats(py, &self.engine()?.stats())
    }

    #[pyo3(signature = (grace_ms=0))]
    fn close(&self, py: Python<'_>, grace_ms: u64) -> PyResult<()> {
        let engine = self.engine()?;
        py.detach(|| engine.close(Duration::from_millis(grace_ms))).map_err(to_py)
    }
}

/// A selection is gone through in stretches of so many runs.
const RUNS_PER_LOOK: usize = 1_000;

fn has_skips(event: &EventRecord) -> bool {
    !event.skips.is_empty()
}

/// The functions by number, for the names of those that events skipped; nothing is read where none did.
fn functions_if(engine: &Engine, is_needed: bool) -> durable_runtime::Result<Vec<FunctionRecord>> {
    if is_needed { engine.functions() } else { Ok(Vec::new()) }
}
