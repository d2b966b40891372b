//! Who has dialled in, with how much room, and what each is at.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use ulid::Ulid;

use super::messages::{Kind, Request, Response, frame};
use crate::executor::Reply;
use crate::keys::chance_id;
use crate::names::{ENVIRONMENT, app_id, uuid_of};

/// So much a worker is given at a time where it does not say.
const USUAL_ROOM: usize = 1_000;

/// A call that a worker is to answer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) app: String,
    pub(crate) function: String,
    pub(crate) step: String,
    pub(crate) run: String,
    pub(crate) job: String,
    pub(crate) body: Vec<u8>,
}

/// See the file's first line.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    state: Mutex<State>,
    /// A worker has room that had none, or has come.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<Ulid, Worker>,
    /// Who was told where to go, and has not come yet.
    expected: BTreeMap<String, Ulid>,
}

#[derive(Debug)]
struct Worker {
    apps: Vec<String>,
    room: usize,
    is_ready: bool,
    frames: mpsc::UnboundedSender<Vec<u8>>,
    /// What it is at: who waits for each answer, by the request's id.
    requests: BTreeMap<String, oneshot::Sender<Reply>>,
}

/// The most that are expected at a time; the oldest is forgotten.
const MOST_EXPECTED: usize = 1_000;

impl Workers {
    /// Somebody will come, and say this.
    pub(super) fn expect(&self, token: String, connection: Ulid) {
        let mut state = self.state.lock();
        if state.expected.len() >= MOST_EXPECTED {
            let oldest =
                state.expected.iter().min_by_key(|(_, id)| **id).map(|(token, _)| token.clone());
            oldest.map(|token| state.expected.remove(&token));
        }
        state.expected.insert(token, connection);
    }

    /// Whoever says this was expected, once.
    pub(super) fn admit(&self, token: &str) -> Option<Ulid> {
        self.state.lock().expected.remove(token)
    }

    pub(super) fn add(
        &self,
        id: Ulid,
        apps: Vec<String>,
        room: Option<i64>,
        frames: mpsc::UnboundedSender<Vec<u8>>,
    ) {
        let room = room.and_then(|room| usize::try_from(room).ok()).filter(|room| *room > 0);
        let worker = Worker {
            apps,
            room: room.unwrap_or(USUAL_ROOM),
            is_ready: false,
            frames,
            requests: BTreeMap::new(),
        };
        self.state.lock().workers.insert(id, worker);
    }

    /// It takes requests, or no more.
    pub(super) fn set_ready(&self, id: Ulid, is_ready: bool) {
        if let Some(worker) = self.state.lock().workers.get_mut(&id) {
            worker.is_ready = is_ready;
        }
        self.room.notify_waiters();
    }

    /// It is gone: what it was at is another's. Gives its applications that nobody is left for.
    pub(super) fn remove(&self, id: Ulid) -> Vec<String> {
        let mut state = self.state.lock();
        let Some(gone) = state.workers.remove(&id) else { return Vec::new() };
        let is_left = |app: &String| state.workers.values().any(|worker| worker.apps.contains(app));
        let alone = gone.apps.iter().filter(|app| !is_left(app)).cloned().collect();
        drop(state);
        self.room.notify_waiters();
        alone
    }

    /// Whether this worker still is at that request.
    pub(super) fn is_at(&self, id: Ulid, request: &str) -> bool {
        let state = self.state.lock();
        state.workers.get(&id).is_some_and(|worker| worker.requests.contains_key(request))
    }

