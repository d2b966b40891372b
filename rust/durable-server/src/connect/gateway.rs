//! The worker's end of the wire: where it is told to go, and the socket that it keeps.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response as Answer};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use ulid::Ulid;

use super::messages::{
    Connect, Frame, Kind, Lease, Named, Ready, Refused, Response, Started, frame,
};
use crate::http::Server;
use crate::keys::chance_id;
use crate::log::Level;
use crate::registration;

const PROTOCOL: &str = "v0.connect.inngest.com";
/// The most bytes of a message: what is a little too large for a reply is refused as one, and not cut off.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The most applications of a worker.
const MOST_APPS: usize = 100;
/// The most bytes of why a connection ends.
const MOST_REASON: usize = 123;
/// Within this time a worker has said what it has.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// A worker that says nothing for so long is gone: it was asked for a sign of life every ten seconds.
const SILENCE: Duration = Duration::from_secs(35);

/// `POST /v0/connect/start`: where to go, and what to say there.
pub(crate) async fn start(State(server): State<Server>, headers: HeaderMap) -> Answer {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let (connection, token) = (chance_id(), format!("{}{}", chance_id(), chance_id()));
    server.workers.expect(token.clone(), connection);
    let started = Started {
        connection_id: connection.to_string(),
        gateway_endpoint: format!("ws://{host}/v0/connect"),
        gateway_group: "gw-dev".to_owned(),
        session_token: token.clone(),
        sync_token: token,
    };
    protobuf(&started)
}

/// `POST /v0/connect/flush`: an answer that could not go through the socket.
pub(crate) async fn flush(State(server): State<Server>, body: Bytes) -> Answer {
    let Ok(said) = Response::decode(body) else { return StatusCode::BAD_REQUEST.into_response() };
    let request_id = said.request_id.clone();
    server.workers.answer(said);
    protobuf(&Named { request_id })
}

/// `GET /v0/connect`: the socket.
pub(crate) async fn serve(State(server): State<Server>, upgrade: WebSocketUpgrade) -> Answer {
    if !server.workers.expects_somebody() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MOST_BYTES)
        .max_frame_size(MOST_BYTES)
        .on_upgrade(move |socket| talk(server, socket))
}

fn protobuf(message: &impl prost::Message) -> Answer {
    ([(header::CONTENT_TYPE, "application/protobuf")], message.encode_to_vec()).into_response()
}

async fn talk(server: Server, mut socket: WebSocket) {
    let hello = frame(Kind::GatewayHello, &());
    if socket.send(Message::Binary(hello.into())).await.is_err() {
        return;
    }
    let (frames, taken) = mpsc::unbounded_channel();
    let first = tokio::time::timeout(TO_CONNECT, next(&mut socket)).await;
    let (id, connect) = match take_in(&server, first.ok(), &frames).await {
        Ok(taken_in) => taken_in,
        Err(why) => return refuse(&server, &mut socket, why).await,
    };
    let names: Vec<&str> = connect.apps.iter().map(|app| app.name.as_str()).collect();
    let apps = [("apps", names.join(", "))];
    server.config.log.say(Level::Info, "a worker has dialled in", &apps);
    if let Some(why) = exchange(&server, id, &mut socket, (frames, taken)).await {
        close(&mut socket, why).await;
    }
    leave(&server, id);
    server.config.log.say(Level::Info, "a worker is gone", &apps);
}

/// Where the first that it says is what it has, a worker is one of those that are there.
async fn take_in(
    server: &Server,
    first: Option<Result<(Kind, Vec<u8>), Gone>>,
    frames: &mpsc::UnboundedSender<Vec<u8>>,
) -> Result<(Ulid, Connect), String> {
    let Some(first) = first else {
        return Err("connect_worker_hello_timeout: a worker says first what it has".to_owned());
    };
    let Ok((Kind::WorkerConnect, payload)) = first else {
        return Err("connect_worker_hello_invalid_msg: a worker says first what it has".to_owned());
    };
    let connect =
        Connect::decode(&*payload).map_err(|error| format!("it cannot be read: {error}"))?;
    if connect.apps.len() > MOST_APPS {
        return Err(format!("it has more than {MOST_APPS} applications: start several workers"));
    }
    let token = connect.auth.as_ref().map(|auth| auth.session_token.as_str()).unwrap_or_default();
    let id = server.workers.admit(token).ok_or("its session is not known: start again")?;
    let apps = connect.apps.iter().map(|app| app.name.clone()).collect();
    // Before its functions are served: whoever leaves meanwhile sees that somebody is left.
    server.workers.add(id, apps, connect.max_concurrency, frames.clone());
    if let Err(why) = sync(server, &connect).await {
        leave(server, id);
        return Err(why);
    }
    let ready = Ready {
        heartbeat: "10s".to_owned(),
        extend_lease: "5s".to_owned(),
        status: "0s".to_owned(),
    };
    let _queued = frames.send(frame(Kind::ConnectionReady, &ready)).is_ok();
    server.workers.set_ready(id, !connect.is_ready_later);
    Ok((id, connect))
}

