//! What events must start, and what callers must be told.

use std::collections::VecDeque;

use durable_core::write::EVENT;
use durable_core::{
    Answer, Command, Effect, EventId, EventRecord, FunctionId, FunctionSpec, NewEvent, RunId,
    Timestamp,
};

use super::{DEDUP_WINDOW, Life, Model, Sender, read, require};
use crate::driver::Sealed;
use crate::tally::Tally;

impl Model {
    /// Goes through a turn's commands as a slow reader would, and compares with what was stored.
    pub(super) fn admit(&mut self, turn: &Sealed, tally: &mut Tally) -> Result<(), String> {
        let mut answers = answers(turn);
        let mut stored = stored_events(turn)?;
        for command in &turn.commands {
            match command {
                Command::RegisterFunctions { app, functions, .. } => {
                    self.register(app, functions, answers.pop_front(), tally)?;
                }
                Command::AcceptEvents { events, source, .. } => {
                    let answer = answers.pop_front();
                    let events: Vec<&NewEvent> = events.iter().map(|(event, _)| event).collect();
                    self.accept(turn, (&events, source), answer, (&mut stored, tally))?;
                }
                Command::InvokeFunction { function, .. } => {
                    self.invoke(turn.now, function, answers.pop_front(), (&mut stored, tally))?;
                }
                Command::PauseFunction { .. } => drop(answers.pop_front()),
                Command::ConnectExecutor { .. }
                | Command::DrainExecutor
                | Command::Report(_)
                | Command::WakeRun { .. }
                | Command::LoadTimers { .. }
                | Command::Expire { .. } => {}
            }
        }
        require(answers.is_empty(), || "an answer to nobody".to_owned())?;
        require(stored.is_empty(), || format!("stored and not accepted: {stored:?}"))
    }

    fn register(
        &mut self,
        app: &str,
        functions: &[FunctionSpec],
        answer: Option<Answer>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let Some(Answer::Registered(ids)) = answer else { return Ok(()) };
        let mut expected = Vec::new();
        for spec in functions {
            let place = self.specs.iter().position(|(known, _)| known.name == spec.name);
            let place = place.unwrap_or(self.specs.len());
            expected.push(place);
            match self.specs.get_mut(place) {
                Some(known) => *known = (spec.clone(), false),
                None => self.specs.push((spec.clone(), false)),
            }
        }
        for (place, (spec, is_archived)) in self.specs.iter_mut().enumerate() {
            if spec.app == app && !expected.contains(&place) && !*is_archived {
                *is_archived = true;
                tally.note("function archived");
            }
        }
        let given: Vec<usize> = ids.iter().map(|id| id.index()).collect();
        require(given == expected, || format!("registered as {given:?}, not {expected:?}"))
    }

    fn accept(
        &mut self,
        turn: &Sealed,
        (events, source): (&[&NewEvent], &Option<(String, u64)>),
        answer: Option<Answer>,
        (stored, tally): (&mut VecDeque<(EventId, EventRecord)>, &mut Tally),
    ) -> Result<(), String> {
        let is_refused = events.iter().any(|event| event.refusal().is_some());
        let ids = match answer {
            Some(Answer::Refused(_)) if is_refused => {
                tally.note("refused event");
                return Ok(());
            }
            Some(Answer::Accepted(ids)) if !is_refused => ids,
            other => return Err(format!("{events:?} were answered {other:?}")),
        };
        if let Some((name, position)) = source {
            let last = self.inbox.get(name).copied();
            if last.is_some_and(|last| *position <= last) {
                tally.note("source position repeated");
                return require(ids.is_empty(), || format!("{name} {position} counted twice"));
            }
            self.inbox.insert(name.clone(), *position);
        }
        require(ids.len() == events.len(), || "as many ids as events".to_owned())?;
        for (event, answered) in events.iter().zip(ids) {
            let (id, record) =
                stored.pop_front().ok_or_else(|| format!("{answered} is not stored"))?;
            require(same(event, &record), || format!("{event:?} is stored as {record:?}"))?;
            let told = record.duplicate_of.unwrap_or(id);
            require(told == answered, || format!("{told} was answered as {answered}"))?;
            self.start(turn, event, (id, record), tally)?;
        }
        Ok(())
    }

