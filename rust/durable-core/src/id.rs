//! A newtype for everything that has a name: events, runs, functions, tickets.

use std::fmt;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::time::Timestamp;

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id whose 16 bytes (48 bits of milliseconds, 80 of chance, big-endian) these are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// 16 bytes that sort as the ids do.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The id's 26 letters in Crockford's base 32 read back; `None` where they are not an id.
            pub fn parse(text: &str) -> Option<Self> {
                Ulid::from_string(text).ok().map(|ulid| Self(ulid.to_bytes()))
            }

            /// The moment the id was made, in whole milliseconds.
            pub fn made_at(&self) -> Timestamp {
                Timestamp::from_millis(Ulid::from_bytes(self.0).timestamp_ms())
            }

            /// The first id that could have been made at a moment.
            pub fn earliest(at: Timestamp) -> Self {
                Self(Ulid::from_parts(at.as_millis(), 0).to_bytes())
            }

            /// An id later than `last`, made at `now` with 80 bits of `chance`: monotonic within a
            /// millisecond, as the ULID specification asks.
            pub(crate) fn after(last: Self, now: Timestamp, chance: u128) -> Self {
                let fresh = Ulid::from_parts(now.as_millis(), chance);
                let least = Ulid::from_bytes(last.0).0.saturating_add(1);
                Self(Ulid(fresh.0.max(least)).to_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ulid::from_bytes(self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

ulid_id! {
    /// An accepted event, as the engine names it. Users may give an `id` of their own beside it.
    EventId
}

ulid_id! {
    /// A run of a function.
    RunId
}

/// A registered function: its number in this shard, given at first registration and never again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct FunctionId(pub u32);

impl FunctionId {
    /// Its place among the functions.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Someone who executes work, as the runtime numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExecutorId(pub u32);

impl ExecutorId {
    /// The one inside this process.
    pub const LOCAL: Self = Self(0);

    /// Its place among the executors.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Which handing-out of a run's work a report belongs to. Rises by one each time any part of the
/// run is offered to an executor; a report under an old epoch counts for nothing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch(pub u32);

/// A caller's own number for a question, given back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);
