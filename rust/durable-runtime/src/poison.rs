//! The rule that after a failure nothing is acknowledged: the one place that keeps it.
//!
//! A write or a sync that failed is never tried again, and a broken invariant is not walked over. The first
//! cause is kept; all who wait are told it; what had not left stays; the store must be opened again.

use std::any::Any;
use std::sync::OnceLock;

use crate::error::{Error, Kind, Result};
use crate::outbox::Item;
use crate::shared::Shared;

#[derive(Debug, Default)]
pub(crate) struct Poison(OnceLock<Error>);

impl Poison {
    pub(crate) fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |cause| Err(cause.clone()))
    }
}

impl Shared {
    /// Stops the engine for this reason. Only the first one counts.
    pub(crate) fn poison(&self, cause: &Error) {
        if self.poison.0.set(cause.clone()).is_err() {
            return;
        }
        self.pipeline.abort();
        self.mailbox.close();
        self.fail_marks(cause);
        self.busy.end();
        self.waiters.end(cause);
        for outbox in [&self.outbox, &self.remote] {
            outbox.close(Some(Item::Poisoned(cause.clone())));
        }
    }
}

/// A panic in words.
pub(crate) fn of_panic(thread: &str, payload: &(dyn Any + Send)) -> Error {
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("it did not say why");
    Error::new(
        Kind::Broken,
        format!(
            "the engine has stopped, because its {thread} thread met something that must not be: {said}. \
             What was acknowledged is kept; open the engine again, and please report this"
        ),
    )
}
