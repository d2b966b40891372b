//! What waits for the executor's loop: filled once a commit, woken once a batch, drained with one call.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Answer, Ending, Epoch, EventId, EventRecord, ExecutorId, FunctionId, Memo, Outcome, RunId,
};
use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Kind, Result};

/// Something for the executor's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// What came of a send or an invoke.
    Answer {
        /// The caller's number for it.
        ticket: u64,
        /// What it is told.
        answer: Answer,
    },
    /// A piece of work.
    Work(Box<Offer>),
    /// Memos came while the run's code executes.
    Memos {
        /// The run.
        run: RunId,
        /// The epoch of its code.
        epoch: Epoch,
        /// How many memos are seen once these are taken in.
        memo_count: u32,
        /// Those not seen yet.
        memos: Vec<Memo>,
    },
    /// A report is on disk.
    Confirm {
        /// The run.
        run: RunId,
        /// The epoch it was under.
        epoch: Epoch,
        /// Which report.
        number: u32,
        /// How many memos the run has, all of them seen.
        memo_count: u32,
    },
    /// Whatever executes under this epoch is to be dropped.
    Abandon {
        /// The run.
        run: RunId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A watched run has ended.
    Ended {
        /// The run.
        run: RunId,
        /// The event that started it.
        event: EventId,
        /// How.
        ending: Ending,
        /// Its result or its error.
        outcome: Outcome,
    },
    /// A watched run does not exist.
    Unknown(RunId),
    /// A run that is live with the executor has ended, as failed with this error.
    Finished(RunId, Option<Bytes>),
    /// There may be something new on a channel that is listened to.
    Stirred(String),
    /// The engine has stopped; nothing comes after this.
    Poisoned(Error),
    /// There is room for requests again.
    Room,
    /// What was waited for by this ticket has come: nothing to do, or the end of a clock's way.
    Idle(u64),
}

/// A piece of work with all that the executor does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who is to do it.
    pub executor: ExecutorId,
    /// The run.
    pub run: RunId,
    /// What its reports must carry.
    pub epoch: Epoch,
    /// The function.
    pub function: FunctionId,
    /// The step to execute; `None`: the code between steps.
    pub step: Option<String>,
    /// How often this piece was started before.
    pub attempt: u32,
    /// How often a step inside the code between steps may have been started before.
    pub step_attempt: u32,
    /// How often this piece has failed, which is what its tries are counted by.
    pub failure_count: u32,
    /// How many memos are seen once these are taken in.
    pub memo_count: u32,
    /// The events that started the run; empty where the run is live with the executor.
    pub events: Vec<(EventId, EventRecord)>,
    /// All of its memos, or those that are new to the executor.
    pub memos: Vec<Memo>,
    /// Names of the steps without a memo.
    pub pending: Vec<String>,
}

/// See the file's first line.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    arrived: Condvar,
    bell: UnixStream,
    ear: UnixStream,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    /// Executors that have said that they connect, while what comes is still for those before them.
    awaited_count: u32,
    is_parked: bool,
    is_rung: bool,
    is_closed: bool,
}

impl Item {
    /// Of no use to an executor other than the one it was made for.
    fn is_for_one_executor(&self) -> bool {
        match self {
            Self::Work(_)
            | Self::Memos { .. }
            | Self::Confirm { .. }
            | Self::Abandon { .. }
            | Self::Finished(..) => true,
            Self::Answer { .. }
            | Self::Ended { .. }
            | Self::Unknown(_)
            | Self::Stirred(_)
            | Self::Poisoned(_)
            | Self::Room
            | Self::Idle(_) => false,
        }
    }
}

impl Outbox {
    pub(crate) fn new() -> Result<Self> {
        let pair = || -> std::io::Result<_> {
            let (bell, ear) = UnixStream::pair()?;
            bell.set_nonblocking(true)?;
            ear.set_nonblocking(true)?;
            Ok((bell, ear))
        };
        let (bell, ear) = pair()
            .map_err(|error| Error::new(Kind::Io, format!("no socket pair to wake by: {error}")))?;
        Ok(Self { state: Mutex::default(), arrived: Condvar::new(), bell, ear })
    }

    pub(crate) fn put(&self, items: impl IntoIterator<Item = Item>) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        let is_awaited = state.awaited_count > 0;
        state.queue.extend(items.into_iter().filter(|i| !is_awaited || !i.is_for_one_executor()));
        self.wake(&mut state);
    }

    /// An executor says that it connects: what is here for the one before it, and what still comes until
    /// [`Self::connected`], reaches nobody.
    pub(crate) fn await_executor(&self) {
        let mut state = self.state.lock();
        state.awaited_count = state.awaited_count.saturating_add(1);
        state.queue.retain(|item| !item.is_for_one_executor());
    }

    /// What comes from here on is for an executor that was awaited.
    pub(crate) fn connected(&self) {
        let mut state = self.state.lock();
        state.awaited_count = state.awaited_count.saturating_sub(1);
    }

    /// The last item there will be.
    pub(crate) fn close(&self, last: Option<Item>) {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.is_closed = true;
            state.queue.extend(last);
            self.wake(&mut state);
            self.arrived.notify_all();
        }
    }

    fn wake(&self, state: &mut State) {
        if state.is_parked && !state.queue.is_empty() {
            state.is_parked = false;
            state.is_rung = true;
            // A full socket already is readable, and nobody can be told of any other error.
            let _written = (&self.bell).write(&[1]);
            self.arrived.notify_all();
        }
    }

    /// What has come, in order, at most so many.
    pub fn drain(&self, limit: usize) -> Vec<Item> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_rung) {
            // Nothing to read is as good as read.
            let _read = (&self.ear).read(&mut [0; 16]);
        }
        let count = limit.min(state.queue.len());
        state.queue.drain(..count).collect()
    }

    /// To be woken from now on. False: there is something already.
    pub fn park(&self) -> bool {
        let mut state = self.state.lock();
        state.is_parked = state.queue.is_empty();
        state.is_parked
    }

    /// Waits for items up to `at_most`; empty where none came, or none will.
    pub fn receive(&self, at_most: Duration) -> Vec<Item> {
        let mut state = self.state.lock();
        if state.queue.is_empty() && !state.is_closed {
            state.is_parked = true;
            let _timed_out = self.arrived.wait_for(&mut state, at_most);
        }
        std::mem::take(&mut state.queue).into()
    }

    /// True where everything has been taken and whoever takes has nothing else to do.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.is_parked && state.queue.is_empty()
    }

    /// True where nothing waits and nothing will come any more.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_closed && state.queue.is_empty()
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Readable when something has come while parked.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_an_executor_does_not_reach_the_one_after_it() {
        let outbox = Outbox::new().unwrap();
        let run = RunId::from_bytes([1; 16]);
        let put = |epoch| outbox.put([Item::Abandon { run, epoch: Epoch(epoch) }, Item::Idle(7)]);
        put(1);
        outbox.await_executor();
        put(2);
        outbox.await_executor();
        put(3);
        outbox.connected();
        put(4); // for the second, and the third has come already
        outbox.connected();
        put(5);
        let mut left = outbox.drain(10);
        assert_eq!(
            left.pop().zip(left.pop()),
            Some((Item::Idle(7), Item::Abandon { run, epoch: Epoch(5) }))
        );
        assert_eq!(left, [const { Item::Idle(7) }; 4], "what is for anyone");
    }
}
