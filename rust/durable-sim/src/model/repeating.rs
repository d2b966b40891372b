//! Runs that repeat others, and events that are called off.

use bytes::Bytes;
use durable_core::{
    Answer, EventId, EventRecord, FromStep, Memo, Outcome, Refusal, Rerun, RunId, Skip, Timestamp,
};

use super::flow::Arrival;
use super::walk::Walk;
use super::{Life, Model, require};

/// Why a run is cancelled whose event was called off.
const CALLED_OFF: &str = "its event was called off";

/// Why a run must not be repeated.
enum Refused {
    NotFound(&'static str),
    Function,
    Skipped(String),
    TooLarge,
    Invalid,
}

impl Refused {
    fn is(&self, answer: Option<&Answer>) -> bool {
        match (self, answer) {
            (Self::NotFound(why), Some(Answer::Refused(Refusal::NotFound(text)))) => {
                text.contains(why)
            }
            (Self::Skipped(why), Some(Answer::Refused(Refusal::Skipped(text)))) => {
                text.contains(why)
            }
            (Self::Function, Some(Answer::Refused(Refusal::UnknownFunction(_))))
            | (Self::TooLarge, Some(Answer::Refused(Refusal::TooLarge(_))))
            | (Self::Invalid, Some(Answer::Refused(Refusal::Invalid(_)))) => true,
            (
                Self::NotFound(_)
                | Self::Skipped(_)
                | Self::Function
                | Self::TooLarge
                | Self::Invalid,
                _,
            ) => false,
        }
    }
}

/// A run as it is to be repeated.
struct Wanted {
    life: Life,
    events: Vec<(EventId, EventRecord)>,
    memos: Vec<Memo>,
}

impl Model {
    /// Somebody repeats a run.
    pub(super) fn rerun(
        &mut self,
        walk: &mut Walk<'_>,
        rerun: &Rerun,
        answer: Option<&Answer>,
    ) -> Result<(), String> {
        let told = || format!("repeating {rerun:?} was answered {answer:?}");
        let wanted = match self.wanted(walk, rerun) {
            Ok(wanted) => wanted,
            Err(refused) => return require(refused.is(answer), told),
        };
        let Wanted { life, mut events, memos } = wanted;
        let function = life.function;
        let Some((_, first)) = events.first() else { return Err(told()) };
        let data = rerun.data.clone().unwrap_or_else(|| first.data.clone());
        let policies = self.policies(function);
        let keys = self.freeze(function, &policies, &data);
        if let Err(skip) = self.make_way(walk, function, keys.singleton.as_ref(), None)? {
            walk.tally.note("rerun refused: singleton or pause");
            return require(Refused::Skipped(skip.reason().to_owned()).is(answer), told);
        }
        let Some(Answer::Started(run, event)) = answer else { return Err(told()) };
        let (run, event) = (*run, *event);
        let ts = Some(first.ts).filter(|_| events.len() == 1).unwrap_or_default();
        let ids: Vec<EventId> = events.iter().map(|(id, _)| *id).collect();
        let ids = if rerun.data.is_some() { vec![event] } else { ids };
        require(ids.first() == Some(&event), told)?;
        let arrival = Arrival {
            id: event,
            name: first.name.clone(),
            size: 0,
            ts: None,
            starts_at: None,
            is_known: false,
            is_tick: false,
            run: Some(run),
            data: data.clone(),
        };
        self.new_run(function, &arrival)?;
        if let Some(made) = self.runs.get_mut(run) {
            (made.keys, made.starts_at, made.events) = (keys, ts, ids);
            (made.rerun_of, made.taken_count) = (Some(rerun.run), memos.len());
            made.to_take = memos.into();
            made.listen(&policies, &data);
        }
        self.begin(walk, run);
        for (_, record) in &mut events {
            record.runs.push((function, run));
        }
        check_kept(walk, &events)?;
        self.keep_replacement(walk, (run, &life), data, rerun.data.is_some())?;
        self.events.extend(events);
        note_rerun(walk, rerun, &life);
        Ok(())
    }

    fn wanted(&self, walk: &mut Walk<'_>, rerun: &Rerun) -> Result<Wanted, Refused> {
        let now = walk.turn.now;
        let life = self.runs.get(rerun.run).filter(|life| !life.is_forgotten).cloned();
        let life = life.ok_or(Refused::NotFound("there is no run"))?;
        let is_archived = self.specs.get(life.function.index()).is_none_or(|(_, gone)| *gone);
        if is_archived {
            return Err(Refused::Function);
        }
        if self.is_paused(life.function) {
            walk.tally.note("rerun refused: singleton or pause");
            return Err(Refused::Skipped(Skip::Paused.reason().to_owned()));
        }
        let kept = |id: &EventId| Some((*id, self.events.get(id)?.clone()));
        let events: Option<Vec<(EventId, EventRecord)>> = life.events.iter().map(kept).collect();
        let is_later = |of: &(_, RunId)| of.0 == life.function && of.1 > rerun.run;
        let first = events.as_ref().and_then(|events| events.first());
        if rerun.is_once && first.is_some_and(|(_, event)| event.runs.iter().any(is_later)) {
            walk.tally.note("rerun refused: repeated already");
            return Err(Refused::Skipped("was repeated already".to_owned()));
        }
        let memos = match &rerun.from {
            Some(from) => self.taken_over(walk, &life, from, now)?,
            None => Vec::new(),
        };
        let events = events.ok_or(Refused::NotFound("no longer kept"))?;
        if rerun.data.is_some() && events.len() > 1 {
            return Err(Refused::Invalid);
        }
        Ok(Wanted { life, events, memos })
    }

