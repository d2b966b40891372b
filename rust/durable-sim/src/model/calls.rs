//! Runs that steps of others start and wait for: who invoked is told what became of it, in the turn in which it ends,
//! or that it was not started, or that its time is over.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_core::{
    Awaits, Ending, EventId, FunctionId, Memo, Op, Outcome, Report, RunEnd, RunId, Skip, StepKind,
    Timestamp,
};

use super::flow::Arrival;
use super::progress::holds;
use super::walk::Walk;
use super::{Life, Model, require};
use crate::driver::Sealed;
use crate::tally::Tally;

/// What a step is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// An event.
    Event(Bytes),
    /// The result of the run that it started.
    Result(Bytes),
    /// Why there is none.
    Refused { reason: &'static str, run: Option<RunId>, cause: Option<Bytes> },
    /// The end of the run that it started came when timers fired: its own may have fired before.
    Late(Box<Self>),
}

/// A step that waits for the end of a run, by its event's id and the run.
pub(super) type Calls = BTreeMap<String, (RunId, EventId)>;
/// Who waits for a run: a run's step, which gave it an event.
pub(super) type Invokers = Vec<(RunId, String, EventId)>;

impl Told {
    const fn refused(reason: &'static str) -> Self {
        Self::Refused { reason, run: None, cause: None }
    }

    fn is(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Event(json) | Self::Result(json), Outcome::Data(told)) => json == told,
            (Self::Refused { reason, run, cause }, Outcome::Error(told)) => {
                let told = String::from_utf8_lossy(told);
                let cause = cause.as_deref().map_or("null".into(), String::from_utf8_lossy);
                let run = run.map_or(String::new(), |run| run.to_string());
                says_reason(&told, "InvokeError", reason)
                    && told.ends_with(&format!("\"run_id\":\"{run}\",\"cause\":{cause}}}"))
            }
            (Self::Late(told), outcome) => told.is(outcome),
            (Self::Event(_) | Self::Result(_) | Self::Refused { .. }, _) => false,
        }
    }
}

fn says_reason(told: &str, name: &str, reason: &str) -> bool {
    told.starts_with(&format!("{{\"name\":\"{name}\""))
        && told.contains(&format!("\"reason\":\"{reason}\""))
}

impl Model {
    /// An executor says that code invokes functions. `count`: so many events came of it.
    pub(super) fn ask_to_invoke(
        &mut self,
        walk: &mut Walk<'_>,
        report: &Report,
        count: usize,
    ) -> Result<(), String> {
        let mut left = count;
        for op in &report.ops {
            let Op::InvokeFunction { name, function, data, .. } = op else { continue };
            let place =
                (0..).zip(&self.specs).find(|(_, (one, gone))| one.name == *function && !gone);
            let place = place.map(|(number, _)| FunctionId(number));
            let is_it = walk.stored.front().is_some_and(|(_, event)| event.data == *data);
            match place {
                Some(function) if left > 0 && is_it => {
                    left -= 1;
                    self.invoke_from(walk, report, (name, function))?;
                }
                None if walk.is_asked(report.run, name)
                    && !self.is_asked_before(walk, (report.run, name)) =>
                {
                    self.refuse(walk, (report.run, name), Told::refused("refused"))?;
                }
                Some(_) | None => {}
            }
        }
        require(left == 0, || format!("{left} events too many of {report:?}"))
    }

    fn is_asked_before(&self, walk: &Walk<'_>, (run, name): (RunId, &str)) -> bool {
        let is_told = walk.told.contains_key(&(run, name.to_owned()));
        self.runs.get(run).is_some_and(|life| {
            let is_known = life.memos.iter().any(|memo| memo.name == name);
            is_told || is_known || life.calls.contains_key(name)
        })
    }

