//! Debounce and batch: a run that has not begun gathers the events of its key, until it is due or full.
//!
//! It is a run from its first event on, with an id that each of its events can say, and becomes ready as one
//! that is created at that moment.

use bytes::Bytes;

use super::arrive::Arriving;
use super::enqueue::GATHERED;
use super::flow::{is_name_of, policy_name};
use super::{Function, Shard, Turn};
use crate::flow::policy::{Keys, Policies};
use crate::flow::timer_wheel::Timer;
use crate::id::{EventId, FunctionId, RunId};
use crate::run::{Gathering, RunRecord, Stretch};
use crate::schedule::TIMER_EVENT;
use crate::time::Timestamp;

/// Kinds of gathering, as they begin its name.
const BATCH: u8 = b'b';
const DEBOUNCE: u8 = b'd';

impl Shard {
    /// The run that an event joins where its function gathers events; `None` where it does not.
    pub(super) fn gather(
        &mut self,
        function: FunctionId,
        arriving: Arriving<'_>,
        turn: &mut Turn,
    ) -> Option<RunId> {
        let Function { program, record, .. } = self.function(function);
        let policies = &record.spec.policies;
        let is_tick = arriving.event.name == TIMER_EVENT; // of which no batch is made
        let is_for_batch = !is_tick && program.is_for_batch(arriving.given);
        let kind = if policies.batch.is_some() && is_for_batch {
            BATCH
        } else if policies.debounce.is_some() {
            DEBOUNCE
        } else {
            return None;
        };
        let (expression, value, is_missing) = program.gathering_key(arriving.given);
        self.note_missing_keys(function, is_missing.into());
        let name = policy_name(kind, function, expression, &value);
        if let Some(run) = self.gatherings.holder(&name) {
            self.gather_on(run, turn); // it may be due: nothing more joins it then
        }
        let (run, is_first) = match self.gatherings.holder(&name) {
            Some(run) => (run, false),
            None => (self.begin_to_gather(function, &name, arriving, turn), true),
        };
        let started_by = arriving.cause().1;
        let joined = self.opened(run);
        joined.started_by = joined.started_by.max(started_by); // one event that is to be told of no further is enough
        if kind == BATCH {
            self.add_to_batch(run, arriving, is_first);
        } else {
            self.keep_if_last(run, arriving, is_first, turn);
        }
        self.gather_on(run, turn);
        Some(run)
    }

    fn begin_to_gather(
        &mut self,
        function: FunctionId,
        name: &[u8],
        arriving: Arriving<'_>,
        turn: &mut Turn,
    ) -> RunId {
        let now = self.now();
        let id = self.add_run(function, arriving.cause(), Keys::default());
        self.gatherings.take(name, id);
        self.opened(id).gathering = Some(Gathering {
            name: Bytes::copy_from_slice(name),
            first_at: now,
            last_at: now,
            ts: Timestamp::default(),
            starts_at: None,
            bytes: 0,
        });
        let due = self.gathered_at(id).unwrap_or(now);
        self.wait_for_events(id, due, turn);
        id
    }

    fn add_to_batch(&mut self, id: RunId, arriving: Arriving<'_>, is_first: bool) {
        let function = self.opened(id).function;
        let keys = is_first.then(|| self.keys(function, arriving.given));
        let (now, size) = (self.now(), u64::try_from(arriving.event.size()).unwrap_or(u64::MAX));
        let run = self.opened(id);
        match keys {
            Some(keys) => run.keys = keys,
            None => run.rest.push(arriving.id),
        }
        if let Some(gathering) = &mut run.gathering {
            gathering.last_at = now;
            gathering.bytes = gathering.bytes.saturating_add(size);
        }
    }

    /// Of a burst the event counts that happened last; each puts the run off.
    fn keep_if_last(&mut self, id: RunId, arriving: Arriving<'_>, is_first: bool, turn: &mut Turn) {
        let (now, run) = (self.now(), self.opened(id));
        let (function, before) = (run.function, run.event);
        let ts = arriving.event.ts.unwrap_or(now);
        let Some(gathering) = &mut run.gathering else { return };
        gathering.last_at = now;
        if ts < gathering.ts {
            return;
        }
        gathering.ts = ts;
        gathering.starts_at = arriving.event.starts_at.or(arriving.event.ts);
        run.event = arriving.id;
        let keys = self.keys(function, arriving.given);
        let cancels = self.function(function).program.cancels(arriving.given);
        let run = self.opened(id);
        (run.keys, run.cancels) = (keys, cancels);
        if !is_first {
            self.keep_event_until_expired(before, turn);
            self.tell_replaced(id, turn);
        }
    }

