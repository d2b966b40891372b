//! What an event does for one function: it is skipped, joins a run, or starts one. In the order promised.

use bytes::Bytes;
use durable_core::{
    Ending, EventId, FunctionId, Outcome, Policies, RunId, SingletonMode, Skip, Timestamp,
};

use super::gcra::{Kind, Rate};
use super::keys::{Evaluated, evaluate};
use super::walk::Walk;
use super::{Life, Model, require, says};

/// An event on its way to a function.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) id: EventId,
    pub(super) name: String,
    pub(super) data: Bytes,
    /// Bytes of its data and of what is said of it beside.
    pub(super) size: u64,
    pub(super) ts: Option<Timestamp>,
    /// When its runs start.
    pub(super) starts_at: Option<Timestamp>,
    /// The sender's id has a run of the function already.
    pub(super) is_known: bool,
    /// It is a schedule's, which goes into no batch.
    pub(super) is_tick: bool,
    /// The run that is said to be of this event.
    pub(super) run: Option<RunId>,
}

/// What is counted of one function, since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) skipped: u64,
    pub(super) missing_keys: u64,
    pub(super) priority_errors: u64,
}

/// Why a singleton's run is cancelled.
pub(super) const MADE_WAY: &str = "a later event of its singleton came";
/// Why a run that has gathered its events is cancelled.
pub(super) const NOT_STARTED: &str = "it was not started: it is a singleton and has a run";

impl Model {
    /// The run that an event must have of a function; `None` where its sender's id has one already.
    pub(super) fn arrive(
        &mut self,
        walk: &mut Walk<'_>,
        function: FunctionId,
        arrival: &Arrival,
    ) -> Result<Result<Option<RunId>, Skip>, String> {
        walk.tally.note(DECISIONS);
        let decided = self.decide(walk, function, arrival)?;
        if let Err(skip) = decided {
            self.counted(function).skipped += 1;
            walk.tally.note(match skip {
                Skip::RateLimit => "rate limit dropped",
                Skip::Idempotency => "idempotency dropped",
                Skip::Singleton => "singleton skipped an event",
                Skip::Paused => "paused: skipped",
            });
        }
        Ok(decided)
    }

    fn decide(
        &mut self,
        walk: &mut Walk<'_>,
        function: FunctionId,
        arrival: &Arrival,
    ) -> Result<Result<Option<RunId>, Skip>, String> {
        let policies = self.policies(function);
        if self.is_paused(function) {
            return Ok(if arrival.is_known { Ok(None) } else { Err(Skip::Paused) });
        }
        if let Err(skip) = self.let_through(walk, function, &policies, arrival) {
            return Ok(Err(skip));
        }
        if arrival.is_known {
            return Ok(Ok(None));
        }
        if let Some(run) = self.gather(walk, function, &policies, arrival)? {
            return Ok(Ok(Some(run)));
        }
        let keys = self.freeze(function, &policies, &arrival.data);
        if let Err(skip) = self.make_way(walk, function, keys.singleton.as_ref(), None)? {
            return Ok(Err(skip));
        }
        let run = self.new_run(function, arrival)?;
        if let Some(life) = self.runs.get_mut(run) {
            (life.keys, life.starts_at) = (keys, arrival.starts_at.unwrap_or_default());
            life.listen(&policies, &arrival.data);
        }
        self.begin(walk, run);
        Ok(Ok(Some(run)))
    }

    /// Rate limit and idempotency, by all that they have ever let through.
    fn let_through(
        &mut self,
        walk: &mut Walk<'_>,
        function: FunctionId,
        policies: &Policies,
        arrival: &Arrival,
    ) -> Result<(), Skip> {
        let unkeyed = Some(String::new());
        let of = |key: &String| {
            let value = says::key_unless_false(key, &arrival.data)?;
            Some(format!("{key} is {value}"))
        };
        let limit = policies.rate_limit.as_ref().map(|limit| {
            let key = limit.key.as_ref().map_or(unkeyed, of);
            (Kind::RateLimit, key, Rate::of_limit(limit), Skip::RateLimit)
        });
        let once = policies.idempotency.as_ref();
        let once = once.map(|key| (Kind::Idempotency, of(key), Rate::daily(), Skip::Idempotency));
        for (kind, key, rate, skip) in limit.into_iter().chain(once) {
            walk.tally.note(DECISIONS);
            let Some(key) = key else {
                walk.tally.note("rate limit or idempotency without a key");
                self.counted(function).missing_keys += 1;
                continue;
            };
            let gate = (kind, function, key);
            if !self.passed.has_room(&gate, rate, walk.turn.now) {
                return Err(skip);
            }
            self.passed.pass(gate, rate, walk.turn.now);
        }
        Ok(())
    }

