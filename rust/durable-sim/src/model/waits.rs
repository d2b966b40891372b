//! Waits for events, and the events that cancel runs: each wait has taken the first event that it was to see, at
//! once where it stood already, and none that it was not to see.
//!
//! From where on a wait sees events is known to a turn: within one turn a run may or may not have stood still.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Awaited, Awaits, CancelOn, Command, EventId, EventRecord, Memo, Op, Outcome, PendingState,
    Policies, Report, RunId, RunRecord, Since, Stretch, Timestamp,
};

use super::calls::{Told, check_calls};
use super::walk::Walk;
use super::{Life, Model, require, says};
use crate::driver::Sealed;

/// A wait for an event.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    event: String,
    expression: Option<String>,
    /// The data of the run's own event.
    own: Bytes,
    is_since_run: bool,
    from: Bounds,
}

/// An event between these two, and these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    least: EventId,
    most: EventId,
}

/// What a run knows of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Hearing {
    /// Its waits, by their steps' names.
    waits: BTreeMap<String, Wait>,
    /// The events that cancel it, with the data of its own.
    cancels: Vec<(CancelOn, Bytes)>,
    /// The last event before something of it began to execute; `None` while it stands still.
    busy_since: Option<Bounds>,
    /// What ended its waits since then, and whether that surely counts.
    heard: BTreeMap<String, (EventId, bool)>,
}

/// Why a run is cancelled by an event.
const CANCEL_ON: &str = "its cancel_on met the event";

impl Bounds {
    const fn exact(event: EventId) -> Self {
        Self { least: event, most: event }
    }
}

impl Wait {
    fn is_met(&self, event: &EventRecord) -> bool {
        let Self { expression, own, .. } = self;
        event.name == self.event
            && event.made_for.is_none()
            && says::is_met_by(expression.as_deref(), own, &event.data)
    }

    fn is(&self, awaited: &Awaited) -> bool {
        let Awaited { event, expression, is_since_run, .. } = awaited;
        (event, expression, is_since_run) == (&self.event, &self.expression, &self.is_since_run)
    }
}

impl Life {
    /// From its creation on these events cancel it.
    pub(super) fn listen(&mut self, policies: &Policies, own: &Bytes) {
        let cancels = policies.cancel_on.iter().cloned();
        self.hearing.cancels = cancels.map(|cancel| (cancel, own.clone())).collect();
    }
}

impl Model {
    /// An executor says that code waits for events, or that it waits.
    pub(super) fn ask_to_hear(&mut self, walk: &mut Walk<'_>, report: &Report) {
        let id = report.run;
        for op in &report.ops {
            let Op::WaitForEvent { name, event, expression, since, behind, .. } = op else {
                continue;
            };
            let Some(life) = self.runs.get(id).filter(|life| life.end.is_none()) else { return };
            let is_known = life.hearing.waits.contains_key(name)
                || life.memos.iter().any(|memo| memo.name == *name)
                || walk.told.contains_key(&(id, name.clone()));
            if is_known || !walk.is_asked(id, name) {
                continue;
            }
            let first = life.events.first().copied().unwrap_or_default();
            let own = self.events.get(&first).map(|own| own.data.clone()).unwrap_or_default();
            let from = match since {
                Since::Run => {
                    let last = life.events.last().copied().unwrap_or_default(); // of a batch's own
                    Bounds::exact(last.max(EventId::earliest(life.created_at)))
                }
                Since::Stretch => self.goes_on_from(life, behind.as_ref()),
            };
            walk.tally.note(match (since, behind) {
                (Since::Run, _) => "wait since its run began",
                (Since::Stretch, Some(_)) => "wait behind another",
                (Since::Stretch, None) => "wait for an event",
            });
            let (event, expression) = (event.clone(), expression.clone());
            let wait = Wait { event, expression, own, is_since_run: *since == Since::Run, from };
            if let Some(life) = self.runs.get_mut(id) {
                life.hearing.waits.insert(name.clone(), wait);
            }
        }
        if report.parked_at.is_some() {
            walk.parked.insert(id);
        }
    }

    fn goes_on_from(&self, life: &Life, behind: Option<&String>) -> Bounds {
        let busy = life.hearing.busy_since;
        let busy = busy.unwrap_or(Bounds { least: self.last_before, most: self.last_event });
        match behind.and_then(|behind| life.hearing.heard.get(behind)) {
            Some((event, true)) => Bounds::exact(*event),
            Some((event, false)) => {
                Bounds { least: busy.least.min(*event), most: busy.most.max(*event) }
            }
            None => busy,
        }
    }

    /// An event has come: who waits for it goes on, and whom it cancels is cancelled.
    pub(super) fn hear(
        &mut self,
        walk: &mut Walk<'_>,
        (id, event): (EventId, &EventRecord),
    ) -> Result<(), String> {
        let is_heard = |life: &Life| {
            let Hearing { waits, cancels, .. } = &life.hearing;
            waits.values().any(|wait| wait.event == event.name)
                || cancels.iter().any(|(cancel, _)| cancel.event == event.name)
        };
        let heard: Vec<RunId> =
            self.live().filter(|(_, life)| is_heard(life)).map(|(run, _)| run).collect();
        for run in heard {
            let waits = self.runs.get(run).map(|life| life.hearing.waits.clone());
            let waits = waits.unwrap_or_default().into_iter();
            for (name, _) in waits.filter(|(_, wait)| wait.is_met(event)) {
                let is_sure = self.looks_no_more(run, &name);
                self.may_hear(walk, (run, &name), (id, event), is_sure)?;
            }
            self.hear_cancel(walk, run, (id, event))?;
        }
        Ok(())
    }

