//! What events must start, and what callers must be told.

use durable_core::flow::policy::Policies;
use durable_core::{
    Answer, EventId, EventRecord, FunctionId, FunctionSpec, NewEvent, Refusal, RunId, RunStatus,
    SingletonMode, Skip, Timestamp,
};

use super::flow::Arrival;
use super::walk::Walk;
use super::{DEDUP_WINDOW, Model, Sender, require, says};

impl Model {
    pub(super) fn register(
        &mut self,
        walk: &mut Walk<'_>,
        app: &str,
        functions: &[FunctionSpec],
        answer: Option<Answer>,
    ) -> Result<(), String> {
        let Some(Answer::Registered(ids)) = answer else {
            return Err(format!("an application was answered {answer:?}"));
        };
        let mut expected = Vec::new();
        for spec in functions {
            let place = self.specs.iter().position(|(known, _)| known.name == spec.name);
            let place = place.unwrap_or(self.specs.len());
            expected.push(place);
            let Some(known) = self.specs.get_mut(place) else {
                self.specs.push((spec.clone(), false));
                continue;
            };
            let before = std::mem::replace(known, (spec.clone(), false)).0;
            if before.policies != spec.policies {
                self.deploy(walk, place, &before.policies)?;
            }
        }
        for (place, (spec, is_archived)) in self.specs.iter_mut().enumerate() {
            if spec.app == app && !expected.contains(&place) && !*is_archived {
                *is_archived = true;
                walk.tally.note("function archived");
            }
        }
        self.rebuild_listeners();
        let gone: Vec<usize> =
            (0..self.specs.len()).filter(|place| !expected.contains(place)).collect();
        for place in expected.iter().chain(&gone) {
            self.sync_crons(walk, FunctionId(u32::try_from(*place).unwrap_or(u32::MAX)));
        }
        let given: Vec<usize> = ids.iter().map(|id| id.index()).collect();
        require(given == expected, || format!("registered as {given:?}, not {expected:?}"))
    }

    /// Policies changed: what has gathered enough by the new ones starts.
    fn deploy(
        &mut self,
        walk: &mut Walk<'_>,
        place: usize,
        before: &Policies,
    ) -> Result<(), String> {
        let own = self.live().filter(|(_, life)| life.function.index() == place);
        let own: Vec<RunId> = own.map(|(id, _)| id).collect();
        let Some((spec, _)) = self.specs.get(place) else { return Ok(()) };
        let is_waiting = |run: &RunId| {
            let record = self.runs.get(*run).and_then(|life| life.record.as_ref());
            record.is_some_and(|record| record.status() == RunStatus::Queued)
        };
        if spec.policies.concurrency != before.concurrency && own.iter().any(is_waiting) {
            walk.tally.note("deploy changed a limit under waiting runs");
        }
        if spec.policies.timeouts != before.timeouts && !own.is_empty() {
            walk.tally.note("deploy changed timeouts under live runs");
        }
        let skips = spec
            .policies
            .singleton
            .as_ref()
            .is_some_and(|singleton| singleton.mode == SingletonMode::Skip);
        // In which order they start is nobody's business; whoever ends of it, ends in that order, and of a
        // singleton's the one that stays was the first, or the last where each makes way.
        let mut own = own;
        own.sort_by_key(|run| {
            let place = walk.turn.ends.iter().position(|(ended, _)| ended == run);
            (place.is_none() != skips, place)
        });
        own.into_iter().try_for_each(|run| self.start_if_gathered(walk, run))
    }

    pub(super) fn pause(
        &mut self,
        walk: &mut Walk<'_>,
        name: &str,
        is_paused: bool,
        answer: Option<Answer>,
    ) -> Result<(), String> {
        let place = (0..).zip(&self.specs).find(|(_, (spec, _))| spec.name == name);
        let function = place.map(|(number, _)| FunctionId(number));
        match (function, answer) {
            (Some(function), Some(Answer::Paused)) if is_paused => {
                if self.live().any(|(_, life)| life.function == function && life.has_started) {
                    walk.tally.note("paused in the middle of a run");
                }
                self.paused.insert(function);
                Ok(())
            }
            (Some(function), Some(Answer::Paused)) => {
                self.paused.remove(&function);
                Ok(())
            }
            (None, Some(Answer::Refused(_))) => Ok(()),
            (_, answer) => Err(format!("pausing '{name}' was answered {answer:?}")),
        }
    }

