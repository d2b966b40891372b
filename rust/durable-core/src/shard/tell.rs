//! Telling of runs' ends: who listens hears of each once, whatever happens between the end and the telling.
//!
//! The core holds no event's data, so what is told cannot be written in the turn of the end. That turn leaves a
//! small record instead, and asks for the end and its events; the turn that is given them writes the system
//! events as it does any event, and takes the record away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{Shard, Turn};
use crate::effect::Effect;
use crate::event::EventRecord;
use crate::id::{EventId, RunId};
use crate::run::RunEnd;
use crate::system::{StartedBy, SystemEvent, Untold, compose};
use crate::write::{
    Record, Unreadable, Write, decode, encode, event_key, history_key, read_history, untold_key,
};

/// As many ends are read at a time: with their events they may be large.
const MOST_ASKED: usize = 1_024;

/// Who listens, and what they have not been told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// The system events that a function's trigger names.
    listened: BTreeSet<SystemEvent>,
    untold: BTreeMap<RunId, Untold>,
    /// Those of them that were not asked for, in order.
    unasked: VecDeque<RunId>,
    asked_count: usize,
}

impl Telling {
    /// What is stored of it.
    pub(super) fn untold(&self) -> &BTreeMap<RunId, Untold> {
        &self.untold
    }

    pub(super) fn restore(&mut self, run: RunId, untold: Untold) {
        self.untold.insert(run, untold);
        self.unasked.push_back(run);
    }

    /// Whether the end of a run is still to be told.
    pub(super) fn needs_run(&self, run: RunId) -> bool {
        self.untold.contains_key(&run)
    }

    /// Whether the end of one of these runs is still to be told, and this event with it.
    pub(super) fn needs_event(&self, event: EventId, runs: impl Iterator<Item = RunId>) -> bool {
        !self.untold.is_empty()
            && runs.filter_map(|run| self.untold.get(&run)).any(|one| one.events.contains(&event))
    }

    /// Each end is asked for, or is to be.
    pub(super) fn audit(&self) -> Result<(), String> {
        let expected = self.unasked.len().saturating_add(self.asked_count);
        let is_sound = self.untold.len() == expected
            && self.unasked.iter().all(|run| self.untold.contains_key(run));
        if is_sound { Ok(()) } else { Err(format!("ends are not told: {self:?}")) }
    }
}

impl Shard {
    /// Whether anybody would hear this: the one place that decides whether it is said at all.
    pub(super) fn is_listened_to(&self, event: SystemEvent) -> bool {
        self.telling.listened.contains(&event) || self.waits.is_heard(event.name())
    }

    /// Functions have come or gone: who listens now.
    pub(super) fn rebuild_listeners(&mut self) {
        let names = |trigger: &String, name: &str| match trigger.strip_suffix('*') {
            Some(stem) => name.starts_with(stem),
            None => name == trigger,
        };
        let is_heard = |event: &SystemEvent| self.routes.keys().any(|on| names(on, event.name()));
        self.telling.listened = SystemEvent::ALL.into_iter().filter(is_heard).collect();
    }

    /// How many ends are still to be told.
    pub fn untold_count(&self) -> usize {
        self.telling.untold.len()
    }

    /// A run has ended: those who listen are to be told.
    pub(super) fn tell_of_end(
        &mut self,
        run: RunId,
        (started_by, end): (StartedBy, &RunEnd),
        turn: &mut Turn,
    ) {
        let told = SystemEvent::of(end.ending).iter().copied();
        let as_what: Vec<SystemEvent> =
            told.filter(|event| started_by.tells(*event) && self.is_listened_to(*event)).collect();
        if as_what.is_empty() {
            return;
        }
        let events = std::iter::once(end.event).chain(end.rest.iter().copied()).collect();
        let untold = Untold { as_what, events };
        turn.writes.push(Write::Insert { key: untold_key(run), value: encode(&untold) });
        self.telling.restore(run, untold);
    }

    /// Asks for what the next system events are made of.
    pub(super) fn ask_for_ends(&mut self, turn: &mut Turn) {
        while self.telling.asked_count < MOST_ASKED
            && let Some(run) = self.telling.unasked.pop_front()
        {
            let events = self.telling.untold.get(&run).map(|one| one.events.as_slice());
            let events = events.unwrap_or_default().iter().map(|event| event_key(*event));
            let keys = std::iter::once(history_key(run)).chain(events).collect();
            self.telling.asked_count = self.telling.asked_count.saturating_add(1);
            turn.effects.push(Effect::FindEnd { run, keys });
        }
    }

    /// The end of a run, and what started it: it is told, once.
    pub(super) fn tell_end(&mut self, run: RunId, records: &[Record], turn: &mut Turn) {
        let Some(untold) = self.telling.untold.remove(&run) else { return };
        self.telling.asked_count = self.telling.asked_count.saturating_sub(1);
        turn.writes.push(Write::Delete { key: untold_key(run) });
        let (end, events) = read(run, &untold.events, records)
            .unwrap_or_else(|why| super::broken(&format!("the end of run {run}: {why}")));
        for kind in untold.as_what {
            let function = &self.function(end.function).record.spec.name;
            let event = compose(kind, (run, function), &end, &events);
            self.admit(event, None, turn);
        }
    }
}

/// The end of a run and its events, of which none may be missing.
fn read(
    run: RunId,
    wanted: &[EventId],
    records: &[Record],
) -> Result<(RunEnd, Vec<(EventId, EventRecord)>), Unreadable> {
    let mut records = records.iter();
    let mut next = |what: &'static str, wanted: &Bytes| {
        let record = records.next().filter(|(key, _)| key == wanted).map(|(_, value)| value);
        record.ok_or_else(|| Unreadable { what, why: "it is missing".to_owned() })
    };
    let history = read_history(next("an ended run", &history_key(run))?)?;
    let events = wanted.iter().map(|id| {
        let record = next("an event", &event_key(*id))?;
        Ok((*id, decode("an event", record)?))
    });
    Ok((history.end, events.collect::<Result<_, Unreadable>>()?))
}
