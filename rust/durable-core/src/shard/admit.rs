//! Admitting events: each is stored, and starts the runs it is to start, in one turn.

use super::arrive::{Arriving, singleton_name};
use super::program::view;
use super::wait::listen;
use super::{Shard, Slot, Turn, read};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::{DedupRecord, EventRecord, MAX_EVENT_BYTES, MAX_SEND_BYTES, NewEvent, Skip};
use crate::flow::policy::Keys;
use crate::id::{EventId, FunctionId, RunId, Ticket};
use crate::run::{RunRecord, Stretch};
use crate::step::Cancel;
use crate::system::StartedBy;
use crate::time::Timestamp;
use crate::write::{Record, Write, dedup_key, encode, event_key, inbox_key};

/// For so long a sender's id starts no second run of a function.
pub(super) const DEDUP_WINDOW: std::time::Duration = std::time::Duration::from_hours(24);

impl Shard {
    pub(super) fn accept(
        &mut self,
        ticket: Ticket,
        events: Vec<(NewEvent, Option<Record>)>,
        source: Option<(String, u64)>,
        turn: &mut Turn,
    ) {
        let refused = events.iter().find_map(|(event, _)| refusal(event));
        let answer = match refused.or_else(|| refusal_of_size(&events)) {
            Some(why) => Answer::Refused(why),
            None if !self.is_news(source, turn) => Answer::Accepted(Vec::new()),
            None => Answer::Accepted(
                events.into_iter().map(|(event, known)| self.admit(event, known, turn)).collect(),
            ),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// True where a batch has no source, or is beyond what its source has sent before.
    fn is_news(&mut self, source: Option<(String, u64)>, turn: &mut Turn) -> bool {
        let Some((name, position)) = source else { return true };
        if self.inbox.get(&name).is_some_and(|last| position <= *last) {
            return false;
        }
        turn.writes.push(Write::Put { key: inbox_key(&name), value: encode(&position) });
        self.inbox.insert(name, position);
        true
    }

    /// Stores an event, and starts what it is to start. One of the engine's own leaves once, whatever its id: of
    /// that nothing is remembered, and no sender can have taken it before.
    pub(super) fn admit(
        &mut self,
        event: NewEvent,
        known: Option<Record>,
        turn: &mut Turn,
    ) -> EventId {
        let id = self.next_event_id();
        let sender = event.user_id.as_deref().filter(|id| !id.is_empty() && !event.is_reserved());
        let dedup = sender.and_then(|name| self.dedup(name, known));
        let duplicate_of = dedup.as_ref().map(|dedup| dedup.event);
        self.hear(id, &event, turn);
        let (mut runs, mut skips) = (Vec::new(), Vec::new());
        let text = id.to_string();
        let given = view(&event, &text, self.now());
        for function in self.matching(&given) {
            let is_known = dedup.iter().any(|dedup| dedup.runs.iter().any(|(f, _)| *f == function));
            let arriving = Arriving { id, event: &event, given: &given };
            match self.arrive(function, arriving, is_known, turn) {
                Ok(Some(run)) => runs.push((function, run)),
                Ok(None) => {}
                Err(skip) => skips.push((function, skip)),
            }
        }
        if let Some(name) = sender {
            self.remember_sender((name, dedup), id, &runs, turn);
        }
        let record = record(self.now(), event, (runs, skips), duplicate_of);
        turn.writes.push(Write::Insert { key: event_key(id), value: encode(&record) });
        duplicate_of.unwrap_or(id)
    }

    /// A sender's id has started these runs beside those that are known of it.
    pub(super) fn remember_sender(
        &mut self,
        (name, dedup): (&str, Option<DedupRecord>),
        event: EventId,
        runs: &[Started],
        turn: &mut Turn,
    ) {
        let mut dedup = dedup.unwrap_or(DedupRecord { event, runs: Vec::new() });
        dedup.runs.extend_from_slice(runs);
        turn.writes.push(Write::Put { key: dedup_key(name), value: encode(&dedup) });
        self.turn.dedups.insert(name.to_owned(), dedup);
    }

    /// What is remembered of a sender's id and still counts: runs of the last day and live runs.
    pub(super) fn dedup(&self, name: &str, known: Option<Record>) -> Option<DedupRecord> {
        let remembered = self.turn.dedups.get(name).cloned().or_else(|| {
            let (_, bytes) = known?;
            Some(read("a sender's event id", &bytes))
        })?;
        self.still_counts(remembered)
    }

    /// A remembered id less what is too old to count; `None` where nothing is left of it.
    pub(super) fn still_counts(&self, mut dedup: DedupRecord) -> Option<DedupRecord> {
        let since = self.now().minus(DEDUP_WINDOW);
        dedup.runs.retain(|(_, run)| run.made_at() > since || self.runs.contains(*run));
        (dedup.event.made_at() > since || !dedup.runs.is_empty()).then_some(dedup)
    }

    pub(super) fn create_run(
        &mut self,
        function: FunctionId,
        cause: (EventId, StartedBy),
        (starts_at, keys, cancels): (Option<Timestamp>, Keys, Vec<Cancel>),
        turn: &mut Turn,
    ) -> RunId {
        let id = self.add_run(function, cause, keys);
        self.opened(id).cancels = cancels;
        self.begin(id, starts_at, turn);
        id
    }

    /// A run is there, and holds its singleton; it is made ready, now or when its event wants it to start.
    pub(super) fn begin(&mut self, id: RunId, starts_at: Option<Timestamp>, turn: &mut Turn) {
        let now = self.now();
        let run = self.opened(id);
        if let Some(key) = &run.keys.singleton {
            let name = singleton_name(run.function, key);
            self.singletons.take(&name, id);
        }
        if let Some(Slot::Open(open)) = self.runs.get(id) {
            listen(&mut self.waits, id, &open.run);
        }
        match starts_at.filter(|starts_at| *starts_at > now) {
            Some(starts_at) => self.delay_stretch(id, starts_at, turn),
            None => self.make_ready(id, turn),
        }
    }

    /// A run of which nothing is ready and nothing is waited for.
    pub(super) fn add_run(
        &mut self,
        function: FunctionId,
        (event, started_by): (EventId, StartedBy),
        keys: Keys,
    ) -> RunId {
        let now = self.now();
        let id = self.next_run_id();
        let run = RunRecord {
            function,
            event,
            rest: Vec::new(),
            rerun_of: None,
            started_by,
            created_at: now,
            keys,
            cancels: Vec::new(),
            gathering: None,
            deadline: None,
            started_at: None,
            epoch: crate::id::Epoch::default(),
            stretch: Stretch::Parked,
            active_at: now,
            busy_since: None,
            heard: Vec::new(),
            start_count: 0,
            failure_count: 0,
            idle_count: 0,
            report_count: 0,
            memo_count: 0,
            invokers: Vec::new(),
            state_bytes: 0,
            next_pending: 1,
            pending: Vec::new(),
        };
        self.runs.insert(id, Slot::open(run, true));
        self.turn.touched.push((id, None));
        id
    }

    /// An event of the engine's own for one function, whatever its triggers; and the event that came first with its id.
    pub(super) fn start_alone(
        &mut self,
        function: FunctionId,
        (event, duplicate_of): (NewEvent, Option<EventId>),
        turn: &mut Turn,
    ) -> (EventId, Result<RunId, Skip>) {
        let id = self.next_event_id();
        let text = id.to_string();
        let given = view(&event, &text, self.now());
        let arriving = Arriving { id, event: &event, given: &given };
        let started = self.arrive(function, arriving, false, turn);
        let started = started
            .map(|run| run.unwrap_or_else(|| super::broken("a run that was asked for is not")));
        let runs = started.iter().map(|run| (function, *run)).collect();
        let skips = started.err().iter().map(|skip| (function, *skip)).collect();
        let record = record(self.now(), event, (runs, skips), duplicate_of);
        turn.writes.push(Write::Insert { key: event_key(id), value: encode(&record) });
        (id, started)
    }
}

/// A function, and the run of it that an event started.
type Started = (FunctionId, RunId);
/// A function that an event did not start, and why.
type Skipped = (FunctionId, Skip);

fn refusal_of_size(events: &[(NewEvent, Option<Record>)]) -> Option<Refusal> {
    let size = events.iter().fold(0, |sum: usize, (event, _)| sum.saturating_add(event.size()));
    (size > MAX_SEND_BYTES).then(|| {
        let count = events.len();
        Refusal::TooLarge(format!(
            "these {count} events have {size} bytes together; one send takes {MAX_SEND_BYTES}: send them \
             in several"
        ))
    })
}

fn refusal(event: &NewEvent) -> Option<Refusal> {
    event.refusal().map(|why| too_large_or_invalid(event, why))
}

pub(super) fn too_large_or_invalid(event: &NewEvent, why: String) -> Refusal {
    if event.size() > MAX_EVENT_BYTES { Refusal::TooLarge(why) } else { Refusal::Invalid(why) }
}

pub(super) fn record(
    now: Timestamp,
    event: NewEvent,
    (runs, skips): (Vec<Started>, Vec<Skipped>),
    duplicate_of: Option<EventId>,
) -> EventRecord {
    EventRecord {
        name: event.name,
        user_id: event.user_id,
        received_at: now,
        ts: event.ts.unwrap_or(now),
        version: event.version,
        user: event.user,
        runs,
        skips,
        duplicate_of,
        made_for: None,
        data: event.data,
    }
}
