//! Calculators that know time and keys but not runs.

pub mod backoff;
pub(crate) mod ready_queue;
pub(crate) mod timer_wheel;
