//! The engine behind the one object: never for a forked child, and closed when Python lets go of it.

use std::sync::Arc;
use std::time::Duration;

use durable_core::FunctionId;
use durable_runtime::Engine;
use pyo3::prelude::*;

use super::Core;
use crate::error::raise;

impl Core {
    pub(crate) fn shared(&self) -> PyResult<&Arc<Engine>> {
        self.engine()?;
        Ok(&self.engine)
    }

    pub(super) fn engine(&self) -> PyResult<&Engine> {
        if self.is_forked() {
            return Err(raise(
                "forked",
                "this engine was opened before a fork and its threads stayed with the parent: open one \
                 after the fork, in the child",
            ));
        }
        Ok(&self.engine)
    }

    fn is_forked(&self) -> bool {
        self.pid != std::process::id()
    }

    pub(super) fn name(&self, engine: &Engine, id: FunctionId) -> durable_runtime::Result<String> {
        let Ok(mut names) = self.names.lock() else { return Ok(String::new()) };
        if names.len() <= id.index() {
            *names = engine.functions()?.into_iter().map(|record| record.spec.name).collect();
        }
        Ok(names.get(id.index()).cloned().unwrap_or_default())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let engine = Arc::clone(&self.engine);
        if self.is_forked() {
            // What it holds is the parent's: one count too many keeps it from ever being dropped here.
            let _kept = Arc::into_raw(engine);
        } else {
            // The threads are waited for, and they wait for nothing of Python's.
            Python::attach(|py| py.detach(|| drop(engine.close(Duration::ZERO))));
        }
    }
}
