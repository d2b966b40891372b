//! What waits for the shard's thread: bounded for what may be refused, never lossy for reports.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;

use durable_core::{Command, Epoch, NewEvent, RunId};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::error::{Error, Result};

/// Something for the shard's thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// For the core. Of events: what the store remembers of their ids is filled in on the way.
    Command(Command),
    /// Tell when these runs end, or that they have.
    Watch(Vec<RunId>),
    Unwatch(Vec<RunId>),
    /// Tell when no run is left that will go on by itself.
    Join(u64),
    /// Move the virtual clock by so much, then tell.
    Advance(u64, Duration),
    /// The executor has forgotten these runs.
    Dropped(Vec<RunId>),
    /// The executor was given a difference to what it has forgotten.
    Reload(RunId, Epoch),
    /// Say when nothing executes.
    Settle(mpsc::Sender<()>),
    /// Finish and end the thread.
    Close,
}

/// Bytes of events that may wait, whatever their number.
const MAX_WAITING_BYTES: usize = 128 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
    async_room: Notify,
    max_events: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    events: usize,
    bytes: usize,
    is_room_wanted: bool,
    is_nudged: bool,
    is_closed: bool,
}

impl Message {
    /// How much of the mailbox, and of a turn, it takes: events and their bytes. Nothing for what may
    /// never be refused.
    pub(crate) fn weight(&self) -> (usize, usize) {
        match self {
            Self::Command(Command::AcceptEvents { events, .. }) => {
                (events.len().max(1), events.iter().map(|(event, _)| size(event)).sum())
            }
            Self::Command(Command::InvokeFunction { data, .. }) => (1, data.len()),
            Self::Command(
                Command::RegisterFunctions { .. }
                | Command::ConnectExecutor { .. }
                | Command::DrainExecutor
                | Command::Report(_)
                | Command::WakeRun { .. }
                | Command::LoadTimers { .. }
                | Command::Expire { .. },
            )
            | Self::Watch(_)
            | Self::Unwatch(_)
            | Self::Join(_)
            | Self::Advance(..)
            | Self::Dropped(_)
            | Self::Reload(..)
            | Self::Settle(_)
            | Self::Close => (0, 0),
        }
    }
}

fn size(event: &NewEvent) -> usize {
    event.name.len().saturating_add(event.data.len())
}

impl Mailbox {
    pub(crate) fn new(max_events: usize) -> Self {
        let state = Mutex::new(State::default());
        Self {
            state,
            arrived: Condvar::new(),
            room: Condvar::new(),
            async_room: Notify::new(),
            max_events: max_events.max(1),
        }
    }

    /// Takes all of `reports` and as many of `requests` as there is room for; says how many that were.
    pub(crate) fn put(
        &self,
        reports: impl IntoIterator<Item = Message>,
        requests: impl IntoIterator<Item = Message>,
    ) -> Result<usize> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::closed());
        }
        state.queue.extend(reports);
        let mut taken = 0_usize;
        for request in requests {
            if !self.has_room(&state) {
                state.is_room_wanted = true;
                break;
            }
            state.add(request);
            taken = taken.saturating_add(1);
        }
        drop(state);
        self.arrived.notify_one();
        Ok(taken)
    }

    /// Takes one request, and waits until there is room for it.
    pub(crate) fn put_waiting(&self, request: Message) -> Result<()> {
        let mut state = self.state.lock();
        while !state.is_closed && !self.has_room(&state) {
            self.room.wait(&mut state);
        }
        if state.is_closed {
            return Err(Error::closed());
        }
        state.add(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes one request, or gives it back where there is no room; see [`Self::room`].
    pub(crate) fn try_put(&self, request: Message) -> Result<Option<Message>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::closed());
        }
        if !self.has_room(&state) {
            return Ok(Some(request));
        }
        state.add(request);
        drop(state);
        self.arrived.notify_one();
        Ok(None)
    }

    /// Comes when there is room again, or when there never will be.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.async_room.notified()
    }

    /// Full means: no more. A single batch larger than the whole mailbox still finds it empty some day.
    fn has_room(&self, state: &State) -> bool {
        state.events < self.max_events && state.bytes < MAX_WAITING_BYTES
    }

    /// Moves what has come into `into`, waiting for it up to `at_most`. True: someone who was refused is to be
    /// told that there is room.
    pub(crate) fn take(&self, into: &mut VecDeque<Message>, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if state.queue.is_empty() && !state.is_nudged && !at_most.is_zero() {
            let _timed_out = self.arrived.wait_for(&mut state, at_most);
        }
        state.is_nudged = false;
        into.append(&mut state.queue);
        (state.events, state.bytes) = (0, 0);
        self.room.notify_all();
        self.async_room.notify_waiters();
        std::mem::take(&mut state.is_room_wanted)
    }

    /// Wakes the shard's thread to look around, with nothing for it.
    pub(crate) fn nudge(&self) {
        self.state.lock().is_nudged = true;
        self.arrived.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// From now on nothing is taken.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_all();
        self.room.notify_all();
        self.async_room.notify_waiters();
    }
}

impl State {
    fn add(&mut self, message: Message) {
        let (events, bytes) = message.weight();
        self.events = self.events.saturating_add(events);
        self.bytes = self.bytes.saturating_add(bytes);
        self.queue.push_back(message);
    }
}