/// The runs of applications that nobody is left for wait for the next worker.
fn leave(server: &Server, id: Ulid) {
    for app in server.workers.remove(id) {
        let _waits = server.apps.rest(&app, &|| server.workers.has(&app)).is_ok();
    }
}

async fn refuse(server: &Server, socket: &mut WebSocket, why: String) {
    server.config.log.say(Level::Warning, "a worker is refused", &[("why", why.clone())]);
    let refused = Refused { code: "connect_worker_refused".to_owned(), message: why.clone() };
    let told = socket.send(Message::Binary(frame(Kind::SyncFailed, &refused).into())).await;
    if told.is_ok() {
        close(socket, &why).await;
    }
}

/// Says why a connection ends, as far as there is room.
async fn close(socket: &mut WebSocket, why: &str) {
    let end = why.floor_char_boundary(MOST_REASON);
    let reason = why.get(..end).unwrap_or_default().into();
    let frame = CloseFrame { code: close_code::POLICY, reason };
    let _told = socket.send(Message::Close(Some(frame))).await.is_ok();
}

type Frames = (mpsc::UnboundedSender<Vec<u8>>, mpsc::UnboundedReceiver<Vec<u8>>);

/// Until one of both is gone; why the worker is sent away, if it is.
async fn exchange(
    server: &Server,
    id: Ulid,
    socket: &mut WebSocket,
    (frames, mut taken): Frames,
) -> Option<&'static str> {
    const SILENT: Option<&str> = Some("CONSECUTIVE_HEARTBEATS_MISSED");
    let mut heard_at = Instant::now();
    loop {
        let silent_at = heard_at + SILENCE;
        tokio::select! {
            outgoing = taken.recv() => {
                let sent = socket.send(Message::Binary(outgoing?.into()));
                match timeout_at(silent_at, sent).await {
                    Ok(sent) => sent.ok()?,
                    Err(_late) => return SILENT, // it does not read
                }
            }
            incoming = timeout_at(silent_at, next(socket)) => {
                let (kind, payload) = match incoming {
                    Ok(Ok(said)) => said,
                    Ok(Err(Gone::ItsOwn)) => return None,
                    Ok(Err(Gone::Unreadable)) => return Some("connect_worker_invalid_msg"),
                    Err(_late) => return SILENT,
                };
                heard_at = Instant::now();
                if let Some(answer) = hear(server, id, kind, &payload) {
                    let _queued = frames.send(answer).is_ok();
                }
            }
        }
    }
}

/// What a worker says; the frame that answers it, if one does.
fn hear(server: &Server, id: Ulid, kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
    match kind {
        Kind::WorkerReady => server.workers.set_ready(id, true),
        Kind::WorkerPause => server.workers.set_ready(id, false),
        Kind::WorkerHeartbeat => return Some(frame(Kind::GatewayHeartbeat, &())),
        Kind::ExtendLease => {
            let mut lease = Lease::decode(payload).ok()?;
            let is_its = server.workers.is_at(id, &lease.request_id);
            lease.new_lease_id = is_its.then(|| chance_id().to_string());
            return Some(frame(Kind::ExtendLeaseAck, &lease));
        }
        Kind::Reply => {
            let said = Response::decode(payload).ok()?;
            let ack = Named { request_id: said.request_id.clone() };
            server.workers.answer(said);
            return Some(frame(Kind::ReplyAck, &ack));
        }
        Kind::RequestAck => {
            let said = Named::decode(payload).ok()?;
            let _is_its = server.workers.is_at(id, &said.request_id);
        }
        Kind::WorkerStatus
        | Kind::GatewayHello
        | Kind::WorkerConnect
        | Kind::ConnectionReady
        | Kind::ExecutorRequest
        | Kind::ReplyAck
        | Kind::GatewayHeartbeat
        | Kind::GatewayClosing
        | Kind::ExtendLeaseAck
        | Kind::SyncFailed => {}
    }
    None
}

/// Why there is no next frame.
enum Gone {
    /// The worker has ended it.
    ItsOwn,
    /// It cannot be read, or is too large.
    Unreadable,
}

async fn next(socket: &mut WebSocket) -> Result<(Kind, Vec<u8>), Gone> {
    loop {
        match socket.recv().await.ok_or(Gone::ItsOwn)?.map_err(|_broken| Gone::Unreadable)? {
            Message::Binary(bytes) => {
                let frame = Frame::decode(bytes).map_err(|_unread| Gone::Unreadable)?;
                let kind = Kind::try_from(frame.kind).map_err(|_unknown| Gone::Unreadable)?;
                return Ok((kind, frame.payload));
            }
            Message::Close(_) => return Err(Gone::ItsOwn),
            Message::Ping(_) | Message::Pong(_) | Message::Text(_) => {}
        }
    }
}

