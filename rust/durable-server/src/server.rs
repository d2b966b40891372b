//! An open server: its threads, and applications that it looks for.

mod accept;
mod discovery;
mod patient;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use durable_runtime::{Engine, Error, Kind, Result};
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::apps::Apps;
use crate::config::Config;
use crate::connect::Workers;
use crate::executor::{Caller, Executor};
use crate::http;
use crate::keys::Keys;
use crate::outgoing::Outgoing;
use crate::reach::Reach;
use crate::realtime::{Hub, Tokens};

/// Threads that serve requests and call functions.
const THREADS: usize = 2;
/// What does not end with the server is left after so long.
const GRACE: Duration = Duration::from_secs(1);

/// The engine behind HTTP. Dropping it closes it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    workers: Arc<Workers>,
    hub: Arc<Hub>,
    stopping: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Listens, and begins to call the functions that live elsewhere.
    pub fn start(engine: Arc<Engine>, config: Config) -> Result<Self> {
        if let Some(why) = config.refusal() {
            return Err(Error::new(Kind::Invalid, why));
        }
        let listener = listen(config.address)?;
        let address = listener.local_addr().map_err(|error| io(&error))?;
        let apps = Arc::new(Apps::new(Arc::clone(&engine), config.capacity));
        let keys = Arc::new(Keys::new(&config.signing_keys, &config.event_keys));
        let client =
            Outgoing::new(Reach::new(&config.allowed)).map_err(|why| Error::new(Kind::Io, why))?;
        let workers = Arc::new(Workers::default());
        let caller =
            Caller::new(client.clone(), Arc::clone(&workers), Arc::clone(&keys), config.kind);
        let executor =
            Arc::new(Executor::new(Arc::clone(&engine), Arc::clone(&apps), caller, config.log));
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let tokens = Tokens::new().map_err(|why| Error::new(Kind::Io, why))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("durable-http")
            .enable_all()
            .build()
            .map_err(|error| io(&error))?;
        let (stopping, stopped) = watch::channel(false);
        let is_over = Arc::new(AtomicBool::new(false));
        let calling = {
            let (executor, is_over) = (Arc::clone(&executor), Arc::clone(&is_over));
            let hub = Arc::clone(&hub);
            let tasks = runtime.handle().clone();
            thread("durable-calls", move || {
                executor.run(&tasks, &hub, &|| is_over.load(Ordering::Acquire));
            })?
        };
        apps.resume()?;
        let looking = discovery::look(client.clone(), config.clone(), address);
        let server = http::Server {
            engine,
            apps,
            executor,
            keys,
            reach: client.reach().clone(),
            workers: Arc::clone(&workers),
            hub: Arc::clone(&hub),
            tokens: Arc::new(tokens),
            cancellations: http::Cancellations::default(),
            config: Arc::new(config),
            held: http::Held::default(),
        };
        let listening = Arc::clone(&hub);
        let serving = thread("durable-server", move || {
            runtime.block_on(async {
                let looking = tokio::spawn(looking);
                accept::serve(listener, http::router(server), stopped).await;
                looking.abort();
                let gone = listening.emptied();
                let _in_time = tokio::time::timeout(GRACE, gone).await.is_ok();
            });
            runtime.shutdown_timeout(GRACE);
        })?;
        Ok(Self {
            address,
            is_over,
            workers,
            hub,
            stopping,
            threads: Mutex::new(vec![calling, serving]),
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked, for a moment, and stops. Functions that are being called are called again when
    /// the engine is next open.
    pub fn close(&self) {
        self.workers.send_away();
        self.hub.close();
        self.is_over.store(true, Ordering::Release);
        self.stopping.send_replace(true);
        for thread in self.threads.lock().drain(..) {
            let _ended = thread.join().is_ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let text = format!(
            "the server cannot listen on {address}: {error}; choose another port with --port"
        );
        Error::new(Kind::Io, text)
    })?;
    listener.set_nonblocking(true).map_err(|error| io(&error))?;
    Ok(listener)
}

fn io(error: &std::io::Error) -> Error {
    Error::new(Kind::Io, format!("the server could not be started: {error}"))
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| io(&error))
}