    fn invoke_from(
        &mut self,
        walk: &mut Walk<'_>,
        report: &Report,
        (name, function): (&str, FunctionId),
    ) -> Result<(), String> {
        let (id, invoker) = (report.run, self.runs.get(report.run));
        let is_right = invoker.is_some_and(|life| holds(life.record.as_ref(), report.epoch))
            && self.is_live(id)
            && !self.is_asked_before(walk, (id, name));
        require(is_right || !self.is_honest, || format!("run {id}: '{name}' invokes once more"))?;
        let Some((event, record)) = walk.stored.pop_front() else { return Ok(()) };
        let arrival = Arrival {
            id: event,
            name: record.name.clone(),
            data: record.data.clone(),
            size: u64::try_from(record.data.len()).unwrap_or(u64::MAX),
            ts: None,
            starts_at: None,
            is_known: false,
            is_tick: false,
            run: record.runs.first().map(|(_, run)| *run),
        };
        let arrived = self.arrive(walk, function, &arrival)?;
        let runs: Vec<_> = arrived.ok().flatten().map(|run| (function, run)).into_iter().collect();
        let skips: Vec<(FunctionId, Skip)> =
            arrived.err().map(|skip| (function, skip)).into_iter().collect();
        let is_right = record.name == "durable/function.invoked"
            && record.runs == runs
            && record.skips == skips
            && record.received_at == walk.turn.now;
        require(is_right, || format!("'{name}' is to have {runs:?} and {skips:?}: {record:?}"))?;
        self.keep(None, event, record, None);
        match arrived {
            Ok(Some(run)) => self.await_run(walk, (id, name), (run, event)),
            Ok(None) | Err(_) => self.refuse(walk, (id, name), Told::refused("skipped")),
        }
    }

    fn await_run(
        &mut self,
        walk: &mut Walk<'_>,
        (id, name): (RunId, &str),
        (run, event): (RunId, EventId),
    ) -> Result<(), String> {
        let Some(invoker) = self.runs.get_mut(id).filter(|life| life.end.is_none()) else {
            walk.tally.note("invoke ended its own run");
            return Ok(());
        };
        invoker.calls.insert(name.to_owned(), (run, event));
        let invoked = self.runs.get_mut(run).filter(|life| life.end.is_none());
        let reason = match invoked {
            Some(life) if life.events.contains(&event) => {
                life.invokers.push((id, name.to_owned(), event));
                return Ok(());
            }
            Some(_) => "debounced",
            None => "cancelled",
        };
        self.tell_step(walk, (id, name), Told::refused(reason))
    }

    /// Nothing was started for a step.
    fn refuse(
        &mut self,
        walk: &mut Walk<'_>,
        (id, name): (RunId, &str),
        told: Told,
    ) -> Result<(), String> {
        let Some(invoker) = self.runs.get_mut(id).filter(|life| life.end.is_none()) else {
            return Ok(());
        };
        invoker.calls.insert(name.to_owned(), (RunId::default(), EventId::default()));
        self.tell_step(walk, (id, name), told)
    }

    /// A run has ended: whoever waits for it is told.
    pub(super) fn tell_invokers(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        end: &RunEnd,
    ) -> Result<(), String> {
        let Some(life) = self.runs.get_mut(run) else { return Ok(()) };
        let invokers = std::mem::take(&mut life.invokers);
        let (Outcome::Data(json) | Outcome::Error(json)) = end.outcome.clone();
        let refused = |reason| Told::Refused { reason, run: Some(run), cause: Some(json.clone()) };
        let told = match end.ending {
            Ending::Completed => Told::Result(json),
            Ending::Failed => refused("failed"),
            Ending::Cancelled => refused("cancelled"),
        };
        for (id, name, _) in invokers {
            self.tell_step(walk, (id, &name), told.clone())?;
        }
        Ok(())
    }

