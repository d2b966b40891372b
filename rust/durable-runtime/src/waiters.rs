//! Callers inside this process that wait for the answer to a ticket.

use durable_core::Answer;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Tickets from here on are ours; those below are the executor side's own.
const OURS: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    waiting: FxHashMap<u64, oneshot::Sender<Result<Answer>>>,
    ended: Option<Error>,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        let state = State { next: OURS, waiting: FxHashMap::default(), ended: None };
        Self { state: Mutex::new(state) }
    }

    pub(crate) fn is_ours(ticket: u64) -> bool {
        ticket >= OURS
    }

    /// A ticket, and where its answer will come.
    pub(crate) fn issue(&self) -> Result<(u64, oneshot::Receiver<Result<Answer>>)> {
        let mut state = self.state.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let ticket = state.next;
        state.next = ticket.saturating_add(1);
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(ticket, sender);
        Ok((ticket, receiver))
    }

    pub(crate) fn answer(&self, ticket: u64, answer: Answer) {
        if let Some(waiting) = self.state.lock().waiting.remove(&ticket) {
            drop(waiting.send(Ok(answer))); // whoever does not wait any more need not know
        }
    }

    /// Nothing was asked under this ticket.
    pub(crate) fn withdraw(&self, ticket: u64) {
        self.state.lock().waiting.remove(&ticket);
    }

    /// Nobody is answered any more; those who wait are told why.
    pub(crate) fn end(&self, error: &Error) {
        let mut state = self.state.lock();
        state.ended.get_or_insert_with(|| error.clone());
        for (_, waiting) in state.waiting.drain() {
            drop(waiting.send(Err(error.clone())));
        }
    }
}
