//! What can come in. Imperative; each says all that is needed to obey it.

use std::time::Duration;

use bytes::Bytes;

use crate::channel::NewMessage;
use crate::event::{EventRecord, NewEvent};
use crate::function::FunctionSpec;
use crate::id::{Epoch, EventId, ExecutorId, RunId, Ticket};
use crate::origin::Origin;
use crate::schedule::ScheduleSpec;
use crate::time::Timestamp;
use crate::write::Record;

/// Something the shard is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An application says what its functions are now. Those of it that are missing are archived.
    RegisterFunctions {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The application.
        app: String,
        /// All of its functions.
        functions: Vec<FunctionSpec>,
    },
    /// Accept events: all of them or none.
    AcceptEvents {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The events, in order, each with what the store remembers of its sender's id
        /// (see [`crate::write::dedup_key`]); `None` where it has no id or nothing is remembered.
        events: Vec<(NewEvent, Option<Record>)>,
        /// Where they come from and how far that source has got with them: a batch whose position is
        /// not beyond the source's last is answered and otherwise ignored.
        source: Option<(String, u64)>,
    },
    /// Start one run of one function, whatever its triggers.
    InvokeFunction {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The function's name.
        function: String,
        /// The data it is given, in an event of the name `durable/function.invoked`.
        data: Bytes,
        /// Only where this has not started a run of it before.
        once: Option<Once>,
    },
    /// Pause a function, or let it go on.
    PauseFunction {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The function's name.
        function: String,
        /// Paused, or not.
        is_paused: bool,
    },
    /// Call off a run, wherever it stands.
    CancelRun {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The run.
        run: RunId,
    },
    /// Start a run that repeats another. See [`Self::is_alone`].
    RerunRun {
        /// Who waits for the answer.
        ticket: Ticket,
        /// What is repeated, and from where on.
        rerun: Box<Rerun>,
    },
    /// Call off the runs of an event that have not started. See [`Self::is_alone`].
    CancelEvent {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The event.
        event: EventId,
        /// What the store has of it; `None` where there is no such event.
        record: Option<Box<EventRecord>>,
    },
    /// Resume the run that waits for a signal.
    SendSignal {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The signal's name.
        signal: String,
        /// What its waiter is given, JSON.
        data: Bytes,
    },
    /// Publish a message on its channel.
    Publish {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The message.
        message: NewMessage,
        /// The channel's record, where the store has one (see [`crate::write::channel_key`]).
        known: Option<Bytes>,
    },
    /// Start runs of a function by the clock from now on; what has this id already is replaced.
    PutSchedule {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The schedule's id.
        id: String,
        /// The function's name.
        function: String,
        /// When.
        spec: ScheduleSpec,
        /// What its events' data holds beside what the engine says in it: a JSON object.
        data: Bytes,
    },
    /// Do something with a schedule that a caller made.
    ChangeSchedule {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The schedule's id.
        id: String,
        /// What.
        change: ScheduleChange,
    },
    /// An executor is ready for work. All that was with the one of this number before it is lost and queued again.
    ConnectExecutor {
        /// Which.
        executor: ExecutorId,
        /// How many pieces of work it takes at a time.
        capacity: u32,
        /// The functions it can execute, by name.
        functions: Vec<String>,
    },
    /// An executor that is connected takes other functions from now on; what it has, it still reports. A function
    /// that another had is taken from that one, and what that one has of it is lost: it is told to drop it.
    ServeFunctions {
        /// Which.
        executor: ExecutorId,
        /// The functions it can execute, by name.
        functions: Vec<String>,
    },
    /// No executor wants more work; what they have, they still report.
    DrainExecutors,
    /// What an executor says of work it was offered.
    Report(Report),
    /// The code of a run whose stretch is parked would go on by itself: a time-out of its own fired, or
    /// something came that the engine knows nothing of. It is given a slot in its turn.
    WakeRun {
        /// The run.
        run: RunId,
    },
    /// The answer to [`crate::Effect::LoadTimers`]: the timers asked for, in the order of their keys.
    LoadTimers {
        /// The timers.
        timers: Vec<Record>,
        /// False where there were more than the limit.
        is_complete: bool,
    },
    /// The answer to [`crate::Effect::LookBack`]: events that a wait may have missed, in the order in which they
    /// came.
    LookBack {
        /// The run that waits.
        run: RunId,
        /// The number of its step.
        number: u32,
        /// The key behind the last that was asked for.
        before: Bytes,
        /// The events.
        records: Vec<Record>,
        /// False where there were more than the limit.
        is_complete: bool,
    },
    /// The answer to [`crate::Effect::FindEnd`]: those who listen are told.
    TellEnd {
        /// The run.
        run: RunId,
        /// The records asked for.
        records: Vec<Record>,
    },
    /// The answer to [`crate::Effect::FindExpired`]: records that may be too old to keep.
    Expire {
        /// The first key of the range that was asked for.
        from: Bytes,
        /// The key behind the last of that range.
        before: Bytes,
        /// The records there, in the order of their keys.
        records: Vec<Record>,
        /// False where there were more than the limit.
        is_complete: bool,
    },
}

impl Op {
    /// Where the run's own event is to be put, if this may read it.
    pub fn own_event(&mut self) -> Option<&mut Option<Record>> {
        if let Self::WaitForEvent { expression: Some(text), own, .. } = self {
            text.contains("event").then_some(own)
        } else {
            None
        }
    }

    /// It asks for a step, and nothing has happened yet.
    pub(crate) const fn is_asked_for(&self) -> bool {
        match self {
            Self::StepPlanned { .. }
            | Self::Sleep { .. }
            | Self::WaitForSignal { .. }
            | Self::WaitForEvent { .. }
            | Self::InvokeFunction { .. } => true,
            Self::StepRun { .. }
            | Self::StepError { .. }
            | Self::RunComplete { .. }
            | Self::RunError { .. } => false,
        }
    }
}