    pub(super) fn freeze(
        &mut self,
        function: FunctionId,
        policies: &Policies,
        data: &[u8],
    ) -> super::keys::Frozen {
        let Evaluated { keys, missing_count, is_bad_priority } = evaluate(policies, data);
        let counted = self.counted(function);
        counted.missing_keys += missing_count;
        counted.priority_errors += u64::from(is_bad_priority);
        keys
    }

    /// A singleton's run `of` (or one that is not there yet) is to start beside no other.
    pub(super) fn make_way(
        &mut self,
        walk: &mut Walk<'_>,
        function: FunctionId,
        key: Option<&(String, String)>,
        of: Option<RunId>,
    ) -> Result<Result<(), Skip>, String> {
        let mode = self.policies(function).singleton.map(|singleton| singleton.mode);
        let (Some(key), Some(mode)) = (key, mode) else { return Ok(Ok(())) };
        let is_it = |life: &Life| {
            life.function == function
                && life.bucket.is_none()
                && life.keys.singleton.as_ref() == Some(key)
        };
        let holder = self.live().find(|(id, life)| Some(*id) != of && is_it(life));
        let Some(holder) = holder.map(|(id, _)| id) else { return Ok(Ok(())) };
        if mode == SingletonMode::Skip {
            return Ok(Err(Skip::Singleton));
        }
        walk.tally.note("singleton cancelled a run");
        self.cancel(walk, holder, MADE_WAY).map(Ok)
    }

    /// A run that must be cancelled here.
    pub(super) fn cancel(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        why: &str,
    ) -> Result<(), String> {
        walk.tally.note(DECISIONS);
        walk.cancels.push_back((run, why.to_owned()));
        self.end(walk, run).map_err(|error| format!("{error}: {why}"))
    }

    /// A run ends here, as its record says.
    pub(super) fn end(&mut self, walk: &mut Walk<'_>, run: RunId) -> Result<(), String> {
        let end = walk.turn.ends.iter().find(|(ended, _)| *ended == run).map(|(_, end)| end);
        let end = end.ok_or_else(|| format!("run {run} should end"))?;
        let life = self.runs.get(run).ok_or_else(|| format!("unknown run {run} ends"))?;
        require(life.end.is_none(), || format!("run {run} ends a second time"))?;
        let events = std::iter::once(&end.event).chain(&end.rest);
        let is_same = end.created_at == life.created_at && end.rerun_of == life.rerun_of;
        require(events.eq(&life.events) && is_same, || {
            format!("run {run} of {:?} ends as {end:?}", life.events)
        })?;
        self.expect_telling(walk, run, end);
        self.runs.end(run, end.clone());
        let counted = self.counted(end.function);
        match end.ending {
            Ending::Completed => counted.completed += 1,
            Ending::Failed => counted.failed += 1,
            Ending::Cancelled => counted.cancelled += 1,
        }
        self.tell_invokers(walk, run, end)
    }

    /// A run that has not been before, by the id that its event gives it.
    pub(super) fn new_run(
        &mut self,
        function: FunctionId,
        arrival: &Arrival,
    ) -> Result<RunId, String> {
        let id = arrival.id;
        let run = arrival.run.ok_or_else(|| format!("event {id} starts no run of {function:?}"))?;
        let is_new = self.runs.get(run).is_none();
        require(is_new, || format!("event {id} should have a new run of {function:?}, not {run}"))?;
        let names = vec![arrival.name.clone()];
        self.runs.add(run, Life { names, ..Life::new(function, id) });
        Ok(run)
    }

    /// A run is made ready, now or when its event wants it to start.
    pub(super) fn begin(&mut self, walk: &Walk<'_>, run: RunId) {
        let now = walk.turn.now;
        let Some(life) = self.runs.get_mut(run) else { return };
        life.created_at = now;
        life.ready_at = (life.starts_at <= now).then_some(now);
    }

    pub(super) fn policies(&self, function: FunctionId) -> Policies {
        self.spec(function).map(|spec| spec.policies.clone()).unwrap_or_default()
    }

    pub(super) fn is_paused(&self, function: FunctionId) -> bool {
        self.paused.contains(&function)
    }

    pub(super) fn counted(&mut self, function: FunctionId) -> &mut Counted {
        self.counts.entry(function).or_default()
    }
}

/// The reason in a cancelled run's error.
pub(super) fn says_why(outcome: &Outcome, why: &str) -> bool {
    match outcome {
        Outcome::Error(error) => {
            let text = String::from_utf8_lossy(error);
            text.contains("RunCancelled") && text.contains(why)
        }
        Outcome::Data(_) => false,
    }
}

/// What flow control has decided, by the name under which it is counted.
pub const DECISIONS: &str = "decisions";
