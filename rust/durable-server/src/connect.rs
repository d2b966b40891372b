//! Workers that dial in: an application that nobody can call keeps a WebSocket open and is given its calls through it.
//!
//! The protocol is that of the SDKs' Connect: a worker asks where to go ([`gateway::start`]), says what it has, and is
//! sent requests; it says that it has begun one, that it still is at it, and what came of it. A worker that goes in
//! the middle of a request has it taken back, and another is given it.

mod gateway;
mod messages;
mod workers;

pub(crate) use gateway::{flush, serve, start};
pub(crate) use workers::{Asked, Workers};

/// What the address of a function begins with whose application dials in.
const SCHEMES: [&str; 2] = ["ws:", "wss:"];

/// Whether a function is reached through a worker.
pub(crate) fn is_dialled(endpoint: &str) -> bool {
    SCHEMES.iter().any(|scheme| endpoint.starts_with(scheme))
}
