//! The rule that a failed write or sync is final, in one place.
//!
//! Linux forgets what a failed sync did not write, and reports it once: to try again is to be told
//! that all is well when it is not. So the first failure is remembered, and every later call is
//! answered with it and touches nothing. Only opening the store again, which reads back what the disk
//! holds, gets past it.

use std::sync::Arc;

use crate::{Result, StoreError};

/// Remembers the first failure.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: Option<Arc<StoreError>>,
}

impl Poison {
    /// Does a call that changes the disk, unless one failed before.
    pub(crate) fn guard<T>(&mut self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.refuse()?;
        call().inspect_err(|error| self.cause = Some(Arc::new(error.clone())))
    }

    /// The first failure, if there was one.
    pub(crate) fn refuse(&self) -> Result<()> {
        match &self.cause {
            Some(cause) => Err(StoreError::Poisoned { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }
}
