//! The world's clock, whatever the engine's is.

use std::time::{SystemTime, UNIX_EPOCH};

use durable_core::Timestamp;

pub(crate) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "signatures, and when an answer was made, are by the world's clock"
    )]
    let now = SystemTime::now();
    Timestamp::default().plus(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}
