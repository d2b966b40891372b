//! Debounce and batch: which run each event goes into, and when that has gathered enough.

use std::time::Duration;

use durable_core::{FunctionId, Policies, RunId, Timestamp};

use super::flow::{Arrival, DECISIONS, NOT_STARTED};
use super::walk::Walk;
use super::{Life, Model, says};

/// Why events are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Batch,
    Debounce,
}

/// What a run has gathered, beside its events.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    kind: Kind,
    /// The key's expression and value: none where it has no key, and where the event has no value.
    key: (Option<String>, Option<String>),
    first_at: Timestamp,
    last_at: Timestamp,
    ts: Timestamp,
    bytes: u64,
}

impl Life {
    /// An event is taken out of what it has gathered.
    pub(super) const fn lose_bytes(&mut self, size: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.bytes = bucket.bytes.saturating_sub(size);
        }
    }
}

/// A batch is full beyond so much data: section 6.8 of the reference.
const MOST_BYTES: u64 = 10 << 20;

impl Model {
    /// The run that an event joins; `None` where its function gathers none.
    pub(super) fn gather(
        &mut self,
        walk: &mut Walk<'_>,
        function: FunctionId,
        policies: &Policies,
        arrival: &Arrival,
    ) -> Result<Option<RunId>, String> {
        let is_for = |condition: &String| says::is_met(condition, &arrival.data);
        let batch = policies.batch.as_ref();
        let batch =
            batch.filter(|batch| !arrival.is_tick && batch.condition.as_ref().is_none_or(is_for));
        let (kind, text) = match (batch, &policies.debounce) {
            (Some(batch), _) => (Kind::Batch, batch.key.clone()),
            (None, Some(debounce)) => (Kind::Debounce, debounce.key.clone()),
            (None, None) => {
                if policies.batch.is_some() {
                    walk.tally.note("batch: an event goes alone");
                }
                return Ok(None);
            }
        };
        let value = text.as_ref().and_then(|text| says::key(text, &arrival.data));
        self.counted(function).missing_keys += u64::from(text.is_some() && value.is_none());
        let key = (text, value);
        let is_it = |life: &Life| {
            let bucket = life.bucket.as_ref();
            life.function == function && bucket.is_some_and(|b| b.kind == kind && b.key == key)
        };
        let open = self.live().find(|(_, life)| is_it(life)).map(|(id, _)| id);
        let now = walk.turn.now;
        let due =
            open.filter(|run| self.runs.get(*run).is_some_and(|it| self.is_gathered(it, now)));
        if let Some(run) = due {
            walk.tally.note("gathering was due when an event came");
            self.start_gathered(walk, run)?;
        }
        let open = open.filter(|_| due.is_none());
        let run = match open {
            Some(run) => run,
            None => self.new_run(function, arrival)?,
        };
        let is_first = open.is_none();
        if let Some(life) = self.runs.get_mut(run).filter(|_| is_first) {
            let (first_at, ts) = (now, Timestamp::default());
            life.bucket = Some(Bucket { kind, key, first_at, last_at: now, ts, bytes: 0 });
            (life.created_at, life.starts_at) = (now, Timestamp::MAX);
        }
        if self.join(walk, run, (function, policies), (arrival, is_first)) {
            self.tell_left_out(walk, run, (None, "debounced"))?;
        }
        self.start_if_gathered(walk, run)?;
        Ok(Some(run))
    }

    /// An event joins a run; true where it takes the place of the one before.
    fn join(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        (function, policies): (FunctionId, &Policies),
        (arrival, is_first): (&Arrival, bool),
    ) -> bool {
        walk.tally.note(if is_first { "gathering began" } else { "gathering joined" });
        let now = walk.turn.now;
        let ts = arrival.ts.unwrap_or(now);
        let life = self.runs.get_mut(run);
        let Some((bucket, events, names)) =
            life.and_then(|life| Some((life.bucket.as_mut()?, &mut life.events, &mut life.names)))
        else {
            return false;
        };
        if !is_first {
            names.push(arrival.name.clone());
        }
        bucket.last_at = now;
        bucket.bytes += arrival.size;
        let counts = match bucket.kind {
            Kind::Batch => is_first,
            Kind::Debounce => ts >= bucket.ts,
        };
        match bucket.kind {
            Kind::Batch if !is_first => events.push(arrival.id),
            Kind::Debounce if counts => *events = vec![arrival.id],
            Kind::Debounce => walk.tally.note("debounce kept a later event"),
            Kind::Batch => {}
        }
        if !counts {
            return false;
        }
        bucket.ts = ts;
        let starts_at = match bucket.kind {
            Kind::Batch => None,
            Kind::Debounce => arrival.starts_at,
        };
        let keys = self.freeze(function, policies, &arrival.data);
        if let Some(life) = self.runs.get_mut(run) {
            (life.keys, life.starts_when_gathered) = (keys, starts_at);
            life.listen(policies, &arrival.data);
        }
        !is_first
    }

