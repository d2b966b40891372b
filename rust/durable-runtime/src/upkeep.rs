//! Care of a store that nobody has open: verify, copy, make again out of a copy.

use std::path::Path;

use durable_store::{CheckReport, Seq};

use crate::engine::location;
use crate::error::Result;

/// Verifies a store that nobody has open.
pub fn store_check(store: &str) -> Result<CheckReport> {
    Ok(durable_store::check(location(store)?)?)
}

/// Writes a store's whole state into one file; says up to which turn.
pub fn store_backup(store: &str, to: &Path) -> Result<Seq> {
    Ok(durable_store::backup(location(store)?, to)?)
}

/// Makes a new store out of a backup; says up to which turn.
pub fn store_restore(from: &Path, store: &str) -> Result<Seq> {
    Ok(durable_store::restore(from, location(store)?)?)
}
