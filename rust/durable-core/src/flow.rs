//! Calculators that know time and keys but not runs.

pub mod backoff;
pub mod batch;
#[doc(hidden)]
pub mod bench;
mod debounce;
pub(crate) mod gates;
pub mod gcra;
pub(crate) mod names;
pub mod policy;
pub(crate) mod ready_queue;
pub(crate) mod singleton;
mod slots;
mod sorted;
pub mod timeouts;
pub(crate) mod timer_wheel;