    pub(super) fn accept(
        &mut self,
        walk: &mut Walk<'_>,
        events: &[&NewEvent],
        source: Option<&(String, u64)>,
        answer: Option<Answer>,
    ) -> Result<(), String> {
        let is_refused = events.iter().any(|event| event.refusal().is_some());
        let ids = match answer {
            Some(Answer::Refused(_)) if is_refused => {
                walk.tally.note("refused event");
                return Ok(());
            }
            Some(Answer::Accepted(ids)) if !is_refused => ids,
            other => return Err(format!("{events:?} were answered {other:?}")),
        };
        if let Some((name, position)) = source {
            let last = self.inbox.get(name).copied();
            if last.is_some_and(|last| *position <= last) {
                walk.tally.note("source position repeated");
                return require(ids.is_empty(), || format!("{name} {position} counted twice"));
            }
            self.inbox.insert(name.clone(), *position);
        }
        require(ids.len() == events.len(), || "as many ids as events".to_owned())?;
        for (event, answered) in events.iter().zip(ids) {
            let (id, record) =
                walk.stored.pop_front().ok_or_else(|| format!("{answered} is not stored"))?;
            require(same(event, &record), || format!("{event:?} is stored as {record:?}"))?;
            let told = record.duplicate_of.unwrap_or(id);
            require(told == answered, || format!("{told} was answered as {answered}"))?;
            self.start(walk, event, (id, record))?;
        }
        Ok(())
    }

    /// One event: what it must do for each function, given all that its sender's id has started before.
    pub(super) fn start(
        &mut self,
        walk: &mut Walk<'_>,
        event: &NewEvent,
        (id, record): (EventId, EventRecord),
    ) -> Result<(), String> {
        let now = walk.turn.now;
        self.hear(walk, (id, &record))?;
        let (runs, first) = self.remembered(event.user_id.as_ref(), now);
        if runs.iter().any(|(_, run)| !is_fresh(run.made_at(), now)) {
            walk.tally.note("dedup kept while its run lives");
        }
        let matching: Vec<FunctionId> = (0..)
            .map(FunctionId)
            .zip(&self.specs)
            .filter(|(_, (spec, is_archived))| !is_archived && matches(spec, event))
            .map(|(function, _)| function)
            .collect();
        let (mut started, mut skipped) = (Vec::new(), Vec::new());
        for function in matching {
            let arrival = Arrival {
                id,
                name: event.name.clone(),
                data: event.data.clone(),
                size: u64::try_from(event.size()).unwrap_or(u64::MAX),
                ts: event.ts,
                starts_at: event.starts_at.or(event.ts),
                is_tick: false,
                is_known: runs.iter().any(|(of, _)| *of == function),
                run: record.runs.iter().find(|(of, _)| *of == function).map(|(_, run)| *run),
            };
            match self.arrive(walk, function, &arrival)? {
                Ok(run) => started.extend(run.map(|run| (function, run))),
                Err(skip) => skipped.push((function, skip)),
            }
        }
        require(record.runs == started && record.skips == skipped, || {
            format!("event {id} {event:?} is to have {started:?} and {skipped:?}: {record:?}")
        })?;
        require(record.duplicate_of == first, || {
            format!("event {id} is a duplicate of {:?}, not {first:?}", record.duplicate_of)
        })?;
        if first.is_some() {
            walk.tally.note("dedup hit");
        }
        self.keep(event.user_id.as_ref(), id, record, first);
        Ok(())
    }

    /// What a sender's id has started that still counts, and the event that was the first with it.
    fn remembered(&self, id: Option<&String>, now: Timestamp) -> (Vec<Started>, Option<EventId>) {
        let known = id.and_then(|name| self.senders.get(name));
        let counts = |run: RunId| is_fresh(run.made_at(), now) || self.is_live(run);
        let runs = known.iter().flat_map(|sender| sender.runs.iter().copied());
        let runs: Vec<Started> = runs.filter(|(_, run)| counts(*run)).collect();
        let first = known
            .map(|sender| sender.first)
            .filter(|first| is_fresh(first.made_at(), now) || !runs.is_empty());
        (runs, first)
    }

