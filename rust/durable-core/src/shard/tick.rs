//! The shard is told the time: what is due happens, and what is due soon is fetched from the store.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::enqueue::{FINISH_BY, GATHERED, START_BY, STRETCH, TICK, timer_of};
use super::{Shard, Turn};
use crate::effect::Effect;
use crate::flow::timer_wheel::Timer;
use crate::id::RunId;
use crate::run::Stretch;
use crate::step::{Awaits, Outcome, PendingState};
use crate::time::Timestamp;
use crate::write::{Record, TIMER, timer_key};

/// As many timers fire in one turn, so that a herd of them holds nothing else up for long.
const TIMERS_PER_TURN: usize = 4_096;
/// As many timers are fetched at a time.
const TIMERS_PER_LOAD: usize = 8_192;
/// However full the wheel is, timers due within this are fetched.
const LEAST_WINDOW: Duration = Duration::from_secs(2);

impl Shard {
    /// Does everything that is due by `now`.
    pub fn tick(&mut self, now: Timestamp, turn: &mut Turn) {
        let now = self.advance_clock(now);
        for timer in self.wheel.advance(now, TIMERS_PER_TURN) {
            self.fire(timer, turn);
        }
        if self.timers_asked.is_none() && self.timers_wanted_at().is_some_and(|at| at <= now) {
            let before = timer_key(now.plus(self.settings.limits.timer_window), &[]);
            let from = self.timers_loaded.clone();
            self.timers_asked = Some((from.clone(), before.clone()));
            turn.effects.push(Effect::LoadTimers { from, before, limit: TIMERS_PER_LOAD });
        }
        self.open_gates(turn);
        self.ask_to_look_back(turn);
        self.look_for_expired(turn);
        self.ask_for_ends(turn);
    }

    /// When the next window of timers must be fetched from the store.
    pub(super) fn timers_wanted_at(&self) -> Option<Timestamp> {
        let Some(last) = timer_moment(&self.timers_loaded) else {
            return Some(Timestamp::default());
        };
        if last == Timestamp::MAX {
            return None;
        }
        let is_full = self.wheel.len() >= self.settings.limits.timer_count;
        let margin = self.settings.limits.timer_window / 2;
        Some(last.minus(if is_full { LEAST_WINDOW.min(margin) } else { margin }))
    }

    /// Whether timers that are due have not fired: there were too many, or they are still in the store.
    pub(super) fn has_overdue_timers(&self) -> bool {
        let now = self.now();
        let loaded = timer_moment(&self.timers_loaded).unwrap_or_default();
        loaded <= now || self.wheel.next_due().is_some_and(|due| due <= now)
    }

    pub(super) fn load_timers(&mut self, timers: &[Record], is_complete: bool) {
        let Some((from, window)) = self.timers_asked.take() else { return };
        if self.timers_loaded < from {
            return; // the wheel was full for a timer before this window: that one comes first
        }
        for (key, _) in timers {
            let timer =
                timer_of(key).unwrap_or_else(|| super::broken("a timer's key is cut short"));
            self.wheel.insert(timer);
        }
        let reached = match timers.last() {
            Some((key, _)) if !is_complete => after(key),
            Some(_) | None => window,
        };
        self.timers_loaded = reached.max(self.timers_loaded.clone());
    }

    fn fire(&mut self, timer: Timer, turn: &mut Turn) {
        if super::expire::is_expiry(timer) {
            self.fire_expiry(timer, turn);
            return;
        }
        let id = RunId::from_bytes(timer.id);
        match timer.number {
            STRETCH => self.end_backing_off(id, timer, turn),
            GATHERED => {
                let run = self.open(id);
                if run.is_some_and(|run| run.stretch == Stretch::Gathering(timer.due)) {
                    self.gather_on(id, turn);
                }
            }
            START_BY | FINISH_BY => self.fire_deadline(timer, turn),
            TICK => self.fire_tick(timer, turn),
            _ => self.fire_step(id, timer, turn),
        }
    }

    fn end_backing_off(&mut self, id: RunId, timer: Timer, turn: &mut Turn) {
        let Some(run) = self.open(id) else { return };
        if run.stretch != Stretch::BackingOff(timer.due) {
            return;
        }
        Self::stop_timer(timer, turn);
        if run.started_at.is_none() {
            self.make_ready(id, turn);
        } else {
            self.enqueue_stretch(id);
        }
    }

    /// A wait is over that has not looked at all that came before its end: that has the first word.
    fn put_off(&mut self, id: RunId, timer: Timer, turn: &mut Turn) {
        Self::stop_timer(timer, turn);
        let due = self.now().plus(Duration::from_millis(1));
        let steps = &mut self.opened(id).pending;
        if let Some(step) = steps.iter_mut().find(|step| step.number == timer.number) {
            step.state = PendingState::Waiting(due);
        }
        self.start_timer(Timer { due, ..timer }, turn);
    }

    fn fire_step(&mut self, id: RunId, timer: Timer, turn: &mut Turn) {
        let Some(run) = self.open(id) else { return };
        let Some(place) = run.pending.iter().position(|step| step.number == timer.number) else {
            return;
        };
        let Some(step) = run.pending.get(place) else { return };
        let looks_back =
            matches!(&step.awaits, Some(Awaits::Event(awaited)) if awaited.looks_from.is_some());
        match step.state {
            PendingState::BackingOff(due) if due == timer.due => {
                Self::stop_timer(timer, turn);
                self.enqueue_step(id, timer.number);
            }
            PendingState::Waiting(due) if due == timer.due && looks_back => {
                self.put_off(id, timer, turn);
            }
            PendingState::Sleeping(due) | PendingState::Waiting(due) if due == timer.due => {
                let Some(run) = self.open(id) else { return };
                let step = run.pending.remove(place);
                let outcome = match step.awaits {
                    Some(Awaits::Run(invoked)) => super::invoke::timed_out(invoked),
                    Some(Awaits::Signal(_) | Awaits::Event(_)) | None => {
                        Outcome::Data(Bytes::from_static(b"null"))
                    }
                };
                self.end_wait(id, step, outcome, turn);
            }
            PendingState::Queued
            | PendingState::Executing(_)
            | PendingState::BackingOff(_)
            | PendingState::Sleeping(_)
            | PendingState::Waiting(_) => {}
        }
    }
}

/// The moment in a timer's key; `None` where no window has been fetched yet.
fn timer_moment(key: &[u8]) -> Option<Timestamp> {
    let nanos = key.get(1..9)?.try_into().ok()?;
    Some(Timestamp::from_nanos(u64::from_be_bytes(nanos)))
}

/// The first key behind this one.
pub(super) fn after(key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(key.len().saturating_add(1));
    bytes.put_slice(key);
    bytes.put_u8(0);
    bytes.freeze()
}

/// Where the search for timers begins when nothing has been fetched.
pub(super) const NO_TIMERS: &[u8] = &[TIMER];
