//! Ends that are told: to those who listened when the run ended, once, with what started it and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use durable_core::{Ending, EventId, NewEvent, Outcome, RunEnd, RunId, SystemEvent, Untold};

use super::admission::is_named;
use super::walk::Walk;
use super::{Model, read, require, waits};

const FAILED: &str = "durable/function.failed";
const FINISHED: &str = "durable/function.finished";
const CANCELLED: &str = "durable/function.cancelled";

/// What is to be told, and what is kept of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling {
    /// Names of system events that somebody listens to.
    listened: BTreeSet<&'static str>,
    /// Ends to be told, in the turns behind that of the end.
    expected: BTreeMap<RunId, Untold>,
    /// The same as the store has it.
    kept: BTreeMap<RunId, Untold>,
    /// Those of them that a crash has seen.
    survived: BTreeSet<RunId>,
}

impl Telling {
    pub(super) fn restart(&mut self) {
        self.survived = self.expected.keys().copied().collect();
    }
}

impl Model {
    /// Ends that are to be told and were not.
    pub fn untold_count(&self) -> usize {
        self.telling.expected.len()
    }

    pub(super) fn is_untold(&self, run: RunId) -> bool {
        self.telling.expected.contains_key(&run)
    }

    /// Whether an event is to be told with an end.
    pub(super) fn is_untold_of(&self, event: EventId) -> bool {
        self.telling.expected.values().any(|untold| untold.events.contains(&event))
    }

    /// The application has said what its functions are.
    pub(super) fn rebuild_listeners(&mut self) {
        let triggers = || {
            let known = self.specs.iter().filter(|(_, is_archived)| !is_archived);
            known.flat_map(|(spec, _)| &spec.triggers)
        };
        let is_heard = |name: &&str| triggers().any(|trigger| is_named(trigger, name));
        self.telling.listened =
            [FAILED, FINISHED, CANCELLED].into_iter().filter(is_heard).collect();
    }

    /// A run has ended: what is to be told of it, and to be kept until then.
    pub(super) fn expect_telling(&mut self, walk: &mut Walk<'_>, run: RunId, end: &RunEnd) {
        let Some(life) = self.runs.get(run) else { return };
        let is_of = |name: &str| life.names.iter().any(|one| one == name);
        let ways = match end.ending {
            Ending::Completed => vec![SystemEvent::Finished],
            Ending::Failed => vec![SystemEvent::Failed, SystemEvent::Finished],
            Ending::Cancelled => vec![SystemEvent::Cancelled, SystemEvent::Finished],
        };
        let is_listened = |way: &SystemEvent| self.telling.listened.contains(way.name());
        let ways: Vec<SystemEvent> = ways.into_iter().filter(is_listened).collect();
        let may = |way: &SystemEvent| match way {
            SystemEvent::Failed | SystemEvent::Finished => !is_of(FAILED) && !is_of(FINISHED),
            SystemEvent::Cancelled => ![FAILED, FINISHED, CANCELLED].into_iter().any(is_of),
        };
        if !ways.iter().all(may) {
            walk.tally.note("end of a telling run told no further");
        }
        let as_what: Vec<SystemEvent> = ways.into_iter().filter(may).collect();
        if !as_what.is_empty() {
            let events = life.events.clone();
            self.telling.expected.insert(run, Untold { as_what, events });
        }
    }

    /// An end is told: each of its system events is stored as any event, and starts what it must.
    pub(super) fn tell(&mut self, walk: &mut Walk<'_>, run: RunId) -> Result<(), String> {
        let untold = self.telling.expected.remove(&run);
        let untold = untold.ok_or_else(|| format!("the end of run {run} is told once more"))?;
        let end = self.runs.get(run).and_then(|life| life.end.clone());
        let end = end.ok_or_else(|| format!("run {run} is told to have ended"))?;
        if self.telling.survived.remove(&run) {
            walk.tally.note("end told after a crash");
        }
        let retention = self.settings.retention;
        if untold.events.iter().any(|event| event.made_at().plus(retention) <= walk.turn.now) {
            walk.tally.note("end told with its event kept for it");
        }
        let function = self.spec(end.function).map(|spec| spec.name.clone()).unwrap_or_default();
        for way in untold.as_what {
            let (name, has_id) = match way {
                SystemEvent::Failed => (FAILED, true),
                SystemEvent::Cancelled => (CANCELLED, true),
                SystemEvent::Finished => (FINISHED, false),
            };
            walk.tally.note(match way {
                SystemEvent::Failed => "end told as failed",
                SystemEvent::Cancelled => "end told as cancelled",
                SystemEvent::Finished => "end told as finished",
            });
            let (id, record) =
                walk.stored.pop_front().ok_or_else(|| format!("no {name} of run {run}"))?;
            let head = format!("{{\"function_id\":\"{function}\",\"run_id\":\"{run}\"");
            let whole = self.whole(&head, &untold.events, &end)?;
            let is_right = record.name == name
                && record.data == whole
                && record.user_id == has_id.then(|| run.to_string())
                && record.ts == end.ended_at
                && record.received_at == walk.turn.now;
            require(is_right, || format!("{name} of run {run} is {record:?}, not {whole:?}"))?;
            // Expressions that worlds draw see what stands at the top.
            let seen = NewEvent {
                name: name.to_owned(),
                data: Bytes::from(format!("{head}}}")),
                ts: Some(end.ended_at),
                ..NewEvent::default()
            };
            self.start(walk, &seen, (id, record))?;
        }
        Ok(())
    }

    /// All that a system event says.
    fn whole(&self, head: &str, events: &[EventId], end: &RunEnd) -> Result<String, String> {
        let envelope = |id: &EventId| -> Result<String, String> {
            let event = self.events.get(id).ok_or_else(|| format!("event {id} is lost"))?;
            Ok(text(&waits::envelope(*id, event)))
        };
        let all = events.iter().map(envelope).collect::<Result<Vec<_>, _>>()?;
        let first = all.first().cloned().unwrap_or_default();
        let rest = match (&end.ending, &end.outcome) {
            (Ending::Cancelled, Outcome::Data(why) | Outcome::Error(why)) => {
                let why = text(why);
                let why = why.split("\"message\":\"").nth(1).and_then(|it| it.split('"').next());
                format!("\"reason\":\"{}\"", why.unwrap_or_default())
            }
            (_, Outcome::Data(result)) => format!("\"result\":{}", text(result)),
            (_, Outcome::Error(error)) => format!("\"error\":{}", text(error)),
        };
        Ok(format!("{head},\"event\":{first},\"events\":[{}],{rest}}}", all.join(",")))
    }

    /// A record of what is still to be told comes or goes.
    pub(super) fn take_untold(&mut self, run: RunId, value: Option<&[u8]>) -> Result<(), String> {
        match value {
            Some(value) => {
                self.telling.kept.insert(run, read("an end to tell", value)?);
            }
            None => drop(self.telling.kept.remove(&run)),
        }
        Ok(())
    }

    /// What is still to be told is kept, and nothing else.
    pub(super) fn check_untold(&self) -> Result<(), String> {
        let Telling { expected, kept, .. } = &self.telling;
        require(expected == kept, || format!("to tell are {expected:?}, kept {kept:?}"))
    }
}

fn text(json: &Bytes) -> String {
    String::from_utf8_lossy(json).into_owned()
}
