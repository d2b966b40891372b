//! Who has dialled in, with how much room, and what each is at.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use ulid::Ulid;

use super::messages::{Kind, Request, Response, frame};
use crate::executor::{MOST_BYTES, Reply};
use crate::keys::chance_id;
use crate::names::{ENVIRONMENT, app_id, uuid_of};

/// So much a worker is given at a time where it does not say.
const USUAL_ROOM: usize = 1_000;

/// A worker that has said that it is at a request, and says so no more, has lost it.
const LEASE: Duration = Duration::from_mins(2);
/// So long a request waits for its worker to come back, or for its answer to come beside the socket.
const LEASE_ALONE: Duration = Duration::from_secs(20);
/// Within this time a worker has begun.
const TO_BEGIN: Duration = Duration::from_secs(35);
/// The same for one that takes no more: it says nothing of what it does not begin.
const TO_BEGIN_LAST: Duration = Duration::from_secs(5);
/// So many workers may be lost over a call before it counts as failed: it may be the call that ends them.
const MOST_LOST: u32 = 3;

/// What was said, or why there is nothing.
type Said = Result<Reply, String>;

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
    /// A request is taken back sooner than was said.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<Ulid, Worker>,
    /// Who was told where to go, and when, and has not come yet.
    expected: BTreeMap<String, (Ulid, Instant)>,
    /// What workers are at, by the requests' ids.
    requests: BTreeMap<String, Given>,
}

#[derive(Debug)]
struct Worker {
    apps: Vec<String>,
    room: usize,
    /// How many requests it is at.
    at: usize,
    is_ready: bool,
    frames: mpsc::UnboundedSender<Vec<u8>>,
}

#[derive(Debug)]
struct Given {
    /// Whoever is at it may be without a connection.
    worker: Ulid,
    has_begun: bool,
    /// Then it is taken back.
    until: Instant,
    answer: oneshot::Sender<Said>,
}

impl State {
    fn forget_the_late(&mut self) {
        self.expected.retain(|_, (_, told_at)| told_at.elapsed() < TO_COME);
    }

    /// A request is nobody's any more.
    fn take(&mut self, request: &str) -> Option<Given> {
        let given = self.requests.remove(request)?;
        self.has_one_less(given.worker);
        Some(given)
    }

    fn has_one_less(&mut self, worker: Ulid) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.at = worker.at.saturating_sub(1);
        }
    }
}

/// The most that are expected at a time; the oldest is forgotten.
const MOST_EXPECTED: usize = 1_000;
/// So long somebody is expected.
const TO_COME: Duration = Duration::from_mins(1);

impl Workers {
    /// Somebody will come, and say this.
    pub(super) fn expect(&self, token: String, connection: Ulid) {
        let mut state = self.state.lock();
        state.forget_the_late();
        if state.expected.len() >= MOST_EXPECTED {
            let oldest = state
                .expected
                .iter()
                .min_by_key(|(_, (id, _))| *id)
                .map(|(token, _)| token.clone());
            oldest.map(|token| state.expected.remove(&token));
        }
        state.expected.insert(token, (connection, Instant::now()));
    }

    /// Whether anybody may come: whoever opens a socket has no other key than what it says there.
    pub(super) fn expects_somebody(&self) -> bool {
        let mut state = self.state.lock();
        state.forget_the_late();
        !state.expected.is_empty()
    }

    /// Whoever says this was expected, once.
    pub(super) fn admit(&self, token: &str) -> Option<Ulid> {
        let mut state = self.state.lock();
        state.forget_the_late();
        state.expected.remove(token).map(|(connection, _)| connection)
    }

    pub(super) fn add(
        &self,
        id: Ulid,
        apps: Vec<String>,
        room: Option<i64>,
        frames: mpsc::UnboundedSender<Vec<u8>>,
    ) {
        let room = room.and_then(|room| usize::try_from(room).ok()).filter(|room| *room > 0);
        let worker =
            Worker { apps, room: room.unwrap_or(USUAL_ROOM), at: 0, is_ready: false, frames };
        self.state.lock().workers.insert(id, worker);
    }

    /// It takes requests, or no more.
    pub(super) fn set_ready(&self, id: Ulid, is_ready: bool) {
        let mut state = self.state.lock();
        if let Some(worker) = state.workers.get_mut(&id) {
            worker.is_ready = is_ready;
        }
        if !is_ready {
            let last = Instant::now() + TO_BEGIN_LAST;
            let requests = state.requests.values_mut();
            for given in requests.filter(|given| given.worker == id && !given.has_begun) {
                given.until = given.until.min(last);
            }
        }
        drop(state);
        self.room.notify_waiters();
        self.sooner.notify_waiters();
    }

    /// Its connection is gone: what it has not begun is another's at once, and what it is at is so where it neither
    /// comes back nor answers in time. Gives its applications.
    pub(super) fn remove(&self, id: Ulid) -> Vec<String> {
        let mut state = self.state.lock();
        let Some(gone) = state.workers.remove(&id) else { return Vec::new() };
        state.requests.retain(|_, given| given.worker != id || given.has_begun);
        let last = Instant::now() + LEASE_ALONE;
        for given in state.requests.values_mut().filter(|given| given.worker == id) {
            given.until = given.until.min(last);
        }
        drop(state);
        self.room.notify_waiters();
        self.sooner.notify_waiters();
        gone.apps
    }

