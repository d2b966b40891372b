//! The engine behind HTTP: events come in, functions live wherever HTTP is spoken, and who asks is answered.
//!
//! The life of one call: the runtime's outbox for executors outside of this process holds a piece of work; the
//! `executor` makes a request of it in the words of the Inngest SDK protocol, sends it to the function's endpoint,
//! reads the ops in the reply and reports them. An application says which functions it has through `http`, and
//! `registration` makes the engine's own words of that. Everything here runs on threads of its own.
//!
//! Absent here: decisions about runs, and what is on disk.

mod config;
mod server;

mod clock;
mod json;
mod keys;
mod length;
mod log;
mod names;
mod outgoing;
mod reach;

mod apps;
mod registration;

mod connect;
mod executor;
mod http;
mod realtime;

pub use config::{Config, Kind};
pub use log::Log;
pub use reach::Net;
pub use server::Server;
