//! The engine behind HTTP: opened beside a `Core`, on threads of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use durable_core::Backoff;
use durable_runtime::{Error, Kind};
use durable_server::{Config, Log, Net, Server};
use pyo3::prelude::*;
use serde::Deserialize;

use crate::engine::Core;
use crate::error::to_py;

/// A server that listens.
#[pyclass(frozen, module = "durable._core")]
pub(crate) struct HttpServer {
    server: Server,
}

/// See `_core.pyi`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    host: String,
    port: u16,
    is_dev: bool,
    urls: Vec<String>,
    discovers: bool,
    event_keys: Vec<String>,
    signing_keys: Vec<String>,
    allowed: Vec<String>,
    origins: Vec<String>,
    log: String,
    retry_interval: Option<f64>,
}

#[pymethods]
impl HttpServer {
    #[staticmethod]
    fn start(py: Python<'_>, core: &Core, settings: &[u8]) -> PyResult<Self> {
        let engine = Arc::clone(core.shared()?);
        let config = config(settings).map_err(|why| to_py(Error::new(Kind::Invalid, why)))?;
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

fn config(settings: &[u8]) -> Result<Config, String> {
    let set: Settings = serde_json::from_slice(settings).map_err(|error| error.to_string())?;
    let address: IpAddr = set.host.parse().map_err(|_other| {
        let host = &set.host;
        format!("host='{host}' is no IP address: 127.0.0.1, or 0.0.0.0 for all of this machine's")
    })?;
    let net = |text: &String| {
        let wrong =
            || format!("'{text}' is neither an IP address nor a range of them, as 10.2.0.0/16");
        Net::parse(text).ok_or_else(wrong)
    };
    let allowed = set.allowed.iter().map(net).collect::<Result<Vec<_>, _>>()?;
    let base = Config::dev(set.port);
    let kind =
        if set.is_dev { durable_server::Kind::Dev } else { durable_server::Kind::SelfHosted };
    let own = if set.is_dev { base.allowed.clone() } else { Vec::new() };
    Ok(Config {
        kind,
        address: SocketAddr::new(address, set.port),
        urls: set.urls,
        discovers: set.discovers,
        event_keys: set.event_keys,
        signing_keys: set.signing_keys,
        allowed: own.into_iter().chain(allowed).collect(),
        origins: set.origins.into_iter().map(origin).collect::<Result<_, _>>()?,
        log: match set.log.as_str() {
            "text" => Log::Text,
            "json" => Log::Json,
            _ => Log::Off,
        },
        backoff: backoff(set.retry_interval)?,
        ..base
    })
}

/// As browsers say it: without a path.
fn origin(text: String) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
    if is_origin {
        Ok(text)
    } else {
        Err(format!("'{text}' is not whose pages there are, as https://shop.example"))
    }
}

/// As long each time, where a length is set.
fn backoff(interval: Option<f64>) -> Result<Backoff, String> {
    let Some(seconds) = interval else { return Ok(Backoff::default()) };
    let delay = Duration::try_from_secs_f64(seconds).map_err(|_wrong| {
        format!("retry_interval={seconds} is no length of time: seconds, from 0 on")
    })?;
    Ok(Backoff { delays: vec![delay], jitter: Duration::ZERO })
}