    /// An answer has come, through a socket or beside it. What nobody waits for any more counts for nothing.
    pub(super) fn answer(&self, said: Response) {
        let mut state = self.state.lock();
        let mut workers = state.workers.values_mut();
        if let Some(waiting) = workers.find_map(|worker| worker.requests.remove(&said.request_id)) {
            let status = match said.status {
                0 => 206,
                1 => 200,
                _ => 500,
            };
            let mut reply =
                Reply { status, is_sdk: true, no_retry: said.no_retry, ..Reply::default() };
            reply.retry_after = said.retry_after;
            reply.body = said.body.into();
            let _heard = waiting.send(reply).is_ok();
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Everybody is told to look for another server.
    pub(crate) fn send_away(&self) {
        let closing = frame(Kind::GatewayClosing, &());
        for worker in self.state.lock().workers.values() {
            let _told = worker.frames.send(closing.clone()).is_ok();
        }
    }

    /// Has it answered by a worker, by another where one goes; waits while none has room.
    pub(crate) async fn call(self: &Arc<Self>, asked: &Asked) -> Reply {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            let Some(answer) = self.give(asked) else {
                room.await;
                continue;
            };
            let Ok(reply) = answer.await else { continue };
            return reply;
        }
    }

    /// Gives it to whoever of its application has the most room; `None` where nobody has any.
    fn give(&self, asked: &Asked) -> Option<oneshot::Receiver<Reply>> {
        let mut state = self.state.lock();
        let able = state.workers.values_mut().filter(|worker| {
            worker.is_ready
                && worker.apps.contains(&asked.app)
                && worker.requests.len() < worker.room
        });
        let worker = able.max_by_key(|worker| worker.room.saturating_sub(worker.requests.len()))?;
        let request = request(asked);
        worker.frames.send(frame(Kind::ExecutorRequest, &request)).ok()?;
        let (answer, answered) = oneshot::channel();
        worker.requests.insert(request.id, answer);
        Some(answered)
    }
}

fn request(asked: &Asked) -> Request {
    Request {
        id: chance_id().to_string(),
        account_id: "00000000-0000-4000-a000-000000000000".to_owned(),
        env_id: ENVIRONMENT.to_owned(),
        app_id: app_id(&asked.app),
        app_name: asked.app.clone(),
        function_id: uuid_of(&asked.function),
        function_slug: asked.function.clone(),
        step_id: Some(asked.step.clone()),
        payload: asked.body.clone(),
        run_id: asked.run.clone(),
        lease_id: chance_id().to_string(),
        job_id: asked.job.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    fn asked() -> Asked {
        Asked {
            app: "shop".to_owned(),
            function: "shop-f".to_owned(),
            step: "step".to_owned(),
            run: "R".to_owned(),
            job: "R.1".to_owned(),
            body: b"{}".to_vec(),
        }
    }

    fn worker(workers: &Workers, room: i64) -> (Ulid, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (frames, taken) = mpsc::unbounded_channel();
        let id = chance_id();
        workers.add(id, vec!["shop".to_owned()], Some(room), frames);
        workers.set_ready(id, true);
        (id, taken)
    }

    async fn called(workers: Arc<Workers>) -> Reply {
        workers.call(&asked()).await
    }

    async fn request_of(taken: &mut mpsc::UnboundedReceiver<Vec<u8>>) -> String {
        let frame =
            super::super::messages::Frame::decode(taken.recv().await.unwrap().as_slice()).unwrap();
        Request::decode(frame.payload.as_slice()).unwrap().id
    }

    #[tokio::test]
    async fn a_worker_has_no_more_than_its_room_and_the_next_waits() {
        let workers = Arc::new(Workers::default());
        let (_, mut taken) = worker(&workers, 1);
        let both = [(); 2].map(|()| tokio::spawn(called(Arc::clone(&workers))));
        for body in ["1", "2"] {
            let request_id = request_of(&mut taken).await;
            assert!(taken.try_recv().is_err(), "one at a time");
            let body = body.as_bytes().to_vec();
            workers.answer(Response { request_id, status: 1, body, ..Response::default() });
        }
        for call in both {
            assert_eq!(call.await.unwrap().status, 200);
        }
    }

    #[tokio::test]
    async fn what_a_worker_leaves_is_given_to_another() {
        let workers = Arc::new(Workers::default());
        let (first, mut taken) = worker(&workers, 9);
        let call = tokio::spawn(called(Arc::clone(&workers)));
        let lost = request_of(&mut taken).await;
        assert!(workers.is_at(first, &lost));
        assert_eq!(workers.remove(first), ["shop"]);
        let (second, mut taken) = worker(&workers, 9);
        let request_id = request_of(&mut taken).await;
        assert!(workers.is_at(second, &request_id) && request_id != lost);
        workers.answer(Response { request_id: lost, status: 2, ..Response::default() });
        workers.answer(Response { request_id, status: 0, ..Response::default() });
        assert_eq!(call.await.unwrap().status, 206);
    }

    #[test]
    fn who_was_not_expected_is_not_admitted() {
        let workers = Workers::default();
        let id = chance_id();
        workers.expect("token".to_owned(), id);
        assert_eq!(workers.admit("other"), None);
        assert_eq!((workers.admit("token"), workers.admit("token")), (Some(id), None));
    }
}
