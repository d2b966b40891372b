//! Those who listen over HTTP: tokens that let them, and what is new on their channels on its way to them.
//!
//! A message that is published is durable and comes from the store, wherever it was published: the scheduler says
//! that a channel has stirred, and the [`Hub`] reads it once for all who listen there. Steps and ends of runs are read
//! from the run's own records in the same way. Pieces of streams are passed on as they come and kept nowhere.
//!
//! Nobody waits for a listener: each has a queue with an end, and whoever lets that fill up is told so and let go.

mod channel;
mod hub;
mod listener;
mod message;
mod token;

pub(crate) use hub::{Hub, Subscription};
pub(crate) use listener::Frame;
pub(crate) use message::{Message, Origin};
pub(crate) use token::{Tokens, Topic, name_refusal};

/// There is one account only.
const ACCOUNT: &str = "00000000-0000-4000-a000-000000000000";
/// Topics of a run's own channel, and of what is copied as it comes.
const STEP: &str = "$step";
const RUN: &str = "$run";
pub(crate) const STREAM: &str = "$stream";
