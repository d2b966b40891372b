//! Seeded worlds that drive the scheduler and the store through faults, and say what should not be.
//!
//! One seed is one world: its functions, handlers, callers, settings and its own mix of faults. Its
//! [`driver`] does what the runtime does, without threads; [`model`] says a second time, slowly, what
//! must follow; after every turn the shard is compared with one loaded from the store. Same seed, same
//! world, to the byte. Absent here: real time, real disks, threads.

pub mod campaign;
pub mod chance;
pub mod clock;
pub mod digest;
pub mod disk_storage;
pub mod driver;
pub mod executor;
pub mod mistake;
pub mod mix;
pub mod model;
pub mod outside;
pub mod program;
pub mod races;
pub mod remotes;
pub mod storage;
pub mod tally;
pub mod world;