    /// A run goes on gathering, or starts: by its policy as it is now.
    pub(super) fn gather_on(&mut self, id: RunId, turn: &mut Turn) {
        let now = self.now();
        let Stretch::Gathering(timer_at) = self.opened(id).stretch else { return };
        match self.gathered_at(id).filter(|due| *due > now) {
            None => self.start_gathered(id, turn),
            Some(due) if due < timer_at || timer_at <= now => {
                Self::stop_timer(timer_of(id, timer_at), turn);
                self.wait_for_events(id, due, turn);
            }
            Some(_) => {} // the timer finds out that there is more to wait for
        }
    }

    /// When a run has gathered enough; `None` where it has, or its function no longer gathers.
    fn gathered_at(&mut self, id: RunId) -> Option<Timestamp> {
        let function = self.opened(id).function;
        due(super::flow::policies_of(&self.functions, function), self.seen(id)?)
    }

    fn wait_for_events(&mut self, id: RunId, due: Timestamp, turn: &mut Turn) {
        self.opened(id).stretch = Stretch::Gathering(due);
        self.start_timer(timer_of(id, due), turn);
    }

    /// All events of a run are there: it is made ready, as one that is created now.
    fn start_gathered(&mut self, id: RunId, turn: &mut Turn) {
        let starts_at = self.stop_gathering(id, turn);
        let now = self.now();
        let run = self.opened(id);
        (run.created_at, run.stretch) = (now, Stretch::Parked);
        let function = run.function;
        if super::flow::policies_of(&self.functions, function).singleton.is_none() {
            self.opened(id).keys.singleton = None; // a deploy: it is beside others, and holds up none
        }
        let keys = self.opened(id).keys.clone();
        if let Err(skip) = self.make_way(function, &keys, turn) {
            self.opened(id).cancels.clear(); // nobody listens for them yet
            let why = format!("it was not started: {}", skip.reason());
            self.cancel_run(id, &why, turn);
            return;
        }
        self.begin(id, starts_at, turn);
    }

    /// Nothing joins a run any more; when its event wants it to start.
    pub(super) fn stop_gathering(&mut self, id: RunId, turn: &mut Turn) -> Option<Timestamp> {
        let run = self.opened(id);
        let gathering = run.gathering.take()?;
        if let Stretch::Gathering(timer_at) = run.stretch {
            Self::stop_timer(timer_of(id, timer_at), turn);
        }
        self.gatherings.let_go(&gathering.name, id);
        gathering.starts_at
    }

    /// A deploy changed how a function gathers events: what is gathered is looked at at once.
    pub(super) fn gather_anew(&mut self, function: FunctionId, turn: &mut Turn) {
        let own = self.gatherings.those(|name| is_name_of(function, name));
        for (_, run) in own {
            self.gather_on(run, turn);
        }
    }

    /// Whether a live run was, or will be, started by this event.
    pub(super) fn is_started_by(&mut self, run: RunId, event: EventId) -> bool {
        self.open(run).is_some_and(|run| run.event == event || run.rest.contains(&event))
    }
}

/// When a run has gathered enough, by policies as they are now; `None` where it has.
pub(super) fn due(policies: &Policies, run: &RunRecord) -> Option<Timestamp> {
    let gathering = run.gathering.as_ref()?;
    if gathering.name.first() == Some(&BATCH) {
        let batch = policies.batch.as_ref()?;
        let is_full = batch.is_full(run.rest.len().saturating_add(1), gathering.bytes);
        (!is_full).then(|| batch.due(gathering.first_at))
    } else {
        let debounce = policies.debounce.as_ref()?;
        Some(debounce.due(gathering.first_at, gathering.last_at))
    }
}

fn timer_of(id: RunId, due: Timestamp) -> Timer {
    Timer { due, id: *id.as_bytes(), number: GATHERED }
}
