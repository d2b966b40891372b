//! Waits for events: a wait takes the first event that it sees and that meets what it asks for. It sees those that
//! come while it stands in the index, and looks back at those that came before it did.

use bytes::Bytes;

use super::program::view;
use super::tick::after;
use super::{Shard, Slot, Turn, read};
use crate::command::{Since, Until};
use crate::effect::Effect;
use crate::event::{EventRecord, MAX_NAME_BYTES, NewEvent};
use crate::expr::{EventView, Known, Mistake};
use crate::id::{EventId, RunId};
use crate::map::Map;
use crate::run::RunRecord;
use crate::step::{Awaited, Awaits, Pending, PendingState, StepKind};
use crate::system::envelope;
use crate::waits::Waits;
use crate::write::{Record, event_key, id_in_key};

/// As many events are looked at in one turn for one wait.
const PAGE: usize = 256;
/// So many waits look back in one turn; their answers make the next.
const MOST_ASKED: usize = 64;
/// The last event is known of so many names.
const MOST_NAMES: usize = 65_536;
/// Waiters of these numbers wait for what cancels their run.
const FIRST_CANCEL: u32 = u32::MAX - 64;

/// Which event a step asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) event: String,
    pub(super) expression: Option<String>,
    pub(super) own: Option<Record>,
    pub(super) since: Since,
    pub(super) behind: Option<String>,
}

/// Of each name the last event that came: a wait looks back only where there is something to see.
#[derive(Debug, Default)]
pub(super) struct Lately {
    /// What came later is known, by the hashes of names.
    since: EventId,
    last: Map<u64, EventId>,
}

impl Lately {
    pub(super) fn since(event: EventId) -> Self {
        Self { since: event, last: Map::default() }
    }

    fn note(&mut self, name: u64, event: EventId) {
        if self.last.len() >= MOST_NAMES {
            *self = Self::since(event);
        }
        self.last.insert(name, event);
    }

    /// False where no event of this name came after that one.
    fn may_have_come(&self, name: u64, after: EventId) -> bool {
        after < self.since || self.last.get(name).is_some_and(|last| *last > after)
    }
}

impl Shard {
    /// A step waits for an event.
    pub(super) fn wait_for_event(
        &mut self,
        id: RunId,
        (name, until): (String, Until),
        wanted: Wanted,
        turn: &mut Turn,
    ) {
        if self.opened(id).pending.iter().any(|step| step.name == name) {
            return; // it waits already
        }
        if let Some(why) = wrong_name(&wanted.event) {
            let why = format!("step '{name}': {why}");
            self.fail_run_at(id, (name, StepKind::Event), ("InvalidEvent", &why), turn);
            return;
        }
        let Some(due) = self.due(id, (&name, StepKind::Event), until, turn) else { return };
        let Wanted { event, expression, own, since, behind } = wanted;
        let known = match expression.as_deref().map(|text| self.known(text, own)).transpose() {
            Ok(known) => known.unwrap_or_default(),
            Err(mistake) => {
                let why = format!("step '{name}': {mistake}");
                self.fail_run_at(id, (name, StepKind::Event), ("InvalidExpression", &why), turn);
                return;
            }
        };
        let looks_from = self.looks_from(id, &event, (since, behind));
        let is_since_run = since == Since::Run;
        let awaited = Box::new(Awaited { event, expression, known, looks_from, is_since_run });
        let state = (PendingState::Waiting(due), Some(Awaits::Event(awaited)));
        let Some(number) = self.add_pending(id, name, state, turn) else { return };
        if let Some(Slot::Open(open)) = self.runs.get(id)
            && let Some(awaited) = awaited_of(&open.run, number)
        {
            self.waits.add((id, number), awaited);
        }
        if looks_from.is_some() {
            self.look_backs.insert((id, number));
        }
    }

    /// What an expression reads of the run's own event.
    fn known(&mut self, text: &str, own: Option<Record>) -> Result<Known, Mistake> {
        let expression = self.waits.expression(text)?;
        let Some((key, value)) = own.filter(|_| expression.reads_event()) else {
            return Ok(Known::default());
        };
        let event: EventRecord = read("an event", &value);
        let id = id_in_key(&key).map(EventId::from_bytes).unwrap_or_default().to_string();
        Ok(expression.known(&event.view(&id)))
    }

