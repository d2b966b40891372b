//! What a function's flow control would do with events: the real scheduler under a simulated clock, without a disk.
//!
//! Time goes from one happening to the next: an event comes, a run has lasted as long as it was said to, or the
//! scheduler has something to do. At one moment runs end first, then events come, then work is handed out. The
//! same plan gives the same trace. A handler is one stretch of code that holds its slots and never fails.

mod shelf;
mod trace;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::time::Duration;
use std::vec::IntoIter;

use bytes::Bytes;
use durable_core::{
    Answer, Command, Effect, Epoch, ExecutorId, FunctionSpec, Limits, NewEvent, Op, Report, RunId,
    Settings, Shard, Ticket, Timestamp, Turn, Work, Write, write,
};

use crate::error::{Error, Kind, Result};
use shelf::Shelf;
use trace::Recorder;
pub use trace::{EventTrace, RunTrace, Trace};

/// As many events are taken in one turn.
const EVENTS_PER_TURN: usize = 512;
/// So often it is asked whether to go on: a few times a second at least.
const TURNS_PER_LOOK: u32 = 1_024;
/// How far ahead timers are fetched: seldom, since years may pass.
const TIMER_WINDOW: Duration = Duration::from_hours(30 * 24);
/// Nothing that was said is ever too old.
const RETENTION: Duration = Duration::from_nanos(u64::MAX);

/// What is to be rehearsed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The function, with its flow control. Its triggers choose among the events.
    pub function: FunctionSpec,
    /// How many runs execute at one instant at most, whatever their limits.
    pub capacity: u32,
    /// What the scheduler draws its chance from.
    pub seed: u64,
    /// The events, in order of their moments.
    pub arrivals: Vec<Arrival>,
    /// Nothing happens after this moment; `None`: it goes on until nothing waits any more.
    pub stop_at: Option<Timestamp>,
}

/// An event that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The event. Its run may start at once, whatever its `ts`.
    pub event: NewEvent,
    /// When it comes.
    pub at: Timestamp,
    /// How long the run that it starts executes.
    pub length: Duration,
}

/// Plays a plan through; `None` where `is_cancelled` said so, which is asked a few times a second.
pub fn rehearse(plan: Plan, is_cancelled: &mut dyn FnMut() -> bool) -> Result<Option<Trace>> {
    let stop_at = plan.stop_at.unwrap_or(Timestamp::MAX);
    let mut rehearsal = Rehearsal::begin(plan)?;
    let mut turns_left = TURNS_PER_LOOK;
    while let Some(moment) = rehearsal.next_moment() {
        if moment > stop_at || moment == Timestamp::MAX {
            let end = if stop_at == Timestamp::MAX { rehearsal.now } else { stop_at };
            return Ok(Some(rehearsal.recorder.into_trace(end)));
        }
        rehearsal.now = rehearsal.now.max(moment);
        rehearsal.turn()?;
        turns_left = turns_left.saturating_sub(1);
        if turns_left == 0 {
            if is_cancelled() {
                return Ok(None);
            }
            turns_left = TURNS_PER_LOOK;
        }
    }
    let now = rehearsal.now;
    Ok(Some(rehearsal.recorder.into_trace(now)))
}

#[derive(Debug)]
struct Rehearsal {
    shard: Shard,
    now: Timestamp,
    arrivals: Peekable<IntoIter<Arrival>>,
    /// How long each event's run lasts, by its place.
    lengths: Vec<Duration>,
    ends: BinaryHeap<Reverse<RunEnds>>,
    offer_count: u64,
    /// What the scheduler asked for, for the next turn.
    answers: Vec<Command>,
    shelf: Shelf,
    recorder: Recorder,
}

/// When a run's handler returns; of one moment in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RunEnds {
    at: Timestamp,
    offer: u64,
    run: RunId,
    epoch: Epoch,
}

impl Rehearsal {
    /// A scheduler that knows the function, at the moment of the first event.
    fn begin(plan: Plan) -> Result<Self> {
        let now = plan.arrivals.first().map_or(Timestamp::default(), |first| first.at);
        let limits = Limits { timer_window: TIMER_WINDOW, ..Limits::default() };
        let settings =
            Settings { seed: plan.seed, secret: plan.seed, retention: RETENTION, limits };
        let mut rehearsal = Self {
            shard: Shard::load(settings, now, [])?,
            now,
            lengths: plan.arrivals.iter().map(|arrival| arrival.length).collect(),
            arrivals: plan.arrivals.into_iter().peekable(),
            ends: BinaryHeap::new(),
            offer_count: 0,
            answers: Vec::new(),
            shelf: Shelf::default(),
            recorder: Recorder::default(),
        };
        let (app, name) = (plan.function.app.clone(), plan.function.name.clone());
        let functions = vec![plan.function];
        rehearsal.answers = vec![
            Command::RegisterFunctions { ticket: Ticket(u64::MAX), app, functions },
            Command::ConnectExecutor {
                executor: ExecutorId::LOCAL,
                capacity: plan.capacity,
                functions: vec![name],
            },
        ];
        Ok(rehearsal)
    }