    /// One event: which functions it must start, given all that its sender's id has started before.
    fn start(
        &mut self,
        turn: &Sealed,
        event: &NewEvent,
        (id, record): (EventId, EventRecord),
        tally: &mut Tally,
    ) -> Result<(), String> {
        let now = turn.now;
        let known = event.user_id.as_ref().and_then(|name| self.senders.get(name)).cloned();
        let is_ending = |run: RunId| turn.ends.iter().any(|(ended, _)| *ended == run);
        let counts = |run: RunId| {
            let is_live = self.runs.get(&run).is_none_or(|life| life.end.is_none());
            is_fresh(run.made_at(), now) || is_live
        };
        let runs: Vec<(FunctionId, RunId)> = known.iter().flat_map(|s| s.runs.clone()).collect();
        // A run that ends in this very turn may count or not: nobody can tell which came first.
        let is_open = |run: RunId| !is_fresh(run.made_at(), now) && is_ending(run);
        if runs.iter().any(|(_, run)| is_open(*run)) {
            self.keep(event, id, record, known.map(|sender| sender.first));
            return Ok(());
        }
        let runs: Vec<(FunctionId, RunId)> =
            runs.into_iter().filter(|(_, run)| counts(*run)).collect();
        if runs.iter().any(|(_, run)| !is_fresh(run.made_at(), now)) {
            tally.note("dedup kept while its run lives");
        }
        let first = known
            .map(|sender| sender.first)
            .filter(|first| is_fresh(first.made_at(), now) || !runs.is_empty());
        let expected: Vec<FunctionId> = (0..)
            .map(FunctionId)
            .zip(&self.specs)
            .filter(|(_, (spec, is_archived))| !is_archived && matches(spec, &event.name))
            .map(|(function, _)| function)
            .filter(|function| runs.iter().all(|(of, _)| of != function))
            .collect();
        let started: Vec<FunctionId> = record.runs.iter().map(|(function, _)| *function).collect();
        require(started == expected, || {
            format!("event {id} {event:?} started {started:?}, not {expected:?}")
        })?;
        require(record.duplicate_of == first, || {
            format!("event {id} is a duplicate of {:?}, not {first:?}", record.duplicate_of)
        })?;
        if first.is_some() {
            tally.note("dedup hit");
        }
        self.keep(event, id, record, first);
        Ok(())
    }

    fn keep(&mut self, event: &NewEvent, id: EventId, record: EventRecord, first: Option<EventId>) {
        let starts_at = event.ts.unwrap_or_default();
        for (function, run) in &record.runs {
            let life =
                Life { function: *function, starts_at, record: None, memos: Vec::new(), end: None };
            self.runs.insert(*run, life);
        }
        if let Some(name) = &event.user_id {
            if first.is_none() {
                self.senders.remove(name);
            }
            let fresh = Sender { first: id, runs: Vec::new() };
            let sender = self.senders.entry(name.clone()).or_insert(fresh);
            sender.runs.extend_from_slice(&record.runs);
        }
        self.events.insert(id, record);
    }

    fn invoke(
        &mut self,
        now: Timestamp,
        function: &str,
        answer: Option<Answer>,
        (stored, tally): (&mut VecDeque<(EventId, EventRecord)>, &mut Tally),
    ) -> Result<(), String> {
        let known = self.specs.iter().position(|(spec, gone)| spec.name == function && !gone);
        match (answer, known) {
            (Some(Answer::Refused(_)), None) => {
                tally.note("refused invoke");
                Ok(())
            }
            (Some(Answer::Started(run, _)), Some(place)) => {
                let (id, record) =
                    stored.pop_front().ok_or_else(|| format!("{run} has no event"))?;
                let is_one = record.runs.iter().map(|(f, r)| (f.index(), *r)).eq([(place, run)]);
                require(is_one && record.received_at == now, || format!("{run}: {record:?}"))?;
                let event = NewEvent { name: record.name.clone(), ..NewEvent::default() };
                self.keep(&event, id, record, None);
                Ok(())
            }
            (answer, _) => Err(format!("an invoke of '{function}' was answered {answer:?}")),
        }
    }
}

/// Whether an id made at that moment still counts.
pub(super) fn is_fresh(made_at: Timestamp, now: Timestamp) -> bool {
    made_at > now.minus(DEDUP_WINDOW)
}

fn matches(spec: &FunctionSpec, name: &str) -> bool {
    spec.triggers.iter().any(|trigger| match trigger.strip_suffix('*') {
        Some(stem) => name.starts_with(stem),
        None => name == trigger,
    })
}

fn same(event: &NewEvent, record: &EventRecord) -> bool {
    record.name == event.name
        && record.data == event.data
        && record.user_id == event.user_id
        && record.ts == event.ts.unwrap_or(record.received_at)
}

fn answers(turn: &Sealed) -> VecDeque<Answer> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer { answer, .. } => Some(answer.clone()),
        Effect::OfferWork(_)
        | Effect::DeliverMemo { .. }
        | Effect::ConfirmReport { .. }
        | Effect::AbandonWork { .. }
        | Effect::AnnounceEnd { .. }
        | Effect::LoadTimers { .. }
        | Effect::FindExpired { .. } => None,
    };
    turn.effects.iter().filter_map(|(effect, _)| answer(effect)).collect()
}

fn stored_events(turn: &Sealed) -> Result<VecDeque<(EventId, EventRecord)>, String> {
    let of_event = |key: &[u8]| match key.first() {
        Some(&EVENT) => durable_core::write::id_in_key(key).map(EventId::from_bytes),
        Some(_) | None => None,
    };
    let mut stored = VecDeque::new();
    for change in &turn.changes {
        if let (Some(id), Some(value)) = (of_event(&change.key), &change.value) {
            stored.push_back((id, read("an event", value)?));
        }
    }
    Ok(stored)
}