    /// The event of a step is no longer one of the run's; of all, where none is named.
    pub(super) fn tell_left_out(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        (event, reason): (Option<EventId>, &'static str),
    ) -> Result<(), String> {
        let Some(life) = self.runs.get_mut(run) else { return Ok(()) };
        let is_of_it = |(_, _, of): &(RunId, String, EventId)| event.is_none_or(|it| it == *of);
        let (of_it, rest) = std::mem::take(&mut life.invokers).into_iter().partition(is_of_it);
        let of_it: Invokers = of_it;
        life.invokers = rest;
        for (id, name, _) in of_it {
            self.tell_step(walk, (id, &name), Told::refused(reason))?;
        }
        Ok(())
    }

    fn tell_step(
        &mut self,
        walk: &mut Walk<'_>,
        (id, name): (RunId, &str),
        told: Told,
    ) -> Result<(), String> {
        let invoker = self.runs.get_mut(id).filter(|life| life.end.is_none());
        if invoker.and_then(|life| life.calls.remove(name)).is_none() {
            return Ok(()); // it waits no longer
        }
        let key = (id, name.to_owned());
        if walk.memos.contains_key(&key) {
            let told = if walk.is_ticking { Told::Late(Box::new(told)) } else { told };
            walk.told.insert(key, told);
            return Ok(());
        }
        if walk.fails.contains(&id) {
            return self.end(walk, id); // what it was told was too large, or one memo too many
        }
        require(!self.is_honest || walk.is_ticking, || {
            format!("run {id}: '{name}' is not told {told:?}")
        })
    }

    /// A step's memo is what it was told.
    pub(super) fn take_told(
        &mut self,
        turn: &Sealed,
        (id, due): (RunId, Option<Timestamp>),
        memo: &Memo,
    ) -> Result<(), String> {
        let name = &memo.name;
        let told = self.told.remove(&(id, name.clone()));
        let is_late = matches!(told, None | Some(Told::Late(_)));
        if told.as_ref().is_some_and(|told| told.is(&memo.outcome)) {
            return Ok(());
        }
        if memo.kind == StepKind::Event {
            require(told.is_none(), || format!("run {id}: {memo:?}, not {told:?}"))?;
            return self.waited_in_vain(turn, (id, due), memo);
        }
        let call = self.runs.get_mut(id).and_then(|life| life.calls.remove(name));
        let (Outcome::Data(said) | Outcome::Error(said)) = &memo.outcome;
        let said = String::from_utf8_lossy(said);
        let is_of_it = call.is_none_or(|(run, _)| said.contains(&run.to_string()));
        let is_over = due.is_some_and(|due| due <= turn.latest && due <= memo.recorded_at);
        let is_right = is_late
            && (call.is_some() || told.is_some())
            && is_over
            && is_of_it
            && says_reason(&said, "InvokeTimeoutError", "timeout");
        require(is_right, || {
            format!("run {id}: {memo:?}, due {due:?}, told {told:?}, waited for {call:?}")
        })
    }

    /// Whatever was to be told was: to those that have not ended.
    pub(super) fn check_told(&mut self) -> Result<(), String> {
        let left = std::mem::take(&mut self.told);
        let lost = left.iter().find(|((run, _), _)| self.is_live(*run));
        require(lost.is_none() || !self.is_honest, || format!("not told: {lost:?}"))
    }
}

/// Each step that waits for a run's end is kept as one.
pub(super) fn check_calls(id: RunId, life: &Life) -> Result<(), String> {
    let steps = life.record.iter().flat_map(|record| &record.pending);
    let kept = steps.filter_map(|step| match &step.awaits {
        Some(Awaits::Run(run)) => Some((&step.name, *run)),
        Some(Awaits::Event(_) | Awaits::Signal(_)) | None => None,
    });
    let kept: BTreeMap<_, _> = kept.collect();
    let calls: BTreeMap<_, _> = life.calls.iter().map(|(name, (run, _))| (name, *run)).collect();
    require(kept == calls, || format!("run {id} waits for {calls:?}, kept are {kept:?}"))
}

/// What a wait or an invoke came to.
pub(super) fn note_memo(memo: &Memo, tally: &mut Tally) {
    let (Outcome::Data(json) | Outcome::Error(json)) = &memo.outcome;
    let text = String::from_utf8_lossy(json);
    let reasons = [
        ("failed", "invoke told: failed"),
        ("cancelled", "invoke told: cancelled"),
        ("skipped", "invoke told: skipped"),
        ("refused", "invoke told: no such function"),
        ("debounced", "invoke told: debounced away"),
        ("timeout", "invoke told: too late"),
    ];
    let is_error = matches!(memo.outcome, Outcome::Error(_));
    let reason =
        reasons.iter().find(|(it, _)| is_error && text.contains(&format!("\"reason\":\"{it}\"")));
    match memo.kind {
        StepKind::Event if text == "null" => tally.note("wait was in vain"),
        StepKind::Event => tally.note("wait took an event"),
        StepKind::Invoke => tally.note(reason.map_or("invoke told: its result", |(_, it)| *it)),
        StepKind::Run | StepKind::Sleep | StepKind::Signal => {}
    }
}
