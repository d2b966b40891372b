//! The worker's end of the wire: where it is told to go, and the socket that it keeps.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response as Answer};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use ulid::Ulid;

use super::messages::{
    Connect, Frame, Kind, Lease, Named, Ready, Refused, Response, Started, frame,
};
use crate::http::Server;
use crate::keys::chance_id;
use crate::log::Level;
use crate::registration;

const PROTOCOL: &str = "v0.connect.inngest.com";
/// The most bytes of a message.
const MOST_BYTES: usize = 40 * 1024 * 1024;
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
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MOST_BYTES)
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
    let said = tokio::time::timeout(TO_CONNECT, next(&mut socket)).await.ok().flatten();
    let admitted = match said {
        Some((Kind::WorkerConnect, payload)) => admit(&server, &payload).await,
        Some(_) | None => {
            Err("connect_worker_hello_timeout: a worker says first what it has".to_owned())
        }
    };
    let (id, connect) = match admitted {
        Ok(admitted) => admitted,
        Err(why) => {
            let refused = Refused { code: "connect_worker_refused".to_owned(), message: why };
            let _told = socket
                .send(Message::Binary(frame(Kind::SyncFailed, &refused).into()))
                .await
                .is_ok();
            return;
        }
    };
    let apps: Vec<String> = connect.apps.iter().map(|app| app.name.clone()).collect();
    let (frames, taken) = mpsc::unbounded_channel();
    let ready = Ready {
        heartbeat: "10s".to_owned(),
        extend_lease: "5s".to_owned(),
        status: "0s".to_owned(),
    };
    let _queued = frames.send(frame(Kind::ConnectionReady, &ready)).is_ok();
    server.workers.add(id, apps.clone(), connect.max_concurrency, frames.clone());
    server.workers.set_ready(id, !connect.is_ready_later);
    server.config.log.say(Level::Info, "a worker has dialled in", &[("apps", apps.join(", "))]);
    exchange(&server, id, &mut socket, (frames, taken)).await;
    for app in server.workers.remove(id) {
        let _waits = server.apps.rest(&app).is_ok(); // its runs wait for the next worker
    }
    server.config.log.say(Level::Info, "a worker is gone", &[("apps", apps.join(", "))]);
}

type Frames = (mpsc::UnboundedSender<Vec<u8>>, mpsc::UnboundedReceiver<Vec<u8>>);

/// Until one of both is gone.
async fn exchange(server: &Server, id: Ulid, socket: &mut WebSocket, (frames, mut taken): Frames) {
    loop {
        tokio::select! {
            outgoing = taken.recv() => {
                let Some(outgoing) = outgoing else { return };
                if socket.send(Message::Binary(outgoing.into())).await.is_err() {
                    return;
                }
            }
            incoming = tokio::time::timeout(SILENCE, next(socket)) => {
                let Ok(Some((kind, payload))) = incoming else { return };
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
        Kind::RequestAck
        | Kind::WorkerStatus
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

/// The next frame; `None` where there will be none.
async fn next(socket: &mut WebSocket) -> Option<(Kind, Vec<u8>)> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Binary(bytes) => {
                let frame = Frame::decode(bytes).ok()?;
                return Some((Kind::try_from(frame.kind).ok()?, frame.payload));
            }
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) | Message::Text(_) => {}
        }
    }
}

/// Takes in what a worker has; `Err` says why it is not let in.
async fn admit(server: &Server, payload: &[u8]) -> Result<(Ulid, Connect), String> {
    let connect =
        Connect::decode(payload).map_err(|error| format!("it cannot be read: {error}"))?;
    let token = connect.auth.as_ref().map(|auth| auth.session_token.as_str()).unwrap_or_default();
    let id = server.workers.admit(token).ok_or("its session is not known: start again")?;
    for app in &connect.apps {
        let functions: Value = serde_json::from_slice(&app.functions)
            .map_err(|error| format!("the functions of '{}' are no JSON: {error}", app.name))?;
        let said = json!({"appName": app.name, "url": "wss://connect", "functions": functions});
        let said = registration::read(said.to_string().as_bytes(), &server.config.backoff)?;
        let apps = server.apps.clone();
        // It waits for the disk.
        let synced = tokio::task::spawn_blocking(move || apps.sync(said)).await;
        synced.map_err(|broken| broken.to_string())?.map_err(|error| error.text)?;
    }
    Ok((id, connect))
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
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let tokens = Arc::new(Tokens::new().unwrap());
        Server { engine, apps, executor, keys, reach, workers, hub, tokens, config }
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
        let payload = connect.encode_to_vec();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = runtime.block_on(admit(&server, &payload)).unwrap_err();
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
            workers.call(&Asked { app, function, step, run, job, body }).await
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
