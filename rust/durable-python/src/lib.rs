//! The native module `durable._core`: batches in, batches out. It decides nothing and calls no Python.

mod convert;
mod engine;
mod error;
mod expression;
mod items;
mod reads;
mod rehearsal;
mod server;
mod upkeep;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two objects, one exception, eight functions; see `_core.pyi`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("CoreError", error::class(py)?)?;
    module.add_class::<engine::Core>()?;
    module.add_class::<server::HttpServer>()?;
    module.add_function(wrap_pyfunction!(expression::check_expression, module)?)?;
    module.add_function(wrap_pyfunction!(expression::expression_paths, module)?)?;
    module.add_function(wrap_pyfunction!(expression::expression_keys, module)?)?;
    module.add_function(wrap_pyfunction!(expression::check_cron, module)?)?;
    module.add_function(wrap_pyfunction!(rehearsal::rehearse, module)?)?;
    module.add_function(wrap_pyfunction!(upkeep::store_check, module)?)?;
    module.add_function(wrap_pyfunction!(upkeep::store_backup, module)?)?;
    module.add_function(wrap_pyfunction!(upkeep::store_restore, module)?)?;
    Ok(())
}
