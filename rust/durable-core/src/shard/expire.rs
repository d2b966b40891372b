//! Retention: events and ended runs are kept for so long and then go, a page at a time.
//!
//! Two marks move through the store in the order of ids, which is the order of time. What a mark passes
//! and must stay (an event whose run lives, a run that ended late) gets a timer, and is not met again.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::enqueue::FIRST_SPECIAL;
use super::tick::after;
use super::{Shard, Turn, read};
use crate::effect::Effect;
use crate::event::{DedupRecord, EventRecord};
use crate::flow::timer_wheel::Timer;
use crate::id::{EventId, RunId};
use crate::run::RunEnd;
use crate::time::Timestamp;
use crate::write::{
    CHANNEL, DEDUP, EVENT, HISTORY, META_KEY, Record, Write, channel_key, dedup_key, encode,
    event_key, history_key, id_in_key, read_history,
};

/// Timers of these numbers belong to no run's work.
const EXPIRE_EVENT: u32 = u32::MAX;
const EXPIRE_RUN: u32 = u32::MAX - 1;
pub(super) const EXPIRE_CHANNEL: u32 = FIRST_SPECIAL;

/// As many records are looked at in one turn.
const PAGE: usize = 512;

/// Where the search for old records stands. What is only here is asked for again after a restart: the
/// marks move, and timers go, in the turn in which the last record that they were about is dealt with.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    pub(super) next_at: Timestamp,
    /// What was made before this goes. It stands still while a look is under way: a mark that runs
    /// after the clock would never arrive.
    horizon: Option<Timestamp>,
    is_asking: bool,
    /// The end of the page that was looked at, while senders' ids of it are still asked for.
    reached: Option<Reached>,
    /// Old events, under the key of their sender's id, which is looked at before they go.
    waiting: BTreeMap<Bytes, Vec<Bytes>>,
    /// Timers that fired, under the key of the record they are about.
    fired: BTreeMap<Bytes, Timer>,
}

/// How far a mark is to move.
#[derive(Clone, Copy, Debug)]
enum Reached {
    Event(EventId),
    Run(RunId),
}

pub(super) fn is_expiry(timer: Timer) -> bool {
    timer.number >= EXPIRE_RUN || timer.number == EXPIRE_CHANNEL
}

fn ask_for_one(key: Bytes, turn: &mut Turn) {
    let before = after(&key);
    turn.effects.push(Effect::FindExpired { from: key, before, limit: 1 });
}

impl Shard {
    /// The moment has come for one record: it is read and looked at.
    pub(super) fn fire_expiry(&mut self, timer: Timer, turn: &mut Turn) {
        let key = match timer.number {
            EXPIRE_EVENT => event_key(EventId::from_bytes(timer.id)),
            EXPIRE_CHANNEL => channel_key(&timer.id),
            _ => history_key(RunId::from_bytes(timer.id)),
        };
        let known = self.expiry.fired.insert(key.clone(), timer);
        if let Some(other) = known.filter(|other| *other != timer) {
            Self::stop_timer(other, turn); // another run of the same event set it
        }
        ask_for_one(key, turn);
    }

    /// Asks for the next page of what may be too old, where it is time to look.
    pub(super) fn look_for_expired(&mut self, turn: &mut Turn) {
        let now = self.now();
        if self.expiry.is_asking || self.expiry.next_at > now {
            return;
        }
        let oldest_kept = now.minus(self.settings.retention);
        let horizon = *self.expiry.horizon.get_or_insert(oldest_kept);
        let (event, run) = (EventId::earliest(horizon), RunId::earliest(horizon));
        let (from, before) = if self.meta.events_expired < event {
            (event_key(self.meta.events_expired), event_key(event))
        } else if self.meta.runs_expired < run {
            (history_key(self.meta.runs_expired), history_key(run))
        } else {
            self.expiry.horizon = None;
            self.expiry.next_at = now.plus(self.settings.retention / 128);
            return;
        };
        self.expiry.is_asking = true;
        turn.effects.push(Effect::FindExpired { from, before, limit: PAGE });
    }

    pub(super) fn expire(
        &mut self,
        (from, before): (&Bytes, &Bytes),
        records: &[Record],
        is_complete: bool,
        turn: &mut Turn,
    ) {
        for (key, value) in records {
            match key.first() {
                Some(&EVENT) => self.expire_event(key, value, turn),
                Some(&HISTORY) => self.expire_run(key, value, turn),
                Some(&DEDUP) => self.expire_dedup(key, value, turn),
                Some(&CHANNEL) => self.expire_channel(value, turn),
                Some(_) | None => super::broken("a record that never expires came back as expired"),
            }
        }
        if from.len() == before.len() {
            let reached = match records.last() {
                Some((key, _)) if !is_complete => id_in_key(key).map(next_id),
                Some(_) | None => id_in_key(before),
            };
            let reached = reached.unwrap_or_else(|| super::broken("an id's key is cut short"));
            self.expiry.reached = Some(if from.first() == Some(&EVENT) {
                Reached::Event(EventId::from_bytes(reached))
            } else {
                Reached::Run(RunId::from_bytes(reached))
            });
        } else if from.first() == Some(&DEDUP) {
            let is_needed = records.iter().any(|(_, value)| self.has_live_run(value));
            let forget = if is_needed { Self::look_again } else { Self::forget_record };
            for event in self.expiry.waiting.remove(from).unwrap_or_default() {
                forget(self, &event, turn);
            }
        } else if !self.expiry.waiting.values().flatten().any(|event| event == from) {
            self.settle_timer(from, turn); // it went, stays for its runs, or was there no more
        }
        if self.expiry.waiting.is_empty() {
            self.move_mark(turn);
        }
    }

