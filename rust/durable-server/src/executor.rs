//! Functions called over HTTP: each piece of work is one request, and the reply says what came of it.

mod caller;
mod checkpoint;
mod endpoint;
mod gateway;
mod memo;
mod ops;
mod reply;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable_core::{Epoch, Report, RunId};
use durable_runtime::{Engine, Item, Offer, Submission};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::apps::{Apps, Callee};
use crate::log::{Level, Log};
use crate::realtime::Hub;
pub(crate) use caller::Caller;
pub(crate) use checkpoint::{Checkpoint, Checkpointed};
pub(crate) use endpoint::{Begun, host_of};
pub(crate) use memo::steps_json;
use ops::Plan;
pub(crate) use reply::{MOST_BYTES, Reply};
pub(crate) use request::{event_json, events_json};

/// See the file's first line.
#[derive(Debug)]
pub(crate) struct Executor {
    engine: Arc<Engine>,
    apps: Arc<Apps>,
    caller: Caller,
    log: Log,
    state: Mutex<State>,
    /// A call is held.
    holds: Notify,
    made: AtomicU64,
    failed: AtomicU64,
}

/// How often functions were called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallCounts {
    pub(crate) made: u64,
    /// Of these, without a reply of an SDK.
    pub(crate) failed: u64,
    pub(crate) under_way: u64,
}

#[derive(Debug, Default)]
struct State {
    /// What executes, and how many reports of it have gone out.
    calls: BTreeMap<(RunId, Epoch), Call>,
    /// Runs of durable endpoints that are about to be there, by their SDKs' ids.
    begun: BTreeSet<String>,
    /// Their first calls.
    held: BTreeMap<RunId, endpoint::Held>,
    /// Runs that are not to be called before all that they asked for has come.
    waiting: BTreeSet<RunId>,
}

/// More are forgotten, and called where they need not be.
const MOST_WAITING: usize = 100_000;

#[derive(Debug, Default)]
struct Call {
    report_count: u32,
    /// How many steps they have recorded.
    recorded: u32,
    confirmed: Vec<(u32, tokio::sync::oneshot::Sender<()>)>,
}

impl Executor {
    pub(crate) fn new(engine: Arc<Engine>, apps: Arc<Apps>, caller: Caller, log: Log) -> Self {
        Self {
            engine,
            apps,
            caller,
            log,
            state: Mutex::default(),
            holds: Notify::new(),
            made: AtomicU64::default(),
            failed: AtomicU64::default(),
        }
    }

    pub(crate) fn counts(&self) -> CallCounts {
        CallCounts {
            made: self.made.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            under_way: u64::try_from(self.state.lock().calls.len()).unwrap_or(u64::MAX),
        }
    }

    /// Takes what comes until the engine has closed. For a thread of its own.
    pub(crate) fn run(self: &Arc<Self>, tasks: &Handle, hub: &Hub, is_over: &dyn Fn() -> bool) {
        const AT_MOST: Duration = Duration::from_millis(500);
        while !is_over() && !self.engine.remote_outbox().is_over() {
            for item in self.engine.remote_outbox().receive(AT_MOST) {
                self.take(item, tasks, hub);
            }
        }
    }

    fn take(self: &Arc<Self>, item: Item, tasks: &Handle, hub: &Hub) {
        match item {
            Item::Work(offer) => {
                let call = (offer.run, offer.epoch);
                self.state.lock().calls.insert(call, Call::default());
                let executor = Arc::clone(self);
                tasks.spawn(async move { executor.execute(*offer).await });
            }
            Item::Confirm { run, epoch, number, .. } => self.confirm((run, epoch), number),
            // Whoever waits for a confirmation hears that there will be none.
            Item::Abandon { run, epoch } => {
                self.state.lock().calls.remove(&(run, epoch));
            }
            Item::Stirred(channel) => hub.stir(&channel),
            Item::Answer { .. }
            | Item::Memos { .. }
            | Item::Ended { .. }
            | Item::Unknown(_)
            | Item::Finished(..)
            | Item::Poisoned(_)
            | Item::Room
            | Item::Idle(_) => {}
        }
    }

    async fn execute(self: Arc<Self>, offer: Offer) {
        let is_discovery = offer.step.is_none();
        if is_discovery
            && !offer.pending.is_empty()
            && self.state.lock().waiting.contains(&offer.run)
        {
            self.report(&offer, Plan::default());
            return; // it is called once all that it asked for has come
        }
        let plan = match self.apps.callee(offer.function) {
            Some(callee) if self.is_begun(&offer, &callee) => return self.hold(offer).await,
            Some(callee) => self.call(&offer, &callee).await,
            None => Plan::failed(
                "Error",
                "the function is registered no more, so nobody knows where it is",
            ),
        };
        if is_discovery {
            self.state.lock().keep(offer.run, plan.waits_for_all);
        }
        self.report(&offer, plan);
    }

    async fn call(&self, offer: &Offer, callee: &Callee) -> Plan {
        self.made.fetch_add(1, Ordering::Relaxed);
        let is_current = || self.state.lock().is_current(offer);
        let Some(reply) = self.caller.call(offer, callee, &is_current).await else {
            return Plan { is_outdated: true, ..Plan::default() };
        };
        if let Err(why) = &reply {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let names = [
                ("function", callee.name.clone()),
                ("run", offer.run.to_string()),
                ("step", offer.step.clone().unwrap_or_default()),
                ("failures", offer.failure_count.saturating_add(1).to_string()),
                ("why", why.clone()),
            ];
            self.log.say(Level::Warning, "a function was called and gave no reply", &names);
        }
        let mut plan = ops::plan(offer, reply, self.engine.now().as_millis());
        gateway::perform(&mut plan, self.caller.client()).await;
        plan
    }

    /// Says what came of a call; false where nobody wants to hear of it any more.
    fn report(&self, offer: &Offer, plan: Plan) -> bool {
        let mut state = self.state.lock(); // reports of one call go out in the order of their numbers
        let Some(call) = state.calls.remove(&(offer.run, offer.epoch)) else { return false };
        let (run, epoch, number) = (offer.run, offer.epoch, call.report_count);
        let recorded = if plan.is_outdated { 0 } else { call.recorded };
        let seen = offer.memo_count.saturating_add(recorded);
        let parked_at = (offer.step.is_none() && !plan.is_over()).then_some(seen);
        self.submit(Report { run, epoch, number, ops: plan.ops, parked_at });
        drop(state);
        true
    }

    /// An engine that is closed needs no report: the work is offered again.
    fn submit(&self, report: Report) {
        let submission = Submission { reports: vec![report], ..Submission::default() };
        let _taken = self.engine.submit(submission).ok();
    }
}

impl State {
    /// Whether a call is still to be made as it was: somebody wants it, and no step has been recorded since.
    fn is_current(&self, offer: &Offer) -> bool {
        let call = self.calls.get(&(offer.run, offer.epoch));
        call.is_some_and(|call| call.recorded == 0 || offer.step.is_some())
    }

    fn keep(&mut self, run: RunId, waits_for_all: bool) {
        if self.waiting.len() > MOST_WAITING {
            self.waiting.clear();
        }
        if waits_for_all {
            self.waiting.insert(run);
        } else {
            self.waiting.remove(&run);
        }
    }
}