    /// Whether a wait had looked at all that came before it, at the turn's beginning.
    fn looks_no_more(&self, run: RunId, name: &str) -> bool {
        let record = self.runs.get(run).and_then(|life| life.record.as_ref());
        let step = record.and_then(|it| it.pending.iter().find(|step| step.name == name));
        step.is_some_and(|step| match &step.awaits {
            Some(Awaits::Event(awaited)) => awaited.looks_from.is_none(),
            Some(Awaits::Signal(_) | Awaits::Run(_)) | None => false,
        })
    }

    /// A wait that this event is for may end by it: its memo says whether it has.
    fn may_hear(
        &mut self,
        walk: &mut Walk<'_>,
        (run, name): (RunId, &str),
        (id, event): (EventId, &EventRecord),
        is_sure: bool,
    ) -> Result<bool, String> {
        if !self.is_live(run) {
            return Ok(false);
        }
        let value = envelope(id, event);
        let has_memo =
            walk.memos.get(&(run, name.to_owned())) == Some(&Outcome::Data(value.clone()));
        if !has_memo {
            if is_sure && walk.fails.contains(&run) {
                self.end(walk, run)?; // what it was given was one memo too many, or too large
            }
            return Ok(false);
        }
        let Some(wait) = self.runs.get_mut(run).and_then(|life| life.hearing.waits.remove(name))
        else {
            return Ok(false);
        };
        let missed = self.first(&wait, wait.from.most).filter(|first| *first < id);
        require((missed.is_none() && id > wait.from.least) || !self.is_honest, || {
            format!("run {run}: '{name}' took {id}, and not {missed:?}: {wait:?}")
        })?;
        self.note_heard(walk, (run, name), &wait, id);
        walk.told.insert((run, name.to_owned()), Told::Event(value));
        Ok(true)
    }

    /// Code that goes on behind this wait sees later events.
    fn note_heard(
        &mut self,
        walk: &Walk<'_>,
        (run, name): (RunId, &str),
        wait: &Wait,
        id: EventId,
    ) {
        let (last_before, has_parked) = (self.last_before, walk.parked.contains(&run));
        let Some(life) = self.runs.get_mut(run).filter(|_| !wait.is_since_run) else { return };
        let Hearing { busy_since, heard, .. } = &mut life.hearing;
        *busy_since = Some(match *busy_since {
            None => Bounds { least: last_before.min(id), most: id },
            Some(since) => Bounds {
                least: since.least.min(id),
                most: if has_parked { id } else { since.most.min(id) },
            },
        });
        heard.insert(name.to_owned(), (id, true));
    }

    fn hear_cancel(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        (id, event): (EventId, &EventRecord),
    ) -> Result<(), String> {
        let live = self.runs.get(run).filter(|life| life.end.is_none() && life.bucket.is_none());
        let Some(life) = live else { return Ok(()) };
        let after = |ms: u64| life.created_at.plus(Duration::from_millis(ms));
        let is_over =
            |cancel: &CancelOn| cancel.timeout_ms.is_some_and(|ms| after(ms) <= walk.turn.now);
        let is_it = |(cancel, own): &&(CancelOn, Bytes)| {
            cancel.event == event.name
                && says::is_met_by(cancel.condition.as_deref(), own, &event.data)
        };
        let met = || life.hearing.cancels.iter().filter(is_it);
        if met().all(|(cancel, _)| is_over(cancel)) {
            if met().next().is_some() {
                walk.tally.note("cancel_on was over");
            }
            return Ok(());
        }
        walk.tally.note("cancel_on was met");
        let (name, id) = (&event.name, event.user_id.clone().unwrap_or_else(|| id.to_string()));
        self.cancel(walk, run, &format!("{CANCEL_ON} '{name}' ({id})"))
    }

    /// Events that came before a wait are looked at.
    pub(super) fn look_back(
        &mut self,
        walk: &mut Walk<'_>,
        command: &Command,
    ) -> Result<(), String> {
        let Command::LookBack { run, number, records, .. } = command else { return Ok(()) };
        let record = self.runs.get(*run).and_then(|life| life.record.as_ref());
        let step = record.and_then(|it| it.pending.iter().find(|step| step.number == *number));
        let Some(name) = step.map(|step| step.name.clone()) else { return Ok(()) };
        for (key, value) in records {
            let event: EventRecord = super::read("an event", value)?;
            let id = durable_core::write::id_in_key(key).map(EventId::from_bytes);
            let wait = self.runs.get(*run).and_then(|life| life.hearing.waits.get(&name));
            let is_met = wait.is_some_and(|wait| wait.is_met(&event));
            let id = id.unwrap_or_default();
            if is_met && self.may_hear(walk, (*run, &name), (id, &event), true)? {
                walk.tally.note("wait took an event that came before it");
                return Ok(());
            }
        }
        Ok(())
    }