    /// All of a page is dealt with: it is not looked at again.
    fn move_mark(&mut self, turn: &mut Turn) {
        match self.expiry.reached.take() {
            Some(Reached::Event(id)) => self.meta.events_expired = id,
            Some(Reached::Run(id)) => self.meta.runs_expired = id,
            None => return,
        }
        self.expiry.is_asking = false;
        let key = Bytes::from_static(META_KEY);
        turn.writes.push(Write::Put { key, value: encode(&self.meta) });
    }

    fn forget_record(&mut self, key: &Bytes, turn: &mut Turn) {
        self.settle_timer(key, turn);
        turn.writes.push(Write::Delete { key: key.clone() });
    }

    /// A sender's id outlives its event where a debounce has dropped that for a later one and the run lives:
    /// the event stays as well, or nobody would come back to the id.
    fn has_live_run(&self, value: &[u8]) -> bool {
        let dedup: DedupRecord = read("a sender's event id", value);
        dedup.runs.iter().any(|(_, run)| self.runs.contains(*run))
    }

    fn look_again(&mut self, key: &Bytes, turn: &mut Turn) {
        self.settle_timer(key, turn);
        let due = self.now().plus(self.settings.retention);
        if let Some(id) = id_in_key(key) {
            self.start_timer(Timer { due, id, number: EXPIRE_EVENT }, turn);
        }
    }

    fn settle_timer(&mut self, key: &Bytes, turn: &mut Turn) {
        if let Some(timer) = self.expiry.fired.remove(key) {
            Self::stop_timer(timer, turn);
        }
    }

    /// A run has ended whose event, or which itself, is older than what has been looked at.
    pub(super) fn keep_until_expired(&mut self, run: RunId, end: &RunEnd, turn: &mut Turn) {
        for event in std::iter::once(end.event).chain(end.rest.iter().copied()) {
            self.keep_event_until_expired(event, turn);
        }
        let due = self.now().plus(self.settings.retention);
        let runs_seen = match self.expiry.reached {
            Some(Reached::Run(end)) => end,
            Some(Reached::Event(_)) | None => self.meta.runs_expired,
        };
        if run < runs_seen {
            self.start_timer(Timer { due, id: *run.as_bytes(), number: EXPIRE_RUN }, turn);
        }
    }

    /// An event has a live run again: if it was about to go, it stays.
    pub(super) fn keep_event(&mut self, event: EventId, turn: &mut Turn) {
        let key = event_key(event);
        let mut is_going = false;
        for events in self.expiry.waiting.values_mut() {
            let before = events.len();
            events.retain(|one| *one != key);
            is_going |= events.len() < before;
        }
        if is_going {
            self.settle_timer(&key, turn);
        }
    }

    /// No run keeps an event any more that may be older than what has been looked at.
    pub(super) fn keep_event_until_expired(&mut self, event: EventId, turn: &mut Turn) {
        let due = self.now().plus(self.settings.retention);
        let events_seen = match self.expiry.reached {
            Some(Reached::Event(end)) => end,
            Some(Reached::Run(_)) | None => self.meta.events_expired,
        };
        if event < events_seen {
            self.start_timer(Timer { due, id: *event.as_bytes(), number: EXPIRE_EVENT }, turn);
        }
    }

    /// An event goes unless a run of it lives: then its end will see to it.
    fn expire_event(&mut self, key: &Bytes, value: &[u8], turn: &mut Turn) {
        let event: EventRecord = read("an event", value);
        let id = id_in_key(key).map(EventId::from_bytes).unwrap_or_default();
        if event.runs.iter().any(|(_, run)| self.is_started_by(*run, id)) {
            return;
        }
        if self.telling.needs_event(id, event.runs.iter().map(|(_, run)| *run)) {
            self.look_again(key, turn);
            return;
        }
        let Some(name) = event.user_id else {
            self.forget_record(key, turn);
            return;
        };
        let sender = dedup_key(&name);
        let events = self.expiry.waiting.entry(sender.clone()).or_default();
        if events.is_empty() {
            ask_for_one(sender, turn);
        }
        events.push(key.clone());
    }

    fn expire_run(&mut self, key: &Bytes, value: &[u8], turn: &mut Turn) {
        let history = read_history(value).unwrap_or_else(|why| super::broken(&why.to_string()));
        let now = self.now();
        let is_needed =
            id_in_key(key).is_some_and(|id| self.telling.needs_run(RunId::from_bytes(id)));
        let since = if is_needed { now } else { history.end.ended_at };
        let due = since.plus(self.settings.retention);
        if due <= now {
            self.forget_record(key, turn);
        } else if let Some(id) = id_in_key(key) {
            self.start_timer(Timer { due, id, number: EXPIRE_RUN }, turn);
        }
    }

    fn expire_dedup(&mut self, key: &Bytes, value: &[u8], turn: &mut Turn) {
        let dedup: DedupRecord = read("a sender's event id", value);
        let is_fresh = std::str::from_utf8(key.get(1..).unwrap_or_default())
            .is_ok_and(|name| self.turn.dedups.contains_key(name));
        if !is_fresh && self.still_counts(dedup).is_none() {
            turn.writes.push(Write::Delete { key: key.clone() });
        }
    }
}

/// The first id behind this one: what has been looked at is not looked at again.
fn next_id(id: [u8; 16]) -> [u8; 16] {
    u128::from_be_bytes(id).saturating_add(1).to_be_bytes()
}