    pub(super) fn keep(
        &mut self,
        user_id: Option<&String>,
        id: EventId,
        record: EventRecord,
        first: Option<EventId>,
    ) {
        if let Some(name) = user_id {
            if first.is_none() {
                self.senders.remove(name);
            }
            let fresh = Sender { first: id, runs: Vec::new() };
            let sender = self.senders.entry(name.clone()).or_insert(fresh);
            sender.runs.extend_from_slice(&record.runs);
        }
        self.events.insert(id, record);
    }

    pub(super) fn invoke(
        &mut self,
        walk: &mut Walk<'_>,
        function: &str,
        (data, own): (&bytes::Bytes, Option<&String>),
        answer: Option<&Answer>,
    ) -> Result<(), String> {
        let known = (0..).zip(&self.specs).find(|(_, (spec, gone))| spec.name == function && !gone);
        let Some(function) = known.map(|(number, _)| FunctionId(number)) else {
            walk.tally.note("refused invoke");
            let is_refused = matches!(answer, Some(Answer::Refused(Refusal::UnknownFunction(_))));
            return require(is_refused, || format!("'{function}' is unknown: {answer:?}"));
        };
        let (before, first) = self.remembered(own, walk.turn.now);
        if let Some((_, run)) = before.iter().find(|(of, _)| *of == function) {
            walk.tally.note("invoked before");
            let told = first.map(|first| Answer::StartedBefore(*run, first));
            return require(answer == told.as_ref(), || {
                format!("'{own:?}' started run {run} before: {answer:?}")
            });
        }
        let (id, record) = walk
            .stored
            .pop_front()
            .ok_or_else(|| format!("an invoke without an event was answered {answer:?}"))?;
        let arrival = Arrival {
            id,
            name: record.name.clone(),
            data: data.clone(),
            size: u64::try_from(data.len()).unwrap_or(u64::MAX),
            ts: None,
            starts_at: None,
            is_known: false,
            is_tick: false,
            run: record.runs.first().map(|(_, run)| *run),
        };
        let arrived = self.arrive(walk, function, &arrival)?;
        let (runs, skips): (Vec<_>, Vec<(FunctionId, Skip)>) = match arrived {
            Ok(run) => (run.map(|run| (function, run)).into_iter().collect(), Vec::new()),
            Err(skip) => (Vec::new(), vec![(function, skip)]),
        };
        let is_answered = match (answer, arrived) {
            (Some(Answer::Started(told, event)), Ok(run)) => Some(*told) == run && *event == id,
            (Some(Answer::Refused(Refusal::Skipped(why))), Err(skip)) => {
                walk.tally.note("invoke skipped");
                why.contains(skip.reason())
            }
            (_, Ok(_) | Err(_)) => false,
        };
        let is_right = record.runs == runs
            && record.skips == skips
            && record.data == *data
            && record.user_id.as_ref() == own
            && record.duplicate_of == first
            && record.received_at == walk.turn.now;
        require(is_answered && is_right, || {
            format!("an invoke is to have {runs:?} and {skips:?}: {record:?}, {answer:?}")
        })?;
        // What flow control did not let through may be asked for again.
        self.keep(own.filter(|_| arrived.is_ok()), id, record, first);
        Ok(())
    }
}

/// A function, and the run of it that was started.
type Started = (FunctionId, RunId);

/// Whether an id made at that moment still counts.
pub(super) fn is_fresh(made_at: Timestamp, now: Timestamp) -> bool {
    made_at > now.minus(DEDUP_WINDOW)
}

fn matches(spec: &FunctionSpec, event: &NewEvent) -> bool {
    spec.triggers.iter().any(|trigger| {
        let condition = spec.policies.conditions.get(trigger);
        is_named(trigger, &event.name)
            && condition.is_none_or(|condition| says::is_met(condition, &event.data))
    })
}

/// Whether a trigger is for events of this name.
pub(super) fn is_named(trigger: &str, name: &str) -> bool {
    trigger.strip_suffix('*').map_or(name == trigger, |stem| name.starts_with(stem))
}

fn same(event: &NewEvent, record: &EventRecord) -> bool {
    record.name == event.name
        && record.data == event.data
        && record.user_id == event.user_id
        && record.ts == event.ts.unwrap_or(record.received_at)
}