    /// When something happens next; `None` where nothing more ever will.
    fn next_moment(&mut self) -> Option<Timestamp> {
        if !self.answers.is_empty() {
            return Some(self.now);
        }
        let arrival = self.arrivals.peek().map(|arrival| arrival.at);
        let end = self.ends.peek().map(|Reverse(end)| end.at);
        let is_over = arrival.or(end).is_none() && self.is_at_rest();
        let deadline = self.shard.next_deadline().filter(|_| !is_over);
        [arrival, end, deadline].into_iter().flatten().min()
    }

    /// No run lives, and nothing is to happen that would make one.
    fn is_at_rest(&self) -> bool {
        self.recorder.live_count() == 0 && !self.shelf.has_timers()
    }

    fn turn(&mut self) -> Result<()> {
        let (now, mut turn) = (self.now, Turn::default());
        for answer in std::mem::take(&mut self.answers) {
            self.shard.handle(now, answer, &mut turn);
        }
        while let Some(report) = self.next_report() {
            self.shard.handle(now, Command::Report(report), &mut turn);
        }
        for _ in 0..EVENTS_PER_TURN {
            let Some(arrival) = self.arrivals.next_if(|arrival| arrival.at <= now) else { break };
            let command = self.accept(arrival.event);
            self.shard.handle(now, command, &mut turn);
        }
        self.shard.tick(now, &mut turn);
        self.shard.dispatch(now, &mut turn);
        for write in turn.writes {
            self.keep(write)?;
        }
        turn.effects.into_iter().try_for_each(|effect| self.obey(effect))
    }

    /// What the executor says of the next run that has lasted long enough. One that was called off is not heard.
    fn next_report(&mut self) -> Option<Report> {
        loop {
            let Reverse(end) = *self.ends.peek().filter(|Reverse(end)| end.at <= self.now)?;
            self.ends.pop();
            if self.recorder.is_live(end.run) {
                let ops = vec![Op::RunComplete { data: Bytes::from_static(b"null") }];
                let (run, epoch) = (end.run, end.epoch);
                return Some(Report { run, epoch, number: 0, ops, parked_at: None });
            }
        }
    }

    fn accept(&mut self, mut event: NewEvent) -> Command {
        event.starts_at = Some(self.now);
        let known = event.user_id.as_deref().and_then(|id| self.shelf.get(&write::dedup_key(id)));
        let ticket = Ticket(self.recorder.next_ticket());
        Command::AcceptEvents { ticket, events: vec![(event, known)], source: None }
    }

    fn keep(&mut self, write: Write) -> Result<()> {
        match write {
            Write::Insert { key, value } | Write::Put { key, value } => {
                if key.first() == Some(&write::EVENT) {
                    self.recorder.see_event(&key, &value)?;
                }
                self.shelf.put(key, value);
            }
            Write::Delete { key } => self.shelf.remove(&key),
            Write::Archive { .. } => {} // the announcement says as much, and there is no memo
        }
        Ok(())
    }

    fn obey(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Answer { ticket, answer: Answer::Refused(why) } => {
                return Err(refused(ticket, why));
            }
            Effect::OfferWork(work) => self.execute(&work),
            Effect::AnnounceEnd { run, ending, .. } => self.recorder.end(run, ending, self.now),
            Effect::LoadTimers { from, before, limit } => {
                let (timers, is_complete) = self.shelf.page(&from, &before, limit);
                self.answers.push(Command::LoadTimers { timers, is_complete });
            }
            Effect::LookBack { run, number, from, before, limit } => {
                let (records, is_complete) = self.shelf.page(&from, &before, limit);
                self.answers.push(Command::LookBack { run, number, before, records, is_complete });
            }
            Effect::FindExpired { from, before, limit } => {
                let (records, is_complete) = self.shelf.page(&from, &before, limit);
                self.answers.push(Command::Expire { from, before, records, is_complete });
            }
            // The first two of these are about steps, of which there are none; work that is called off ends with
            // its run; and the ends of rehearsed runs are told to nobody.
            Effect::DeliverMemo { .. }
            | Effect::ConfirmReport { .. }
            | Effect::AbandonWork { .. }
            | Effect::FindEnd { .. }
            | Effect::Answer { .. } => {}
        }
        Ok(())
    }

    /// The handler begins, and will have returned after the length that was drawn for its event.
    fn execute(&mut self, work: &Work) {
        let event = self.recorder.start((work.run, work.event), self.now);
        let length = self.lengths.get(event).copied().unwrap_or_default();
        self.offer_count = self.offer_count.saturating_add(1);
        let (at, offer) = (self.now.plus(length), self.offer_count);
        self.ends.push(Reverse(RunEnds { at, offer, run: work.run, epoch: work.epoch }));
    }
}

fn refused(ticket: Ticket, why: durable_core::Refusal) -> Error {
    let error = Error::from(why);
    let Ticket(place) = ticket;
    if place == u64::MAX {
        return error;
    }
    Error::new(Kind::Event, format!("event {}: {}", place.saturating_add(1), error.text))
}

#[cfg(test)]
mod tests;
