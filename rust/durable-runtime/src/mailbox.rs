//! What waits for the shard's thread: bounded for what may be refused, never lossy for reports.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{Command, Epoch, LimitView, NewEvent, Op, Report, Rerun, RunId, WaitView};
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
    /// Tell when there is something new on this channel.
    Subscribe(Listener, String),
    Unsubscribe(Listener, String),
    /// Tell when no run is left that will go on by itself.
    Join(u64),
    /// Whoever waited under this ticket no longer does: what it advances goes no farther.
    Unjoin(u64),
    /// Move the virtual clock by so much, then tell.
    Advance(u64, Duration),
    /// The executor has forgotten these runs.
    Dropped(Vec<RunId>),
    /// The executor was given a difference to what it has forgotten.
    Reload(RunId, Epoch),
    /// Look at the shard as it stands.
    Look(Look),
    /// Say when nothing executes.
    Settle(mpsc::Sender<()>),
    /// Finish and end the thread.
    Close,
}

/// Who listens to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listener {
    /// Whoever takes from the outbox of the executor in this process.
    Local,
    /// Whoever takes from that of all other executors.
    Remote,
}

/// What is to be looked at, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Look {
    /// How a function's limits are used, so many values of each at most.
    Limits(String, usize, mpsc::Sender<Option<Vec<LimitView>>>),
    /// What a live run waits for.
    WaitingOn(RunId, mpsc::Sender<Option<Vec<WaitView>>>),
}

/// So many bytes may wait, whatever they are of, before requests are refused.
const MAX_WAITING_BYTES: usize = 128 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
    async_room: Notify,
    max_count: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    /// Events, and reports.
    count: usize,
    bytes: usize,
    is_room_wanted: bool,
    is_nudged: bool,
    is_closed: bool,
}

impl Message {
    /// Nothing else may be in its turn: see [`Command::is_alone`].
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Command(command) if command.is_alone())
    }

    /// How much of the mailbox, and of a turn, it takes: in number and in bytes. A report, which is never
    /// refused, takes what requests then wait for.
    pub(crate) fn weight(&self) -> (usize, usize) {
        match self {
            Self::Command(Command::AcceptEvents { events, .. }) => {
                (events.len().max(1), events.iter().map(|(event, _)| size(event)).sum())
            }
            Self::Command(
                Command::InvokeFunction { data, .. }
                | Command::SendSignal { data, .. }
                | Command::PutSchedule { data, .. },
            ) => (1, data.len()),
            Self::Command(Command::Publish { message, .. }) => (1, message.data.len()),
            Self::Command(Command::Report(report)) => (1, size_of_report(report)),
            Self::Command(Command::RerunRun { rerun, .. }) => (1, size_of_rerun(rerun)),
            Self::Command(
                Command::RegisterFunctions { .. }
                | Command::PauseFunction { .. }
                | Command::CancelRun { .. }
                | Command::CancelEvent { .. }
                | Command::ChangeSchedule { .. }
                | Command::ConnectExecutor { .. }
                | Command::ServeFunctions { .. }
                | Command::DrainExecutors
                | Command::WakeRun { .. }
                | Command::LoadTimers { .. }
                | Command::LookBack { .. }
                | Command::TellEnd { .. }
                | Command::Expire { .. },
            )
            | Self::Watch(_)
            | Self::Unwatch(_)
            | Self::Subscribe(..)
            | Self::Unsubscribe(..)
            | Self::Join(_)
            | Self::Unjoin(_)
            | Self::Advance(..)
            | Self::Dropped(_)
            | Self::Reload(..)
            | Self::Look(_)
            | Self::Settle(_)
            | Self::Close => (0, 0),
        }
    }
}

fn size(event: &NewEvent) -> usize {
    event.name.len().saturating_add(event.data.len())
}

fn size_of_rerun(rerun: &Rerun) -> usize {
    let output = rerun.from.as_ref().and_then(|from| from.output.as_ref());
    let data = rerun.data.as_ref().map_or(0, Bytes::len);
    output.map_or(0, Bytes::len).saturating_add(data)
}

