//! The scheduler as a pure state machine: it decides, and does nothing else.
//!
//! The life of one event: it comes in as a [`Command`]; [`Shard::handle`] admits it, which makes runs;
//! [`Shard::dispatch`] hands them out as [`Work`]; executors report [`Op`]s; steps are remembered, sleeps
//! become timers, [`Shard::tick`] ends them; a run's end archives it. What a turn changes leaves as
//! [`Write`]s, and once those are on disk its [`Effect`]s leave too.
//!
//! Absent here: clocks, chance, threads, files, async, and maps that are walked in no order. The same
//! commands at the same times give the same writes and effects, byte for byte.

mod id;
mod time;

mod channel;
mod event;
mod function;
mod origin;
mod run;
mod schedule;
mod step;
mod system;

mod command;
mod effect;
pub mod write;

pub mod cron;
mod expr;
pub mod flow;
mod map;
mod waits;

mod shard;

pub use channel::{ChannelRecord, MessageRecord, NewMessage, Ring, channel_id};
pub use command::{
    Command, FromStep, OnConflict, Once, Op, Report, Rerun, Retry, ScheduleChange, Since, Until,
};
pub use effect::{Answer, Effect, Refusal, Work};
pub use event::{
    DedupRecord, EventRecord, MAX_EVENT_BYTES, MAX_EVENT_DEPTH, MAX_NAME_BYTES, NewEvent, Skip,
};
pub use expr::{EventView, Expression, FieldPath, Given, Key, Known, Mistake, Scope};
pub use flow::backoff::Backoff;
pub use flow::policy::{
    Batch, CancelOn, Concurrency, Debounce, Policies, RateLimit, Singleton, SingletonMode,
    Throttle, Timeouts,
};
pub use flow::timeouts::Deadline;
pub use function::{FunctionRecord, FunctionSpec};
pub use id::{Epoch, EventId, ExecutorId, FunctionId, RunId, Ticket};
pub use origin::Origin;
pub use run::{Ending, Gathering, History, RunEnd, RunRecord, RunStatus, RunView, Stretch};
pub use schedule::{
    CatchUp, CronTrigger, MAX_SCHEDULE_BYTES, Rhythm, ScheduleRecord, ScheduleSpec, TIMER_EVENT,
    Tick, Ticks,
};
pub use shard::{
    Counts, FunctionCounts, LimitView, Limits, ParkedCounts, Portrait, Settings, Shard, Turn,
    WaitView,
};
pub use step::{Awaited, Awaits, Cancel, Memo, Outcome, Pending, PendingState, StepKind};
pub use system::{StartedBy, SystemEvent, Untold};
pub use time::Timestamp;
pub use write::{Record, Unreadable, Write};
