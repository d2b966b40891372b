//! Where things go when they cannot go on at once: the ready queue, or a timer.

use bytes::Bytes;

use super::{Shard, Turn};
use crate::effect::Effect;
use crate::flow::timer_wheel::Timer;
use crate::id::RunId;
use crate::run::Stretch;
use crate::step::PendingState;
use crate::time::Timestamp;
use crate::write::{RECORD_VERSION, Write, timer_key};

/// The number of a run's stretch among the things of it that queue and wait; its steps' begin at 1.
pub(super) const STRETCH: u32 = 0;
/// Timers of a run with these numbers and above wait for no step of it.
pub(super) const FIRST_SPECIAL: u32 = u32::MAX - 16;
/// A schedule's next tick has come: the timer's id is its number.
pub(super) const TICK: u32 = u32::MAX - 15;
/// A run has gathered events for long enough.
pub(super) const GATHERED: u32 = u32::MAX - 4;
/// A run must have started.
pub(super) const START_BY: u32 = u32::MAX - 3;
/// A run must have ended.
pub(super) const FINISH_BY: u32 = u32::MAX - 2;

impl Shard {
    /// A run may start as soon as there is room for it.
    pub(super) fn make_ready(&mut self, id: RunId, turn: &mut Turn) {
        let now = self.now();
        self.opened(id).active_at = now;
        self.enqueue_stretch(id);
        self.set_deadline(id, turn);
    }

    /// The code between steps is ready to be handed out.
    pub(super) fn enqueue_stretch(&mut self, id: RunId) {
        self.opened(id).stretch = Stretch::Queued;
        self.queue_up(id, STRETCH);
    }

    /// A pending step is ready to be handed out.
    pub(super) fn enqueue_step(&mut self, id: RunId, number: u32) {
        let run = self.opened(id);
        if let Some(pending) = run.pending.iter_mut().find(|pending| pending.number == number) {
            pending.state = PendingState::Queued;
        }
        self.queue_up(id, number);
    }

    /// The code between steps is not to go on before `until`.
    pub(super) fn delay_stretch(&mut self, id: RunId, until: Timestamp, turn: &mut Turn) {
        self.opened(id).stretch = Stretch::BackingOff(until);
        self.start_timer(Timer { due: until, id: *id.as_bytes(), number: STRETCH }, turn);
    }

    /// Something the code waits for has come: it goes on, now or when it has a slot.
    pub(super) fn wake(&mut self, id: RunId, turn: &mut Turn) {
        let last_event = self.meta.last_event;
        let executor = self.executor_of(id);
        let run = self.opened(id);
        match run.stretch {
            Stretch::Parked => {
                run.busy_since.get_or_insert(last_event);
                (run.start_count, run.failure_count, run.idle_count) = (0, 0, 0);
                self.enqueue_stretch(id);
            }
            Stretch::Executing(epoch) => {
                run.failure_count = 0; // what goes on behind the memo has tries of its own
                let memo_count = run.memo_count;
                turn.effects.push(Effect::DeliverMemo { executor, run: id, epoch, memo_count });
            }
            Stretch::Queued | Stretch::BackingOff(_) | Stretch::Gathering(_) => {}
        }
    }

    /// A run's code would go on although nothing that it waits for has come. Where it is not parked it
    /// has, or will have, a slot anyway.
    pub(super) fn wake_by_itself(&mut self, id: RunId) {
        let last_event = self.meta.last_event;
        if let Some(run) = self.open(id).filter(|run| run.stretch == Stretch::Parked) {
            run.busy_since.get_or_insert(last_event);
            (run.start_count, run.idle_count) = (0, 0);
            self.enqueue_stretch(id);
        }
    }

    pub(super) fn start_timer(&mut self, timer: Timer, turn: &mut Turn) {
        let key = key_of(timer);
        if key < self.timers_loaded {
            if self.wheel.len() < self.settings.limits.timer_count {
                self.wheel.insert(timer);
            } else {
                // Full: this one and all later ones stay in the store until their window comes.
                self.timers_loaded = key.clone();
            }
        }
        let value = Bytes::from_static(&[RECORD_VERSION]);
        turn.writes.push(if timer.number >= FIRST_SPECIAL {
            Write::Put { key, value } // it may have been there: two runs of an event may end in one turn
        } else {
            Write::Insert { key, value }
        });
    }

    /// The timer is forgotten on disk. In the wheel it stays until it is due and then finds nothing that
    /// waits for it.
    pub(super) fn stop_timer(timer: Timer, turn: &mut Turn) {
        turn.writes.push(Write::Delete { key: key_of(timer) });
    }
}

/// The key under which a timer stands in the store.
pub(super) fn key_of(timer: Timer) -> Bytes {
    let mut what = [0; 20];
    what[..16].copy_from_slice(&timer.id);
    what[16..].copy_from_slice(&timer.number.to_be_bytes());
    timer_key(timer.due, &what)
}

/// The timer that stands under a key.
pub(super) fn timer_of(key: &[u8]) -> Option<Timer> {
    let due = key.get(1..9)?.try_into().ok()?;
    let id = key.get(9..25)?.try_into().ok()?;
    let number = key.get(25..29)?.try_into().ok()?;
    Some(Timer {
        due: Timestamp::from_nanos(u64::from_be_bytes(due)),
        id,
        number: u32::from_be_bytes(number),
    })
}
