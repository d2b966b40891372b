//! What became of events and runs, as it is written down while a rehearsal goes on.

use durable_core::write::{self, id_in_key};
use durable_core::{Ending, EventId, EventRecord, RunId, Timestamp};
use rustc_hash::FxHashMap;

use crate::error::Result;

/// A rehearsal, told from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The events, in the order in which they came.
    pub events: Vec<EventTrace>,
    /// The runs, in the order in which they were made.
    pub runs: Vec<RunTrace>,
    /// The last moment of it.
    pub ended_at: Timestamp,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTrace {
    /// The place of the run it started, or went into.
    pub run: Option<usize>,
    /// Why it started none, in the word that the API uses, or `duplicate`.
    pub skip: Option<&'static str>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTrace {
    /// The place of the event that it was made for: of a batch the first, of a debounce the one that it kept.
    pub event: usize,
    /// When its handler was called; `None`: it was not.
    pub started_at: Option<Timestamp>,
    /// When and how it ended; `None`: it did not.
    pub ended: Option<(Timestamp, Ending)>,
}

/// Why an event with a sender's id that was known starts nothing.
const DUPLICATE: &str = "duplicate";

#[derive(Debug, Default)]
pub(super) struct Recorder {
    sent_count: u64,
    /// The engine's ids of the events, which rise.
    ids: Vec<EventId>,
    events: Vec<EventTrace>,
    runs: Vec<RunTrace>,
    places: FxHashMap<RunId, usize>,
    live_count: usize,
}

impl Recorder {
    /// The number of an event that comes: its place.
    pub(super) fn next_ticket(&mut self) -> u64 {
        let ticket = self.sent_count;
        self.sent_count = ticket.saturating_add(1);
        ticket
    }

    /// An event's record was written, or written anew.
    pub(super) fn see_event(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let Some(id) = id_in_key(key).map(EventId::from_bytes) else { return Ok(()) };
        let record: EventRecord = write::decode("an event", value)?;
        let place = self.place_of_event(id);
        let run = record.runs.first().map(|(_, run)| self.place_of_run(*run, place));
        let skip = record.skips.first().map(|(_, skip)| skip.as_str());
        let repeats = record.duplicate_of.filter(|_| run.is_none()).map(|_| DUPLICATE);
        if let Some(event) = self.events.get_mut(place) {
            *event = EventTrace { run, skip: skip.or(repeats) };
        }
        Ok(())
    }

    /// A run's handler is called; gives the place of its event.
    pub(super) fn start(&mut self, (run, event): (RunId, EventId), now: Timestamp) -> usize {
        let event = self.place_of_event(event);
        let place = self.place_of_run(run, event);
        if let Some(run) = self.runs.get_mut(place) {
            run.started_at.get_or_insert(now);
            run.event = event; // of those that it gathered a debounce has kept the last
        }
        event
    }

    /// A run has ended.
    pub(super) fn end(&mut self, run: RunId, ending: Ending, now: Timestamp) {
        let run = self.places.get(&run).and_then(|place| self.runs.get_mut(*place));
        if let Some(run) = run.filter(|run| run.ended.is_none()) {
            run.ended = Some((now, ending));
            self.live_count = self.live_count.saturating_sub(1);
        }
    }

    pub(super) fn is_live(&self, run: RunId) -> bool {
        let run = self.places.get(&run).and_then(|place| self.runs.get(*place));
        run.is_some_and(|run| run.ended.is_none())
    }

    pub(super) fn live_count(&self) -> usize {
        self.live_count
    }

    pub(super) fn into_trace(self, ended_at: Timestamp) -> Trace {
        Trace { events: self.events, runs: self.runs, ended_at }
    }

    fn place_of_event(&mut self, id: EventId) -> usize {
        self.ids.binary_search(&id).unwrap_or_else(|_new| {
            self.ids.push(id); // ids rise
            self.events.push(EventTrace::default());
            self.ids.len().saturating_sub(1)
        })
    }

    fn place_of_run(&mut self, id: RunId, event: usize) -> usize {
        if let Some(place) = self.places.get(&id) {
            return *place;
        }
        let place = self.runs.len();
        self.places.insert(id, place);
        self.live_count = self.live_count.saturating_add(1);
        self.runs.push(RunTrace { event, started_at: None, ended: None });
        place
    }
}