    /// A wait is over with nothing: it was time, and nothing came for it.
    pub(super) fn waited_in_vain(
        &mut self,
        turn: &Sealed,
        (id, due): (RunId, Option<Timestamp>),
        memo: &Memo,
    ) -> Result<(), String> {
        let wait = self.runs.get_mut(id).and_then(|life| life.hearing.waits.remove(&memo.name));
        let name = &memo.name;
        let Some(wait) = wait else { return Err(format!("run {id}: '{name}' ends once more")) };
        require(memo.outcome == Outcome::Data(Bytes::from_static(b"null")), || {
            format!("run {id}: '{name}' was given {memo:?} and nobody sent it")
        })?;
        let is_over = due.is_some_and(|due| due <= turn.latest && due <= memo.recorded_at);
        require(is_over, || format!("run {id}: '{name}' waits no longer, though until {due:?}"))?;
        let missed = self.first(&wait, wait.from.most);
        require(missed.is_none(), || format!("run {id}: '{name}' has missed {missed:?}: {wait:?}"))
    }

    /// The first event behind another that a wait is for.
    fn first(&self, wait: &Wait, after: EventId) -> Option<EventId> {
        let later = self.events.range((Bound::Excluded(after), Bound::Unbounded));
        later.into_iter().find(|(_, event)| wait.is_met(event)).map(|(id, _)| *id)
    }

    /// Runs stand still behind this turn, or go on.
    pub(super) fn settle(&mut self, walk: &Walk<'_>) {
        let (last_before, last_event) = (self.last_before, self.last_event);
        for (id, record) in &walk.written {
            let Some(life) = self.runs.get_mut(*id) else { continue };
            let is_first = life.record.as_ref().is_none_or(|before| before.started_at.is_none());
            let Hearing { busy_since, heard, .. } = &mut life.hearing;
            if stands_still(record) {
                *busy_since = None;
                heard.clear();
                continue;
            }
            let least = if is_first { last_event } else { last_before };
            match busy_since {
                Some(since) if walk.parked.contains(id) => {
                    since.most = since.most.max(last_event);
                    heard.values_mut().for_each(doubt);
                }
                Some(_) => {}
                None if record.started_at.is_none() => {}
                None => *busy_since = Some(Bounds { least, most: last_event }),
            }
        }
    }

    /// The turn is over: what was asked for is kept, and what waits without looking back has missed nothing.
    pub(super) fn check_hearing(&self, written: &BTreeMap<RunId, RunRecord>) -> Result<(), String> {
        if !self.is_honest || self.is_following {
            return Ok(());
        }
        let has_news = self.last_event > self.last_before;
        let is_concerned = |(id, life): &(RunId, &Life)| {
            written.contains_key(id) || (has_news && !life.hearing.waits.is_empty())
        };
        self.live().filter(is_concerned).try_for_each(|(id, life)| {
            self.check_waits(id, life)?;
            check_calls(id, life)
        })
    }

    fn check_waits(&self, id: RunId, life: &Life) -> Result<(), String> {
        let waits = &life.hearing.waits;
        let Some(record) = &life.record else { return Ok(()) };
        let mut kept = BTreeMap::new();
        for step in &record.pending {
            if let Some(Awaits::Event(awaited)) = &step.awaits {
                kept.insert(step.name.clone(), awaited);
            }
        }
        let is_same = waits.len() == kept.len()
            && waits.iter().all(|(name, wait)| kept.get(name).is_some_and(|it| wait.is(it)));
        require(is_same, || format!("run {id} waits for {waits:?}, kept are {kept:?}"))?;
        for (name, wait) in waits {
            let looks = kept.get(name).is_some_and(|awaited| awaited.looks_from.is_some());
            let missed = self.first(wait, wait.from.most).filter(|_| !looks);
            require(missed.is_none(), || {
                format!("run {id}: '{name}' waits on though {missed:?} came: {wait:?}")
            })?;
        }
        Ok(())
    }
}

/// It may be that what was heard counts no more.
const fn doubt((_, is_sure): &mut (EventId, bool)) {
    *is_sure = false;
}

/// Nothing of a run executes, or is to: it has only to wait.
fn stands_still(record: &RunRecord) -> bool {
    record.stretch == Stretch::Parked
        && record
            .pending
            .iter()
            .all(|step| matches!(step.state, PendingState::Sleeping(_) | PendingState::Waiting(_)))
}

/// An event as a handler is given it.
pub(super) fn envelope(id: EventId, event: &EventRecord) -> Bytes {
    let EventRecord { name, user_id, ts, data, .. } = event;
    let id = user_id.clone().unwrap_or_else(|| id.to_string());
    let (ts, data) = (ts.as_millis(), String::from_utf8_lossy(data));
    Bytes::from(format!("{{\"name\":\"{name}\",\"id\":\"{id}\",\"ts\":{ts},\"data\":{data}}}"))
}