    /// Whether somebody is there who has this application.
    pub(crate) fn has(&self, app: &str) -> bool {
        self.state.lock().workers.values().any(|worker| worker.apps.iter().any(|one| one == app))
    }

    /// A worker says that it is at a request: the one that it was given to, or the same with a new connection.
    pub(super) fn is_at(&self, id: Ulid, request: &str) -> bool {
        let mut state = self.state.lock();
        let State { workers, requests, .. } = &mut *state;
        let (Some(worker), Some(given)) = (workers.get_mut(&id), requests.get_mut(request)) else {
            return false;
        };
        given.has_begun = true;
        given.until = Instant::now() + LEASE;
        if given.worker != id {
            worker.at = worker.at.saturating_add(1);
            let before = std::mem::replace(&mut given.worker, id);
            state.has_one_less(before);
        }
        true
    }

    /// An answer has come, through a socket or beside it. What nobody waits for any more counts for nothing.
    pub(super) fn answer(&self, said: Response) {
        let given = self.state.lock().take(&said.request_id);
        if let Some(given) = given {
            let _heard = given.answer.send(reply_of(said)).is_ok();
        }
        self.room.notify_waiters();
    }

    /// Everybody is told to look for another server.
    pub(crate) fn send_away(&self) {
        let closing = frame(Kind::GatewayClosing, &());
        for worker in self.state.lock().workers.values() {
            let _told = worker.frames.send(closing.clone()).is_ok();
        }
    }

    /// Has it answered by a worker, by another where one is lost; waits while none has room. `Err` where it is lost
    /// again and again, `None` where it is to be given to nobody any more.
    pub(crate) async fn call(
        &self,
        asked: &Asked,
        is_current: &(dyn Fn() -> bool + Sync),
    ) -> Option<Said> {
        for _ in 0..MOST_LOST {
            let (request, answered) = self.place(asked, is_current).await?;
            if let Some(said) = self.answered(&request, answered).await {
                return Some(said);
            }
        }
        Some(Err(format!(
            "connect_worker_stopped_responding: {MOST_LOST} workers were lost over it, one after the other"
        )))
    }

    async fn place(
        &self,
        asked: &Asked,
        is_current: &(dyn Fn() -> bool + Sync),
    ) -> Option<(String, oneshot::Receiver<Said>)> {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if !is_current() {
                return None;
            }
            if let Some(given) = self.give(asked) {
                return Some(given);
            }
            room.await;
        }
    }

    /// What its worker says; `None` where the request is lost.
    async fn answered(&self, request: &str, mut answer: oneshot::Receiver<Said>) -> Option<Said> {
        loop {
            let sooner = self.sooner.notified();
            let mut sooner = std::pin::pin!(sooner);
            sooner.as_mut().enable();
            let Some(until) = self.until(request) else { return answer.await.ok() };
            tokio::select! {
                biased;
                said = &mut answer => return said.ok(),
                () = sooner => {}
                () = sleep_until(until) => {
                    if self.is_taken_back(request) {
                        return None;
                    }
                }
            }
        }
    }

    /// Its worker may have said meanwhile that it is at it.
    fn is_taken_back(&self, request: &str) -> bool {
        let mut state = self.state.lock();
        let is_late = |given: &Given| given.until <= Instant::now();
        let is_lost = state.requests.get(request).is_some_and(is_late);
        if is_lost {
            state.take(request);
            drop(state);
            self.room.notify_waiters();
        }
        is_lost
    }

    fn until(&self, request: &str) -> Option<Instant> {
        self.state.lock().requests.get(request).map(|given| given.until)
    }

    /// Gives it to whoever of its application has the most room; `None` where nobody has any.
    fn give(&self, asked: &Asked) -> Option<(String, oneshot::Receiver<Said>)> {
        let mut state = self.state.lock();
        let able = state.workers.iter_mut().filter(|(_, worker)| {
            worker.is_ready && worker.apps.contains(&asked.app) && worker.at < worker.room
        });
        let (id, worker) = able.max_by_key(|(_, worker)| worker.room.saturating_sub(worker.at))?;
        let (id, request) = (*id, request(asked));
        worker.frames.send(frame(Kind::ExecutorRequest, &request)).ok()?;
        worker.at = worker.at.saturating_add(1);
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + TO_BEGIN;
        let given = Given { worker: id, has_begun: false, until, answer };
        state.requests.insert(request.id.clone(), given);
        Some((request.id, answered))
    }
}

fn reply_of(said: Response) -> Said {
    if said.body.len() > MOST_BYTES {
        return Err(format!("output_too_large: its reply has more than {MOST_BYTES} bytes"));
    }
    let status = match (said.status, said.no_retry) {
        (0, _) => 206,
        (1, false) => 200,
        (1, true) => 400, // TypeScript's SDK knows no other word for it; what has returned is not tried again anyway
        _ => 500,
    };
    let mut reply = Reply { status, is_sdk: true, no_retry: said.no_retry, ..Reply::default() };
    reply.retry_after = said.retry_after;
    reply.body = said.body.into();
    Ok(reply)
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
mod tests;
