//! Says of each run that waited what it must have been given, from the log of what survived.

use std::collections::BTreeMap;

use durable_core::write::{EVENT, MEMO, RUN, id_in_key};
use durable_core::{
    Awaits, Effect, Ending, EventId, EventRecord, FunctionId, Memo, Outcome, Pending, PendingState,
    RunEnd, RunId, RunRecord, Since, Timestamp,
};

use super::executor::{Item, name, name_in, program};
use crate::driver::{Ends, Sealed};
use crate::model::{read, require};
use crate::storage::Change;

/// What a turn left behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    events: Vec<(EventId, EventRecord)>,
    offers: Vec<RunId>,
    memos: Vec<(RunId, Memo)>,
    /// The pending steps of each run that was written.
    pending: BTreeMap<RunId, Vec<Pending>>,
    ends: Ends,
}

impl Past {
    pub(super) fn of(turn: &Sealed) -> Result<Self, String> {
        let mut past = Self { ends: turn.ends.clone(), ..Self::default() };
        for Change { key, value, .. } in &turn.changes {
            let (Some(id), Some(value)) = (id_in_key(key), value) else { continue };
            match key.first() {
                Some(&EVENT) => {
                    past.events.push((EventId::from_bytes(id), read("an event", value)?));
                }
                Some(&MEMO) => past.memos.push((RunId::from_bytes(id), read("a memo", value)?)),
                Some(&RUN) => {
                    let record: RunRecord = read("a live run", value)?;
                    past.pending.insert(RunId::from_bytes(id), record.pending);
                }
                Some(_) | None => {}
            }
        }
        let offers = turn.effects.iter().filter_map(|(effect, _)| {
            let Effect::OfferWork(work) = effect else { return None };
            work.step.is_none().then_some(work.run)
        });
        past.offers = offers.collect();
        Ok(past)
    }
}

/// A wait as it stood when it was last written.
#[derive(Clone, Debug)]
struct Asked {
    due: Timestamp,
    invoked: Option<RunId>,
}

/// An event between these two, and these.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: EventId,
    most: EventId,
}

/// What a step is asked from, and what it came to.
struct Looked<'a> {
    end: &'a RunEnd,
    own: &'a EventRecord,
    memos: Memos<'a>,
    run: RunId,
}

/// A run's memos with the turns in which they were recorded.
type Memos<'a> = BTreeMap<String, (usize, &'a Memo)>;

