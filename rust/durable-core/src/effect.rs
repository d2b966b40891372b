//! What goes out, once the turn that said it is on disk. Imperative to the outside.

use bytes::Bytes;

use crate::event::Skip;
use crate::id::{Epoch, EventId, ExecutorId, FunctionId, RunId, Ticket};
use crate::run::Ending;
use crate::step::Outcome;

/// Something the outside is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell a caller.
    Answer {
        /// Who asked.
        ticket: Ticket,
        /// What came of it.
        answer: Answer,
    },
    /// Hand a piece of work to the executor.
    OfferWork(Work),
    /// A memo came while the run's code executes: give it to that code. Also sent, before the
    /// confirmation, where the stretch's own inline step failed for good: the memo holds its error.
    DeliverMemo {
        /// Who has that code.
        executor: ExecutorId,
        /// The run.
        run: RunId,
        /// The epoch of the stretch.
        epoch: Epoch,
        /// How many memos the run has now.
        memo_count: u32,
    },
    /// A report of a stretch that goes on is on disk: what waited for it may go on. An inline step it
    /// told of is remembered, or, where it failed and no [`Self::DeliverMemo`] came, waits for its next
    /// try.
    ConfirmReport {
        /// Who has reported.
        executor: ExecutorId,
        /// The run.
        run: RunId,
        /// The epoch of the work.
        epoch: Epoch,
        /// Which report of that epoch.
        number: u32,
        /// How many memos the run has now.
        memo_count: u32,
    },
    /// A report counted for nothing, or another executor has the function now: whatever executes under this epoch is to
    /// be dropped.
    AbandonWork {
        /// The run.
        run: RunId,
        /// The epoch of the report.
        epoch: Epoch,
    },
    /// A run has ended.
    AnnounceEnd {
        /// The run.
        run: RunId,
        /// Its function.
        function: FunctionId,
        /// The event that started it: of a debounced one, the last that came.
        event: EventId,
        /// How it ended.
        ending: Ending,
        /// Its result or its error.
        outcome: Outcome,
    },
    /// Read timers from the store and answer with [`crate::Command::LoadTimers`] as the next command.
    /// A read: it waits for no commit, but sees what this turn has written.
    LoadTimers {
        /// The first key to read.
        from: Bytes,
        /// The key behind the last to read.
        before: Bytes,
        /// At most so many.
        limit: usize,
    },
    /// Read events that a wait may have missed and answer with [`crate::Command::LookBack`], at leisure.
    LookBack {
        /// The run that waits.
        run: RunId,
        /// The number of its step.
        number: u32,
        /// The first key to read.
        from: Bytes,
        /// The key behind the last to read.
        before: Bytes,
        /// At most so many.
        limit: usize,
    },
    /// Read how a run has ended and what had started it, and answer with [`crate::Command::TellEnd`]. A read: it
    /// waits for no commit, but sees what this turn has written.
    FindEnd {
        /// The run.
        run: RunId,
        /// The keys of its end and of its events: the answer has their records in this order.
        keys: Vec<Bytes>,
    },
    /// Read records that may be too old to keep and answer with [`crate::Command::Expire`], at leisure.
    FindExpired {
        /// The first key to read.
        from: Bytes,
        /// The key behind the last to read.
        before: Bytes,
        /// At most so many.
        limit: usize,
    },
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The functions are registered; their numbers, in the order asked.
    Registered(Vec<FunctionId>),
    /// The events are accepted; their ids, in the order asked.
    Accepted(Vec<EventId>),
    /// The run was made, by this event.
    Started(RunId, EventId),
    /// What was asked for had been asked for before and was not done again: this run was made for it then, and this
    /// event came first.
    StartedBefore(RunId, EventId),
    /// The function is paused now, or goes on.
    Paused,
    /// The run was called off; false where no such run lives.
    Cancelled(bool),
    /// The event was called off for so many runs.
    EventCancelled(u32),
    /// This run was given the signal.
    Signalled(RunId),
    /// The message is kept under this number of its channel.
    Published(u64),
    /// The schedule is as was asked.
    Scheduled,
    /// Nothing was done, for this reason.
    Refused(Refusal),
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The words are wrong: a setting, an event, a name.
    Invalid(String),
    /// It is too large.
    TooLarge(String),
    /// There is no such function.
    UnknownFunction(String),
    /// There is no such run, event, step or schedule.
    NotFound(String),
    /// Flow control let the run not be started.
    Skipped(String),
    /// Nobody waits for the signal.
    NoWaiter(String),
}

impl Refusal {
    /// There is no function of this name.
    pub(crate) fn no_function(name: &str) -> Self {
        Self::UnknownFunction(format!(
            "there is no function '{name}' in this store: is its application registered?"
        ))
    }

    /// Flow control did not let a function of this name start.
    pub(crate) fn skipped(name: &str, skip: Skip) -> Self {
        Self::Skipped(format!("'{name}' was not started: {}", skip.reason()))
    }

    /// It in words.
    pub(crate) fn text(&self) -> &str {
        let (Self::Invalid(text)
        | Self::TooLarge(text)
        | Self::UnknownFunction(text)
        | Self::NotFound(text)
        | Self::Skipped(text)
        | Self::NoWaiter(text)) = self;
        text
    }
}

/// A piece of work: a stretch of a run's code, or one step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Who is to do it.
    pub executor: ExecutorId,
    /// The run.
    pub run: RunId,
    /// What its reports must carry.
    pub epoch: Epoch,
    /// The function.
    pub function: FunctionId,
    /// The event that started the run.
    pub event: EventId,
    /// The events behind that one, where a batch started it.
    pub rest: Vec<EventId>,
    /// The step to execute; `None`: the code between steps.
    pub step: Option<String>,
    /// How often this piece was started before.
    pub attempt: u32,
    /// How often a step inside the code between steps may have been started before.
    pub step_attempt: u32,
    /// How often this piece has failed: what decides whether it is tried again. Starts that a crash cut off are not
    /// among these.
    pub failure_count: u32,
    /// How many memos the run has.
    pub memo_count: u32,
    /// Names of the steps that were asked for and have no memo: the code waits for them and does not
    /// ask again.
    pub pending: Vec<String>,
}
