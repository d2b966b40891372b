//! Calculators that know time and keys but not runs.

pub mod backoff;
pub(crate) mod gates;
pub mod gcra;
mod names;
pub mod policy;
pub(crate) mod ready_queue;
mod slots;
pub(crate) mod timer_wheel;
