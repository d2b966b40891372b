//! Connections: so many at a time, each with its time to say what it wants.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use super::patient::Patient;

/// More wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// Within this time a request's headers have come, or the connection ends.
const FOR_HEADERS: Duration = Duration::from_secs(10);
/// So many headers, and so many bytes of them.
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 64 * 1024;
/// What is being answered when the server closes has so long.
const GRACE: Duration = Duration::from_secs(3);
/// After a failed accept, as where no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = stopped.wait_for(|is_over| *is_over) => break,
        };
        let Some((stream, permit)) = accepted else { continue };
        let service = TowerToHyperService::new(router.clone());
        let watcher = graceful.watcher();
        let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(FOR_HEADERS)
            .max_headers(HEADERS)
            .max_buf_size(HEADER_BYTES);
        tokio::spawn(async move {
            // The time for headers begins with their first byte.
            let speaks = tokio::time::timeout(FOR_HEADERS, stream.peek(&mut [0])).await.is_ok();
            if speaks {
                let io = TokioIo::new(Patient::new(stream));
                let connection = builder.serve_connection_with_upgrades(io, service).into_owned();
                let _ended_well = watcher.watch(connection).await.is_ok(); // whoever it was knows better
            }
            drop(permit);
        });
    }
    let _in_time = tokio::time::timeout(GRACE, graceful.shutdown()).await.is_ok();
}

async fn accept(
    listener: &tokio::net::TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    let Ok((stream, _)) = listener.accept().await else {
        tokio::time::sleep(PAUSE).await;
        return None;
    };
    let _without_delay = stream.set_nodelay(true).is_ok();
    Some((stream, permit))
}