impl Command {
    /// It carries what the store has of something that another command may change: it is read when all turns
    /// before are in the store, and no other command is in its turn.
    pub const fn is_alone(&self) -> bool {
        match self {
            Self::RerunRun { .. } | Self::CancelEvent { .. } => true,
            Self::RegisterFunctions { .. }
            | Self::AcceptEvents { .. }
            | Self::InvokeFunction { .. }
            | Self::PauseFunction { .. }
            | Self::CancelRun { .. }
            | Self::SendSignal { .. }
            | Self::Publish { .. }
            | Self::PutSchedule { .. }
            | Self::ChangeSchedule { .. }
            | Self::ConnectExecutor { .. }
            | Self::ServeFunctions { .. }
            | Self::DrainExecutors
            | Self::Report(_)
            | Self::WakeRun { .. }
            | Self::LoadTimers { .. }
            | Self::LookBack { .. }
            | Self::TellEnd { .. }
            | Self::Expire { .. } => false,
        }
    }
}

/// A caller's own id of what it asks for: it counts as a sender's id of an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The id, which the event has too.
    pub id: String,
    /// What the store remembers of it (see [`crate::write::dedup_key`]).
    pub known: Option<Record>,
}

impl Once {
    /// Of which nothing is known yet.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), known: None }
    }
}

/// A run that is to be repeated, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// The run, live or ended.
    pub run: RunId,
    /// From where on; `None`: all of it.
    pub from: Option<FromStep>,
    /// Other data for its event: a JSON object.
    pub data: Option<Bytes>,
    /// Only where no later run of its event repeats it yet.
    pub is_once: bool,
    /// What the store has of the run; `None` where there is no such run.
    pub origin: Option<Origin>,
}

/// The first step of a run that executes again. Those that were recorded before it are taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromStep {
    /// Its name.
    pub name: String,
    /// Its result, JSON: it is taken over too, with this.
    pub output: Option<Bytes>,
}

/// What is done with a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleChange {
    /// Its ticks pass by until it is resumed.
    Pause,
    /// It goes on with the first tick from now.
    Resume,
    /// It is no more.
    Delete,
    /// One run at once, beside its ticks.
    Trigger,
}

/// What an executor says of one piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The epoch the work was offered under.
    pub epoch: Epoch,
    /// Which report of this epoch it is, from 0. One already taken is ignored; one that skips a number
    /// makes the work count as lost, so that it is offered again.
    pub number: u32,
    /// What happened, in order.
    pub ops: Vec<Op>,
    /// `Some(n)`: the code between steps now waits, having been given `n` memos, and gives its slot
    /// back. `None`: it goes on, or the ops end it, or the work was a single step.
    pub parked_at: Option<u32>,
}

/// One thing that happened while a handler or a step executed. The words of the SDK protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A step's function returned: inside the stretch that came upon it, or as work of its own.
    StepRun {
        /// The step's name.
        name: String,
        /// Its result, JSON.
        data: Bytes,
    },
    /// A step's function raised.
    StepError {
        /// The step's name.
        name: String,
        /// The error, a JSON object.
        error: Bytes,
        /// Whether and when it is tried again.
        retry: Retry,
    },
    /// The code came upon a step that shall have a slot of its own.
    StepPlanned {
        /// The step's name.
        name: String,
    },
    /// The code sleeps.
    Sleep {
        /// The step's name.
        name: String,
        /// Until when.
        until: Until,
    },
    /// The code waits for a signal.
    WaitForSignal {
        /// The step's name.
        name: String,
        /// The signal's name.
        signal: String,
        /// Until when at the latest.
        until: Until,
        /// What happens where another run waits for it.
        on_conflict: OnConflict,
    },
    /// The code waits for an event.
    WaitForEvent {
        /// The step's name.
        name: String,
        /// The event's name.
        event: String,
        /// What it must meet, CEL over `event` and `async`; nothing: any does.
        expression: Option<String>,
        /// The run's own event as the store has it, where the expression may read it.
        own: Option<Record>,
        /// Until when at the latest.
        until: Until,
        /// From where on events count.
        since: Since,
        /// The wait for an event behind which this piece of the code goes on, by its step's name.
        behind: Option<String>,
    },
    /// The code starts a run of a function and waits for its end.
    InvokeFunction {
        /// The step's name.
        name: String,
        /// The function's name.
        function: String,
        /// The data it is given, in an event of the name `durable/function.invoked`.
        data: Bytes,
        /// Until when at the latest; the run it started goes on.
        until: Until,
    },
    /// The handler returned.
    RunComplete {
        /// Its result, JSON.
        data: Bytes,
    },
    /// The handler raised.
    RunError {
        /// The error, a JSON object.
        error: Bytes,
        /// Whether and when the code is tried again.
        retry: Retry,
        /// Whether a step had begun inside this stretch that it does not report: it counts as started.
        has_left_step: bool,
    },
}

/// What an error says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// As the function's back-off table has it.
    Backoff,
    /// After so long.
    After(Duration),
    /// Not at all.
    Never,
}

/// What happens where a signal has a waiter already: it has one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The run that asked last fails.
    Fail,
    /// The one before it waits no longer: it is given nothing.
    Replace,
}

/// From where on a wait sees events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From when the run began to do what it does now: when it started, or last stood still.
    Stretch,
    /// From the run's own event on.
    Run,
}

/// The end of a sleep or of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So long after the shard learns of it.
    For(Duration),
    /// This moment.
    At(Timestamp),
}
