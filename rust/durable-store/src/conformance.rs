//! What every log and every image must do, as calls that tests make; and seeded worlds in which a whole
//! store is cut off, starved and damaged.
//!
//! Each returns what it found wrong. It ships, but nothing in an engine calls it.

mod image;
mod log;
mod world;

pub use image::image;
pub use log::log;
pub use world::{Accident, Lives, World};

/// What was found wrong, if anything.
pub type Verdict = Result<(), String>;

/// Says what was asked when an answer is wrong.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

/// An error of the store where none belongs.
fn wrong(error: impl std::fmt::Display) -> String {
    format!("the store refused: {error}")
}
