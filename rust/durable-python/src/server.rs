//! The engine behind HTTP: opened beside a `Core`, on threads of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use durable_runtime::{Error, Kind};
use durable_server::{Config, Server};
use pyo3::prelude::*;

use crate::engine::Core;
use crate::error::to_py;

/// A server that listens.
#[pyclass(frozen, module = "durable._core")]
pub(crate) struct HttpServer {
    server: Server,
}

#[pymethods]
impl HttpServer {
    #[staticmethod]
    #[pyo3(
        signature = (core, host, port, *, is_dev, urls=vec![], discovers=false, event_keys=vec![], signing_keys=vec![]),
        text_signature = "(core, host, port, *, is_dev, urls=(), discovers=False, event_keys=(), signing_keys=())"
    )]
    fn start(
        py: Python<'_>,
        core: &Core,
        host: &str,
        port: u16,
        is_dev: bool,
        urls: Vec<String>,
        discovers: bool,
        event_keys: Vec<String>,
        signing_keys: Vec<String>,
    ) -> PyResult<Self> {
        let engine = Arc::clone(core.shared()?);
        let address: IpAddr = host.parse().map_err(|_other| {
            let text = format!(
                "host='{host}' is no IP address: 127.0.0.1, or 0.0.0.0 for all of this machine's"
            );
            to_py(Error::new(Kind::Invalid, text))
        })?;
        let kind =
            if is_dev { durable_server::Kind::Dev } else { durable_server::Kind::SelfHosted };
        let config = Config {
            kind,
            address: SocketAddr::new(address, port),
            urls,
            discovers,
            event_keys,
            signing_keys,
            ..Config::dev(port)
        };
        let server = py.detach(|| Server::start(engine, config)).map_err(to_py)?;
        Ok(Self { server })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.server.address().port()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.server.close());
    }
}