    /// The event after which others may have come that a new wait is to see.
    fn looks_from(
        &mut self,
        id: RunId,
        event: &str,
        (since, behind): (Since, Option<String>),
    ) -> Option<EventId> {
        let last = self.meta.last_event;
        let run = self.opened(id);
        let heard = run.heard.iter().find(|(step, _)| Some(step) == behind.as_ref());
        let from = match (since, heard) {
            (Since::Run, _) => {
                let own = run.rest.last().copied().unwrap_or(run.event); // a batch begins with its last event
                own.max(EventId::earliest(run.created_at))
            }
            (Since::Stretch, Some((_, heard))) => *heard,
            (Since::Stretch, None) => run.busy_since.unwrap_or(last),
        };
        self.lately.may_have_come(self.waits.hash(event), from).then_some(from)
    }

    /// An event has come: whoever waits for it goes on, or is called off.
    pub(super) fn hear(&mut self, id: EventId, event: &NewEvent, turn: &mut Turn) {
        self.lately.note(self.waits.hash(&event.name), id);
        if !self.waits.is_heard(&event.name) {
            return;
        }
        let (text, now) = (id.to_string(), self.now());
        let event = view(event, &text, now).event;
        let (mut json, mut opened) = (None, None);
        for (run, number) in self.waits.candidates(event, now) {
            if opened.as_ref().is_none_or(|(last, _)| *last != run) {
                opened = self.runs.get(run).map(|slot| (run, slot.unpack()));
            }
            let Some((_, record)) = &opened else { continue };
            if let Some(place) = number.checked_sub(FIRST_CANCEL) {
                self.hear_cancel(run, (record, place), event, turn);
                opened = None;
            } else if let Some(awaited) = awaited_of(record, number)
                && awaited.looks_from.is_none() // else it sees this one when it has looked at those before
                && self.waits.is_met(awaited, event, now)
            {
                let json = json.get_or_insert_with(|| envelope(event)).clone();
                opened.take().into_iter().for_each(|(run, record)| self.reopen(run, record));
                self.end_wait_by((run, number), id, json, turn);
            }
        }
    }

    /// An event has ended a wait: code that goes on behind it, and waits again, looks for later ones. What other
    /// code of the run waits for next it sees from the earliest of them on.
    fn end_wait_by(
        &mut self,
        (id, number): (RunId, u32),
        event: EventId,
        json: Bytes,
        turn: &mut Turn,
    ) {
        let last = self.meta.last_event;
        let run = self.opened(id);
        let step = run.pending.iter().find(|step| step.number == number);
        let step = step.map(|step| (step.name.clone(), awaited_of(run, number)));
        if let Some((_, Some(Awaited { is_since_run: true, .. }))) = step {
            run.busy_since.get_or_insert(last);
        } else if let Some((name, _)) = step {
            run.busy_since = Some(run.busy_since.map_or(event, |since| since.min(event)));
            run.heard.push((name, event));
        }
        self.end_wait_of((id, number), json, turn);
    }

    fn hear_cancel(
        &mut self,
        id: RunId,
        (run, place): (&RunRecord, u32),
        event: EventView<'_>,
        turn: &mut Turn,
    ) {
        let now = self.now();
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let Some(cancel) = run.cancels.get(place) else { return };
        let is_over = cancel.length.is_some_and(|length| run.created_at.plus(length) <= now);
        if !is_over && self.waits.is_met(&cancel.awaited, event, now) {
            let why = format!("its cancel_on met the event '{}' ({})", event.name, event.id);
            self.cancel_run(id, &why, turn);
        }
    }

    /// Asks for the events that waits have not looked at yet.
    pub(super) fn ask_to_look_back(&mut self, turn: &mut Turn) {
        for _ in 0..MOST_ASKED {
            let Some((run, number)) = self.look_backs.pop_first() else { break };
            let from = match self.runs.get(run).map(Slot::unpack) {
                Some(record) => awaited_of(&record, number).and_then(|it| it.looks_from),
                None => None,
            };
            if let Some(from) = from {
                let (from, before) =
                    (after(&event_key(from)), after(&event_key(self.meta.last_event)));
                turn.effects.push(Effect::LookBack { run, number, from, before, limit: PAGE });
            }
        }
    }