    fn taken_over(
        &self,
        walk: &mut Walk<'_>,
        life: &Life,
        from: &FromStep,
        now: Timestamp,
    ) -> Result<Vec<Memo>, Refused> {
        let live = life.record.as_ref().filter(|_| life.end.is_none());
        let pending = live.and_then(|it| it.pending.iter().find(|step| step.name == from.name));
        let ended = life.end.iter().flat_map(|end| &end.unrecorded);
        let left = ended.filter(|(name, _)| *name == from.name).map(|(_, kind)| *kind).next();
        let place = life.memos.iter().position(|memo| memo.name == from.name);
        let kind = match (place.and_then(|place| life.memos.get(place)), pending, left) {
            (Some(memo), _, _) => memo.kind,
            (None, Some(step), _) => {
                walk.tally.note("rerun from a step that waits");
                step.kind()
            }
            (None, None, Some(kind)) => {
                walk.tally.note("rerun from a step that its run's end cut off");
                kind
            }
            (None, None, None) => {
                walk.tally.note("rerun refused: no such step");
                return Err(Refused::NotFound("has no step"));
            }
        };
        let taken =
            |memo: &Memo| Memo { start_count: 0, asked_at: now, recorded_at: now, ..memo.clone() };
        let before = life.memos.iter().take(place.unwrap_or(life.memos.len()));
        let mut memos: Vec<Memo> = before.map(taken).collect();
        if let Some(output) = from.output.clone() {
            let too_large = output.len() > self.settings.limits.output_bytes;
            let (name, outcome) = (from.name.clone(), Outcome::Data(output));
            let at = now;
            let memo = Memo { name, kind, start_count: 0, asked_at: at, recorded_at: at, outcome };
            memos.push(memo);
            let bytes: usize = memos.iter().map(|memo| memo.outcome.len()).sum();
            let state = u64::try_from(bytes).unwrap_or(u64::MAX);
            if too_large || state > self.settings.limits.state_bytes {
                return Err(Refused::TooLarge);
            }
        }
        Ok(memos)
    }

    /// Other data is in an event of its own.
    fn keep_replacement(
        &mut self,
        walk: &mut Walk<'_>,
        (run, life): (RunId, &Life),
        data: Bytes,
        is_replaced: bool,
    ) -> Result<(), String> {
        if !is_replaced {
            return Ok(());
        }
        let first = life.events.first().and_then(|id| self.events.get(id));
        let first = first.ok_or_else(|| format!("run {run} repeats one without an event"))?;
        let expected = EventRecord {
            data,
            user_id: None,
            received_at: walk.turn.now,
            runs: vec![(life.function, run)],
            skips: Vec::new(),
            duplicate_of: None,
            made_for: self.runs.get(run).and_then(|made| made.rerun_of),
            ..first.clone()
        };
        let kept = walk.stored.pop_front();
        let (id, record) = kept.ok_or_else(|| format!("run {run} has no event of its own"))?;
        require(record == expected, || format!("event {id} is {record:?}, not {expected:?}"))?;
        self.events.insert(id, record);
        Ok(())
    }

    /// Somebody calls an event off.
    pub(super) fn withdraw(
        &mut self,
        walk: &mut Walk<'_>,
        event: EventId,
        answer: Option<&Answer>,
    ) -> Result<(), String> {
        let Some(record) = self.events.get(&event).cloned() else {
            walk.tally.note("event called off: unknown");
            let is_refused = matches!(answer, Some(Answer::Refused(Refusal::NotFound(_))));
            return require(is_refused, || format!("event {event} is unknown: {answer:?}"));
        };
        let size = u64::try_from(record.size()).unwrap_or(u64::MAX);
        let mut count = 0_u32;
        for (_, run) in &record.runs {
            count += u32::from(self.leave_out(walk, *run, (event, size))?);
        }
        if count == 0 {
            walk.tally.note("event called off: nothing to do");
        }
        require(answer == Some(&Answer::EventCancelled(count)), || {
            format!("event {event} was called off for {count} runs: {answer:?}")
        })
    }

    fn leave_out(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        (event, size): (EventId, u64),
    ) -> Result<bool, String> {
        let life = self.runs.get_mut(run).filter(|life| life.end.is_none());
        let Some(life) = life.filter(|life| life.events.contains(&event)) else { return Ok(false) };
        if life.record.as_ref().is_some_and(|record| record.started_at.is_some()) {
            return Ok(false);
        }
        if life.events.len() == 1 {
            walk.tally.note("event called off: run cancelled");
            self.cancel(walk, run, CALLED_OFF)?;
            return Ok(true);
        }
        walk.tally.note("event called off: batch without it");
        life.events.retain(|one| *one != event);
        life.lose_bytes(size);
        self.tell_left_out(walk, run, (Some(event), "cancelled"))?;
        Ok(true)
    }
}

/// Each event says of itself that it has one run more.
fn check_kept(walk: &mut Walk<'_>, events: &[(EventId, EventRecord)]) -> Result<(), String> {
    for (id, expected) in events {
        let kept = walk.stored.pop_front();
        require(kept.as_ref() == Some(&(*id, expected.clone())), || {
            format!("event {id} is to be kept as {expected:?}, not {kept:?}")
        })?;
    }
    Ok(())
}

fn note_rerun(walk: &mut Walk<'_>, rerun: &Rerun, life: &Life) {
    walk.tally.note("rerun");
    let output = rerun.from.as_ref().and_then(|from| from.output.as_ref());
    let what = [
        (rerun.from.is_some(), "rerun from a step"),
        (output.is_some(), "rerun with another output"),
        (rerun.data.is_some(), "rerun with other data"),
        (life.events.len() > 1, "rerun of a batch"),
        (life.end.is_none(), "rerun of a live run"),
    ];
    for (_, what) in what.into_iter().filter(|(is_so, _)| *is_so) {
        walk.tally.note(what);
    }
}