/// Takes in what a worker has; `Err` says why it is not let in.
async fn sync(server: &Server, connect: &Connect) -> Result<(), String> {
    for app in &connect.apps {
        if registration::has_too_many_values(&app.functions) {
            return Err(format!("the functions of '{}' have more values than are read", app.name));
        }
        let functions: Value = serde_json::from_slice(&app.functions)
            .map_err(|error| format!("the functions of '{}' are no JSON: {error}", app.name))?;
        let said = json!({"appName": app.name, "url": "wss://connect", "functions": functions});
        let said = registration::read(said.to_string().as_bytes(), &server.config.backoff)?;
        let apps = server.apps.clone();
        // It waits for the disk.
        let synced = tokio::task::spawn_blocking(move || apps.sync(said)).await;
        synced.map_err(|broken| broken.to_string())?.map_err(|error| error.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use durable_runtime::Engine;

    use super::super::messages::{App, Auth, Request};
    use super::*;
    use crate::apps::Apps;
    use crate::config::Config;
    use crate::connect::{Asked, Workers};
    use crate::executor::{Caller, Executor};
    use crate::http::Held;
    use crate::keys::Keys;
    use crate::outgoing::Outgoing;
    use crate::reach::Reach;
    use crate::realtime::{Hub, Tokens};

    fn server() -> Server {
        let engine = Engine::open(&durable_runtime::Config::new("memory:")).unwrap();
        let (engine, config) = (Arc::new(engine), Config::dev(0));
        let apps = Arc::new(Apps::new(Arc::clone(&engine), config.capacity));
        let keys = Arc::new(Keys::new(&[], &[]));
        let reach = Reach::new(&config.allowed);
        let client = Outgoing::new(reach.clone()).unwrap();
        let workers = Arc::new(Workers::default());
        let caller = Caller::new(client, Arc::clone(&workers), Arc::clone(&keys), config.kind);
        let executor = Executor::new(Arc::clone(&engine), Arc::clone(&apps), caller, config.log);
        let (executor, config) = (Arc::new(executor), Arc::new(config));
        let held = Held::default();
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let tokens = Arc::new(Tokens::new().unwrap());
        let cancellations = crate::http::Cancellations::default();
        Server {
            engine,
            apps,
            executor,
            keys,
            reach,
            workers,
            hub,
            tokens,
            cancellations,
            config,
            held,
        }
    }

    #[test]
    fn a_worker_takes_no_functions_from_this_process() {
        let server = server();
        let own = durable_core::FunctionSpec::new("shop", "shop-f");
        server.engine.register("shop", vec![own]).unwrap();
        let id = chance_id();
        server.workers.expect("token".to_owned(), id);
        let functions = json!([{
            "id": "shop-f",
            "triggers": [{"event": "order"}],
            "steps": {"step": {"runtime": {"url": "wss://connect?fnId=shop-f"}}},
        }]);
        let app = App { name: "shop".to_owned(), functions: functions.to_string().into_bytes() };
        let auth = Some(Auth { session_token: "token".to_owned() });
        let connect = Connect { auth, apps: vec![app], ..Connect::default() };
        let first = Some(Ok((Kind::WorkerConnect, connect.encode_to_vec())));
        let (frames, _taken) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = runtime.block_on(take_in(&server, first, &frames)).unwrap_err();
        assert!(refused.contains("'shop' has its functions in this process"), "{refused}");
    }

    #[tokio::test]
    async fn who_is_at_a_request_is_given_a_new_lease_and_nobody_else_is() {
        let server = server();
        let (at_it, other) = (chance_id(), chance_id());
        let (frames, mut taken) = mpsc::unbounded_channel();
        server.workers.add(at_it, vec!["shop".to_owned()], None, frames);
        server.workers.set_ready(at_it, true);
        let workers = Arc::clone(&server.workers);
        let call = tokio::spawn(async move {
            let text = |text: &str| text.to_owned();
            let (app, function, step) = (text("shop"), text("shop-f"), text("step"));
            let (run, job, body) = (text("R"), text("R.1"), Vec::new());
            workers.call(&Asked { app, function, step, run, job, body }, &|| true).await
        });
        let frame = Frame::decode(taken.recv().await.unwrap().as_slice()).unwrap();
        let request_id = Request::decode(&*frame.payload).unwrap().id;
        let asked = Lease {
            request_id,
            function_slug: "shop-f".to_owned(),
            new_lease_id: Some("the step's id".to_owned()),
            ..Lease::default()
        };
        let answer = |id| {
            let answer = hear(&server, id, Kind::ExtendLease, &asked.encode_to_vec()).unwrap();
            let frame = Frame::decode(answer.as_slice()).unwrap();
            assert_eq!(frame.kind, i32::from(Kind::ExtendLeaseAck));
            Lease::decode(&*frame.payload).unwrap()
        };
        let new = answer(at_it).new_lease_id.unwrap();
        assert_eq!(new.len(), 26, "{new}");
        assert_eq!(answer(other), Lease { new_lease_id: None, ..asked.clone() });
        call.abort();
    }
}