    /// Events that a wait may have missed: it takes the first that meets what it asks for.
    pub(super) fn look_back(
        &mut self,
        (id, number): (RunId, u32),
        before: &[u8],
        (records, is_complete): (&[Record], bool),
        turn: &mut Turn,
    ) {
        let now = self.now();
        let Some(record) = self.runs.get(id).map(Slot::unpack) else { return };
        let Some(awaited) = awaited_of(&record, number) else { return };
        for (key, value) in records {
            let event: EventRecord = read("an event", value);
            if event.made_for.is_some() {
                continue;
            }
            let came = id_in_key(key).map(EventId::from_bytes).unwrap_or_default();
            let text = came.to_string();
            if self.waits.is_met(awaited, event.view(&text), now) {
                let json = envelope(event.view(&text));
                self.end_wait_by((id, number), came, json, turn);
                return;
            }
        }
        let last = records.last().map(|(key, _)| key.as_ref());
        let reached = last.filter(|_| !is_complete).unwrap_or(before);
        let reached = id_in_key(reached).map(EventId::from_bytes).unwrap_or_default();
        let has_more = self.lately.may_have_come(self.waits.hash(&awaited.event), reached);
        let looks_from = has_more.then_some(reached);
        let step = self.opened(id).pending.iter_mut().find(|step| step.number == number);
        if let Some(Awaits::Event(awaited)) = step.and_then(|step| step.awaits.as_mut()) {
            awaited.looks_from = looks_from;
        }
        if has_more {
            self.look_backs.insert((id, number));
        }
    }

    /// A run ends.
    pub(super) fn ignore_cancels(&mut self, id: RunId) {
        let Some(Slot::Open(open)) = self.runs.get(id) else { return };
        for (awaited, number) in cancels_of(&open.run) {
            self.waits.remove((id, number), awaited);
        }
    }

    /// Enters a step, read from the store, into the index of what it waits for.
    pub(super) fn restore_wait(&mut self, id: RunId, step: &Pending) {
        match &step.awaits {
            Some(Awaits::Signal(signal)) => {
                self.signals.take(signal.as_bytes(), (id, step.number));
            }
            Some(Awaits::Event(awaited)) => {
                self.waits.add((id, step.number), awaited);
                if awaited.looks_from.is_some() {
                    self.look_backs.insert((id, step.number));
                }
            }
            Some(Awaits::Run(_)) | None => {}
        }
    }

    /// Nothing of what a step waited for concerns it any more.
    pub(super) fn forget_wait(&mut self, id: RunId, step: &Pending) {
        match &step.awaits {
            Some(Awaits::Signal(signal)) => {
                self.signals.let_go(signal.as_bytes(), (id, step.number));
            }
            Some(Awaits::Event(awaited)) => {
                self.waits.remove((id, step.number), awaited);
                self.look_backs.remove(&(id, step.number));
            }
            Some(Awaits::Run(_)) | None => {}
        }
    }

    /// The waits for events as runs say they are, to be compared with those in the index.
    pub(super) fn waits_by_runs(&self, runs: &[(RunId, RunRecord)]) -> Waits {
        let mut waits = Waits::new(self.settings.secret);
        for (id, run) in runs {
            let steps = run
                .pending
                .iter()
                .filter_map(|step| Some((awaited_of(run, step.number)?, step.number)));
            let cancels = cancels_of(run).filter(|_| run.gathering.is_none());
            for (awaited, number) in steps.chain(cancels) {
                waits.add((*id, number), awaited);
            }
        }
        waits
    }
}

/// A run is there: events may call it off from now on.
pub(super) fn listen(waits: &mut Waits, id: RunId, run: &RunRecord) {
    for (awaited, number) in cancels_of(run) {
        waits.add((id, number), awaited);
    }
}

/// The event that a run's step waits for.
fn awaited_of(run: &RunRecord, number: u32) -> Option<&Awaited> {
    let step = run.pending.iter().find(|step| step.number == number)?;
    if let Some(Awaits::Event(awaited)) = &step.awaits { Some(awaited) } else { None }
}

/// The events that cancel a run, each with the number under which it is waited for.
fn cancels_of(run: &RunRecord) -> impl Iterator<Item = (&Awaited, u32)> {
    run.cancels.iter().map(|cancel| &cancel.awaited).zip(FIRST_CANCEL..)
}

/// Why no event can have this name.
pub(super) fn wrong_name(event: &str) -> Option<String> {
    if event.is_empty() || event.contains('*') {
        return Some(format!(
            "a wait is for events of one name, as in 'shop/order.paid', without '*': '{event}'"
        ));
    }
    (event.len() > MAX_NAME_BYTES)
        .then(|| format!("an event's name has at most {MAX_NAME_BYTES} bytes: '{event}'"))
}
