//! Care of a store that nobody has open, each answer a JSON object.

use std::path::Path;

use pyo3::prelude::*;

use crate::error::to_py;

/// Verifies a store.
#[pyfunction]
pub(crate) fn store_check(py: Python<'_>, store: &str) -> PyResult<String> {
    let found = py.detach(|| durable_runtime::store_check(store)).map_err(to_py)?;
    let json = serde_json::json!({
        "batches": found.batches,
        "records": found.records,
        "snapshot": found.snapshot,
        "faults": found.faults,
    });
    Ok(json.to_string())
}

/// Writes a copy.
#[pyfunction]
pub(crate) fn store_backup(py: Python<'_>, store: &str, to: &str) -> PyResult<String> {
    let upto = py.detach(|| durable_runtime::store_backup(store, Path::new(to))).map_err(to_py)?;
    Ok(serde_json::json!({ "upto": upto }).to_string())
}

/// Makes a store out of a copy.
#[pyfunction]
pub(crate) fn store_restore(py: Python<'_>, source: &str, store: &str) -> PyResult<String> {
    let upto =
        py.detach(|| durable_runtime::store_restore(Path::new(source), store)).map_err(to_py)?;
    Ok(serde_json::json!({ "upto": upto }).to_string())
}
