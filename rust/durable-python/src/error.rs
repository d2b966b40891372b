//! The one exception of this module: a kind and a text.

use durable_runtime::Error;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyType;

create_exception!(durable._core, CoreError, PyException, "`args` is `(kind, text)`.");

/// The class, with names for its two arguments.
pub(crate) fn class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let class = py.get_type::<CoreError>();
    class.setattr("kind", py.eval(c"property(lambda error: error.args[0])", None, None)?)?;
    class.setattr("text", py.eval(c"property(lambda error: error.args[1])", None, None)?)?;
    Ok(class)
}

pub(crate) fn raise(kind: &'static str, text: impl Into<String>) -> PyErr {
    CoreError::new_err((kind, text.into()))
}

pub(crate) fn to_py(error: Error) -> PyErr {
    raise(error.kind.as_str(), error.text)
}
