//! Between the shard's thread and the committer's: a few turns, in order.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use durable_core::Answer;
use durable_store::Seq;
use parking_lot::{Condvar, Mutex};

use crate::outbox::Item;

/// The shard gets so many turns ahead of the disk; what comes meanwhile makes the next turn larger.
const MAX_TURNS: usize = 4;

/// A turn that is over: what must be durable before what leaves.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) batch: Option<(Seq, Bytes)>,
    pub(crate) leaving: Vec<Leaving>,
    /// Sync now, though an interval is set: someone waits for it.
    pub(crate) is_urgent: bool,
}

/// Something that leaves once its turn is durable.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// To the side of the executor in this process.
    Item(Item),
    /// To the other executors.
    Remote(Item),
    /// To a caller inside this process that waits for its ticket.
    Answer(u64, Answer),
    /// Items before this one are for another executor than those after it.
    Connected,
}

#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    turns: VecDeque<Sealed>,
    is_committing: bool,
    is_closed: bool,
}

impl Pipeline {
    /// Waits while the committer is behind. What comes after the end is dropped: nobody may hear of it.
    pub(crate) fn put(&self, turn: Sealed) {
        let mut state = self.state.lock();
        while state.turns.len() >= MAX_TURNS && !state.is_closed {
            self.changed.wait(&mut state);
        }
        if !state.is_closed {
            state.turns.push_back(turn);
        }
        self.changed.notify_all();
    }

    /// All turns that wait; empty where none came in time; `None` at the end.
    pub(crate) fn take(&self, at_most: Option<Duration>) -> Option<Vec<Sealed>> {
        let mut state = self.state.lock();
        while state.turns.is_empty() && !state.is_closed {
            let Some(at_most) = at_most else {
                self.changed.wait(&mut state);
                continue;
            };
            if self.changed.wait_for(&mut state, at_most).timed_out() {
                return Some(Vec::new());
            }
        }
        let turns = std::mem::take(&mut state.turns);
        state.is_committing = !turns.is_empty();
        self.changed.notify_all();
        (!turns.is_empty()).then(|| turns.into())
    }

    /// What was taken has left.
    pub(crate) fn settle(&self) {
        self.state.lock().is_committing = false;
    }

    /// True where every turn has left.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.turns.is_empty() && !state.is_committing
    }

    /// No more turns come; those that wait are still taken.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// No more turns come, and those that wait go nowhere.
    pub(crate) fn abort(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.turns.clear();
        self.changed.notify_all();
    }
}