    /// When a run has gathered enough; `None` where it has, or its function no longer gathers.
    pub(super) fn gathered_at(&self, life: &Life) -> Option<Timestamp> {
        let after = |from: Timestamp, ms: u64| from.plus(Duration::from_millis(ms));
        let bucket = life.bucket.as_ref()?;
        let policies = &self.spec(life.function)?.policies;
        match bucket.kind {
            Kind::Batch => {
                let batch = policies.batch.as_ref()?;
                let most = usize::try_from(batch.max_size).unwrap_or(usize::MAX);
                let is_full = life.events.len() >= most || bucket.bytes >= MOST_BYTES;
                (!is_full).then(|| after(bucket.first_at, batch.timeout_ms))
            }
            Kind::Debounce => {
                let debounce = policies.debounce.as_ref()?;
                let quiet = after(bucket.last_at, debounce.period_ms);
                let latest = debounce.timeout_ms.map(|ms| after(bucket.first_at, ms));
                Some(latest.map_or(quiet, |latest| latest.min(quiet)))
            }
        }
    }

    /// Whether a run that gathers must start by now.
    pub(super) fn is_gathered(&self, life: &Life, now: Timestamp) -> bool {
        life.bucket.is_some() && self.gathered_at(life).is_none_or(|due| due <= now)
    }

    pub(super) fn start_if_gathered(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
    ) -> Result<(), String> {
        let now = walk.turn.now;
        let is_gathered = self.runs.get(run).is_some_and(|life| self.is_gathered(life, now));
        if is_gathered { self.start_gathered(walk, run) } else { Ok(()) }
    }

    /// All events of a run are there: it is as one that is created now.
    pub(super) fn start_gathered(&mut self, walk: &mut Walk<'_>, run: RunId) -> Result<(), String> {
        walk.tally.note(DECISIONS);
        let Some(life) = self.runs.get(run) else { return Ok(()) };
        walk.tally.note(self.why_gathered(life));
        let (function, key) = (life.function, life.keys.singleton.clone());
        let is_singleton = self.policies(function).singleton.is_some();
        if let Some(life) = self.runs.get_mut(run) {
            life.bucket = None;
            life.created_at = walk.turn.now;
            life.starts_at = life.starts_when_gathered.unwrap_or_default();
            if !is_singleton {
                life.keys.singleton = None; // it was one when its last event came
            }
        }
        if self.make_way(walk, function, key.as_ref(), Some(run))?.is_err() {
            walk.tally.note("singleton skipped what was gathered");
            return self.cancel(walk, run, NOT_STARTED);
        }
        self.begin(walk, run);
        Ok(())
    }

    fn why_gathered(&self, life: &Life) -> &'static str {
        let policies = self.policies(life.function);
        let due = self.gathered_at(life);
        match (&life.bucket, policies.debounce, due) {
            (Some(bucket), Some(debounce), Some(due)) if bucket.kind == Kind::Debounce => {
                let quiet = bucket.last_at.plus(Duration::from_millis(debounce.period_ms));
                if due < quiet { "debounce capped by its timeout" } else { "debounce was quiet" }
            }
            (Some(bucket), _, Some(_)) if bucket.kind == Kind::Batch => "batch by timeout",
            (Some(bucket), _, None) if bucket.kind == Kind::Batch && policies.batch.is_some() => {
                "batch full"
            }
            _ => "gathering ended by a deploy",
        }
    }
}