fn size_of_report(report: &Report) -> usize {
    let size = |op: &Op| match op {
        Op::StepRun { name, data: body } | Op::StepError { name, error: body, .. } => {
            name.len().saturating_add(body.len())
        }
        Op::StepPlanned { name } | Op::Sleep { name, .. } => name.len(),
        Op::WaitForSignal { name, signal, .. } => name.len().saturating_add(signal.len()),
        Op::WaitForEvent { name, event, expression, .. } => {
            let text = expression.as_ref().map_or(0, String::len);
            name.len().saturating_add(event.len()).saturating_add(text)
        }
        Op::InvokeFunction { name, function, data, .. } => {
            name.len().saturating_add(function.len()).saturating_add(data.len())
        }
        Op::RunComplete { data: body } | Op::RunError { error: body, .. } => body.len(),
    };
    report.ops.iter().map(size).sum()
}

impl Mailbox {
    pub(crate) fn new(max_count: usize) -> Self {
        let state = Mutex::new(State::default());
        Self {
            state,
            arrived: Condvar::new(),
            room: Condvar::new(),
            async_room: Notify::new(),
            max_count: max_count.max(1),
        }
    }

    /// Takes all of `reports` and as many of `requests` as there is room for; says how many that were. The
    /// reports take no room from requests that come with them, or an executor with enough of the ones would
    /// never get rid of the others.
    pub(crate) fn put(
        &self,
        reports: impl IntoIterator<Item = Message>,
        requests: impl IntoIterator<Item = Message>,
    ) -> Result<usize> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::closed());
        }
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for report in reports {
            let weight = report.weight();
            (count, bytes) = (count.saturating_add(weight.0), bytes.saturating_add(weight.1));
            state.queue.push_back(report);
        }
        let mut taken = 0_usize;
        for request in requests {
            if !self.has_room(&state) {
                state.is_room_wanted = true;
                break;
            }
            state.add(request);
            taken = taken.saturating_add(1);
        }
        state.weigh(count, bytes);
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
        state.count < self.max_count && state.bytes < MAX_WAITING_BYTES
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
        (state.count, state.bytes) = (0, 0);
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
        let mut state = self.state.lock();
        state.is_closed = true;
        // Nobody will look any more: who waits for what is seen hears of it as these go.
        state.queue.retain(|message| !matches!(message, Message::Look(_)));
        drop(state);
        self.arrived.notify_all();
        self.room.notify_all();
        self.async_room.notify_waiters();
    }
}

impl State {
    fn add(&mut self, message: Message) {
        let (count, bytes) = message.weight();
        self.weigh(count, bytes);
        self.queue.push_back(message);
    }

    fn weigh(&mut self, count: usize, bytes: usize) {
        self.count = self.count.saturating_add(count);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use durable_core::Ticket;

    use super::*;

    fn report(bytes: usize) -> Message {
        let ops = vec![Op::RunComplete { data: Bytes::from(vec![0; bytes]) }];
        let run = RunId::from_bytes([1; 16]);
        let report = Report { run, epoch: Epoch(1), number: 0, ops, parked_at: None };
        Message::Command(Command::Report(report))
    }

    fn request() -> Message {
        let events = vec![(NewEvent::default(), None)];
        Message::Command(Command::AcceptEvents { ticket: Ticket(1), events, source: None })
    }

    /// By number and by bytes.
    #[test]
    fn reports_are_always_taken_and_requests_wait_for_them() {
        for (max_count, reports) in [(3, vec![0; 3]), (1_000, vec![MAX_WAITING_BYTES])] {
            let mailbox = Mailbox::new(max_count);
            mailbox.put(reports.into_iter().map(report), []).unwrap();
            assert!(mailbox.try_put(request()).unwrap().is_some(), "room for a request");
            assert_eq!(mailbox.put([report(1)], [request()]), Ok(0));
            let waiting = mailbox.len();
            let mut taken = VecDeque::new();
            assert!(mailbox.take(&mut taken, Duration::ZERO), "nobody is told of room");
            assert_eq!(taken.len(), waiting);
            assert!(mailbox.try_put(request()).unwrap().is_none(), "no room in an empty mailbox");
        }
    }

    #[test]
    fn however_much_an_executor_reports_its_requests_get_through() {
        let mailbox = Mailbox::new(1);
        let pass = || mailbox.put([report(1), report(1)], [request(), request()]);
        for _ in 0..3 {
            assert_eq!(pass(), Ok(1));
            assert_eq!(pass(), Ok(0));
            mailbox.take(&mut VecDeque::new(), Duration::ZERO);
        }
    }
}
