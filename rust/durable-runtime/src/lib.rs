//! What drives the scheduler: time, threads, group commit, and the Rust API.
//!
//! The life of one turn: the [`Engine`]'s callers put messages into the mailbox; the shard's thread
//! (`shard_loop`) hands them to the core, makes what it wrote readable, and seals the turn; the committer
//! makes all sealed turns durable at once and then lets go what they held back, to callers that wait and
//! into the [`Outbox`], from which an executor takes its work. The checkpointer moves what is durable into
//! the image. Any failure stops all of it (`poison`).
//!
//! Absent here: decisions about runs.

mod error;

mod asking;
mod calendar;
mod clock;
mod config;
mod engine;
mod steady;

mod mailbox;
mod outbox;

mod effects;
mod executor;
mod resolve;
mod shard_loop;
mod virtual_time;

mod subscriptions;

mod commit_times;
mod committer;
mod pipeline;
mod waiters;
mod watermark;

mod checkpoint;
mod poison;
mod shared;
mod threads;

mod messages;
mod query;
mod redo;
mod rehearsal;
mod schedules;
mod upkeep;

pub use asking::Invoked;
pub use clock::ClockChoice;
pub use commit_times::CommitStats;
pub use config::{Config, Sync};
pub use engine::{Engine, Request, Stats, Submission};
pub use error::{Error, Kind, Result};
pub use messages::MessagePage;
pub use outbox::{Item, Offer, Outbox};
pub use query::{EventFilter, Page, RunFilter, Selection};
pub use rehearsal::{Arrival, EventTrace, Plan, RunTrace, Trace, rehearse};
pub use schedules::ScheduleFilter;
pub use upkeep::{store_backup, store_check, store_restore};