struct Log<'a> {
    past: &'a [Past],
    /// All events with their turns, in order.
    events: Vec<(usize, EventId, &'a EventRecord)>,
    ends: BTreeMap<RunId, (usize, &'a RunEnd)>,
    /// Runs that wait are called off by the event that says so.
    has_cancel_on: bool,
}

pub(super) fn check(seed: u64, past: &[Past], has_cancel_on: bool) -> Result<(), String> {
    let turns = || past.iter().enumerate();
    let events =
        turns().flat_map(|(turn, past)| past.events.iter().map(move |e| (turn, e.0, &e.1)));
    let ends = turns().flat_map(|(turn, past)| past.ends.iter().map(move |e| (e.0, (turn, &e.1))));
    let (events, ends_by_run) = (events.collect(), BTreeMap::new());
    let mut log = Log { past, events, ends: ends_by_run, has_cancel_on };
    for (run, end) in ends {
        let other = log.ends.insert(run, end);
        require(other.is_none(), || format!("seed {seed}: run {run} ended twice"))?;
    }
    for (run, (_, end)) in &log.ends {
        let checked = match end.function.0 {
            0 => log.check_run(*run, end).and_then(|()| log.check_cancel(*run, end)),
            1 => log.check_run(*run, end),
            _ => Ok(()),
        };
        checked.map_err(|why| format!("seed {seed}: run {run}: {why}"))?;
    }
    let started = log.events.iter().flat_map(|(_, _, event)| &event.runs);
    require(started.clone().all(|(_, run)| log.ends.contains_key(run)), || {
        format!("seed {seed}: runs that never ended")
    })
}

impl<'a> Log<'a> {
    fn memos(&self, run: RunId) -> Result<Memos<'a>, String> {
        let mut found = Memos::new();
        for (turn, past) in self.past.iter().enumerate() {
            for (_, memo) in past.memos.iter().filter(|(of, _)| *of == run) {
                let other = found.insert(memo.name.clone(), (turn, memo));
                require(other.is_none(), || format!("'{}' was remembered twice", memo.name))?;
            }
        }
        Ok(found)
    }

    /// The last event that was accepted by the end of a turn.
    fn last_event(&self, turn: usize) -> EventId {
        let before = self.events.iter().take_while(|(at, ..)| *at <= turn);
        before.last().map(|(_, id, _)| *id).unwrap_or_default()
    }

    fn asked(&self, run: RunId, step: &str, before: usize) -> Option<Asked> {
        let turns = self.past.iter().take(before).rev();
        let pending = turns.filter_map(|past| past.pending.get(&run));
        let step = pending.flatten().find(|one| one.name == step)?;
        let PendingState::Waiting(due) = step.state else { return None };
        let invoked = match &step.awaits {
            Some(Awaits::Run(invoked)) => Some(*invoked),
            Some(Awaits::Event(_) | Awaits::Signal(_)) | None => None,
        };
        Some(Asked { due, invoked })
    }

    /// Each wait has taken the first event that it was to see, or none came in its time; each call has been told
    /// what became of its child.
    fn check_run(&self, run: RunId, end: &RunEnd) -> Result<(), String> {
        let memos = self.memos(run)?;
        let first_offer = self.past.iter().position(|past| past.offers.contains(&run));
        let Some(first_offer) = first_offer else {
            return require(end.ending == Ending::Cancelled, || "it never started".to_owned());
        };
        let own = self.events.iter().find(|(_, id, _)| *id == end.event).map(|(.., own)| *own);
        let looked = Looked { end, own: own.ok_or("its event is gone")?, memos, run };
        let mut bounds = Bounds::exact(self.last_event(first_offer));
        for (place, item) in program(end.function, run).iter().enumerate() {
            let next = match item {
                Item::Both(branches) => self.check_branches(&looked, place, branches, bounds)?,
                Item::Step | Item::Sleep | Item::Wait { .. } | Item::Invoke => {
                    self.check_item(&looked, (&name(place), item), bounds)?
                }
            };
            let Some(next) = next else { return Ok(()) };
            bounds = next;
        }
        require(end.ending != Ending::Failed, || format!("it failed: {:?}", end.outcome))
    }

    /// Both branches begin behind the same; what goes on behind neither goes on from the earliest of what they were
    /// given, or from later.
    fn check_branches(
        &self,
        looked: &Looked<'a>,
        place: usize,
        branches: &[Vec<Item>],
        begin: Bounds,
    ) -> Result<Option<Bounds>, String> {
        let inside =
            looked.memos.iter().filter(|(name, _)| name.starts_with(&format!("s{place}/")));
        let floor = inside.map(|(_, (turn, memo))| {
            let before = self.last_event(turn.saturating_sub(1));
            self.given(memo).map_or(before, |given| given.min(before))
        });
        let floor = floor.min().unwrap_or_default();
        let mut most = Some(floor);
        for (branch, items) in branches.iter().enumerate() {
            let end = self.check_branch(looked, (place, branch), items, (begin, floor))?;
            most = most.zip(end).map(|(most, end)| most.max(end));
        }
        Ok(most.map(|most| Bounds { least: floor, most }))
    }

    /// `floor`: from there on at the earliest goes on what is not behind a wait that took an event.
    fn check_branch(
        &self,
        looked: &Looked<'a>,
        (place, branch): (usize, usize),
        items: &[Item],
        (begin, floor): (Bounds, EventId),
    ) -> Result<Option<EventId>, String> {
        let mut bounds = begin;
        for (number, item) in items.iter().enumerate() {
            let step = name_in(place, branch, number);
            let Some(next) = self.check_item(looked, (&step, item), bounds)? else {
                return Ok(None);
            };
            let is_behind = matches!(item, Item::Wait { since: Since::Stretch, .. });
            let is_exact = is_behind && self.is_given(looked, &step);
            bounds = Bounds { least: if is_exact { next.least } else { floor }, ..next };
        }
        Ok(Some(bounds.most))
    }

    fn is_given(&self, looked: &Looked<'a>, step: &str) -> bool {
        looked.memos.get(step).is_some_and(|(_, memo)| self.given(memo).is_some())
    }

    /// The event that a memo holds.
    fn given(&self, memo: &Memo) -> Option<EventId> {
        let Outcome::Data(json) = &memo.outcome else { return None };
        let text = String::from_utf8_lossy(json);
        let id = text.strip_prefix("{\"name\":\"go\",\"id\":\"")?.split('"').next()?;
        self.events.iter().find(|(_, known, _)| known.to_string() == id).map(|(_, id, _)| *id)
    }

    /// One step; from where on the next goes on. `None`: the run was called off before.
    fn check_item(
        &self,
        looked: &Looked<'a>,
        (step, item): (&str, &Item),
        bounds: Bounds,
    ) -> Result<Option<Bounds>, String> {
        let Looked { end, own, memos, run } = looked;
        let Some((turn, memo)) = memos.get(step).copied() else {
            let is_over = end.ending == Ending::Cancelled;
            return require(is_over, || format!("no memo of {step}")).map(|()| None);
        };
        let asked = self.asked(*run, step, turn);
        let last = Bounds::exact(self.last_event(turn));
        Ok(Some(match item {
            Item::Step | Item::Both(_) => bounds,
            Item::Sleep => last,
            Item::Invoke => {
                self.check_call((turn, memo), &asked.ok_or("it was never asked")?)?;
                Bounds { least: self.last_event(turn.saturating_sub(1)), ..last }
            }
            Item::Wait { expression, since } => {
                let from = since_when(*since, end, bounds);
                let is_one =
                    |event: &EventRecord| event.name == "go" && is_met(*expression, own, event);
                let all = self.events.iter().filter(|(.., event)| is_one(event));
                let met: Vec<(usize, EventId)> = all.map(|(came, id, _)| (*came, *id)).collect();
                self.check_wait((turn, memo), (&met, from), asked.as_ref())?;
                match (self.given(memo), since) {
                    (None, _) => last,
                    (Some(event), Since::Stretch) => Bounds::exact(event),
                    (Some(event), Since::Run) => self.after((turn, event)),
                }
            }
        }))
    }

    /// A wait that looked back to its run's start says nothing of where the next one goes on from.
    fn after(&self, (turn, event): (usize, EventId)) -> Bounds {
        let is_live = self.events.iter().any(|(came, id, _)| *came == turn && *id == event);
        Bounds::exact(if is_live { event } else { self.last_event(turn.saturating_sub(1)) })
    }

    /// `met`: the events that are for this wait, each with its turn.
    fn check_wait(
        &self,
        (turn, memo): (usize, &Memo),
        (met, from): (&[(usize, EventId)], Bounds),
        asked: Option<&Asked>,
    ) -> Result<(), String> {
        let first = met.iter().find(|(_, id)| *id > from.most);
        let Outcome::Data(json) = &memo.outcome else {
            return Err(format!("a wait failed: {memo:?}"));
        };
        if **json == b"null"[..] {
            let asked = asked.ok_or("a wait ended before it was written down")?;
            require(memo.recorded_at >= asked.due, || {
                format!("{memo:?} is early: it is due at {:?}", asked.due)
            })?;
            let is_missed = first.is_some_and(|(came, _)| *came <= turn);
            return require(!is_missed, || format!("{memo:?} in turn {turn} has missed {first:?}"));
        }
        let given = self.given(memo).ok_or_else(|| format!("{memo:?} is of no event"))?;
        let came = met.iter().find(|(_, id)| *id == given).map(|(came, _)| *came);
        let is_for_it = given > from.least && came.is_some_and(|came| came <= turn);
        require(is_for_it, || format!("{memo:?} was given what is not for it, from {from:?}"))?;
        let is_first = first.is_none_or(|(_, first)| given <= *first);
        require(is_first, || format!("{memo:?} is not the first, {first:?}"))
    }

    /// A run with `cancel_on` has ended with the first event that is for it.
    fn check_cancel(&self, run: RunId, end: &RunEnd) -> Result<(), String> {
        let Some((ended, _)) = self.ends.get(&run) else { return Ok(()) };
        let error = match &end.outcome {
            Outcome::Data(json) | Outcome::Error(json) => String::from_utf8_lossy(json),
        };
        let own = self.events.iter().find(|(_, id, _)| *id == end.event).map(|(.., own)| *own);
        let own = own.ok_or("its event is gone")?;
        let stop = self.events.iter().find(|(_, id, event)| {
            *id > end.event && event.name == "stop" && number(own, 'k') == number(event, 'k')
        });
        if error.contains("cancel_on") {
            let (came, id, _) = stop.ok_or("nothing cancels it")?;
            return require(came == ended && error.contains(&id.to_string()), || {
                format!("{error}, not by {id} in turn {came}")
            });
        }
        let is_late = stop.is_none_or(|(came, ..)| came >= ended);
        require(is_late || !self.has_cancel_on, || {
            format!("{stop:?} should have cancelled it: {error}")
        })
    }

    fn check_call(&self, (turn, memo): (usize, &Memo), asked: &Asked) -> Result<(), String> {
        let child = asked.invoked.ok_or("nobody was invoked")?;
        let (ended, end) = self.ends.get(&child).copied().ok_or("the child never ended")?;
        require(end.function == FunctionId(2), || format!("{child} is no child"))?;
        let said = match &memo.outcome {
            Outcome::Data(json) => {
                let is_same = end.outcome == Outcome::Data(json.clone()) && ended == turn;
                return require(is_same && end.ending == Ending::Completed, || {
                    format!("{memo:?} in turn {turn}, but {child} ended in {ended}: {end:?}")
                });
            }
            Outcome::Error(json) => String::from_utf8_lossy(json).into_owned(),
        };
        let reason = match end.ending {
            _ if said.contains("\"reason\":\"timeout\"") => {
                return require(ended >= turn && memo.recorded_at >= asked.due, || {
                    format!("{said} in turn {turn}, due {:?}, {child} ended in {ended}", asked.due)
                });
            }
            Ending::Completed => "completed",
            Ending::Failed => "failed",
            Ending::Cancelled => "cancelled",
        };
        let is_told = said.contains(&format!("\"reason\":\"{reason}\"")) && ended == turn;
        require(is_told, || format!("{said} in turn {turn}, but {child} {reason} in {ended}"))
    }
}

impl Bounds {
    const fn exact(event: EventId) -> Self {
        Self { least: event, most: event }
    }
}

fn since_when(since: Since, end: &RunEnd, bounds: Bounds) -> Bounds {
    match since {
        Since::Run => Bounds::exact(end.event),
        Since::Stretch => bounds,
    }
}

/// What the expressions say, said again.
fn is_met(expression: Option<&str>, own: &EventRecord, event: &EventRecord) -> bool {
    let (k, n) = (number(event, 'k'), number(event, 'n'));
    let own = number(own, 'k');
    match expression {
        None => true,
        Some("event.data.k == async.data.k") => own == k,
        Some("async.data.n in [1, 2] && event.data.k == async.data.k") => n != 0 && own == k,
        Some("async.data.n > event.data.k") => n > own,
        Some(_) => n == 1 || n == 2,
    }
}

/// The field of an event that is one digit.
fn number(event: &EventRecord, field: char) -> u32 {
    let data = String::from_utf8_lossy(&event.data).into_owned();
    let place = data.find(&format!("\"{field}\":")).map(|at| at.saturating_add(4));
    let digit = place.and_then(|at| data.get(at..)?.chars().next()?.to_digit(10));
    digit.unwrap_or(9)
}
