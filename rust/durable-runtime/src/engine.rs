//! The Rust API: an open store, the threads that drive it, and the calls that reach them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Answer, Command, Counts, Epoch, EventId, ExecutorId, FunctionId, FunctionSpec, NewEvent,
    Report, RunId, Settings, Shard, Ticket, Timestamp, write,
};
use durable_store::{ImageKind, KeyRange, OpenReport, Opened, Options, Store, View};
use parking_lot::Mutex;

use crate::calendar::utc;
use crate::clock::{Clock, wall};
use crate::commit_times::CommitStats;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::mailbox::{Look, Mailbox, Message};
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::threads::Threads;

/// An open store and the threads that drive it. Dropping it closes it.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    capacity: u32,
    report: OpenReport,
}

/// Something that may be refused while the mailbox is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Accept events, all or none.
    Send {
        /// The caller's number for it, below 2^63.
        ticket: u64,
        /// The events.
        events: Vec<NewEvent>,
        /// Where they come from, and how far that source has got with them.
        source: Option<(String, u64)>,
    },
    /// Start one run of a function.
    Invoke {
        /// The caller's number for it, below 2^63.
        ticket: u64,
        /// The function.
        function: String,
        /// A JSON object.
        data: Bytes,
    },
    /// Give a signal to the run that waits for it.
    Signal {
        /// The caller's number for it, below 2^63.
        ticket: u64,
        /// The signal's name.
        signal: String,
        /// JSON.
        data: Bytes,
    },
}

/// What an executor's loop hands over at once.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// Always taken.
    pub reports: Vec<Report>,
    /// Live runs that the executor has forgotten.
    pub dropped: Vec<RunId>,
    /// Work that came as a difference to what the executor has forgotten.
    pub reloads: Vec<(RunId, Epoch)>,
    /// Taken as far as there is room.
    pub requests: Vec<Request>,
}

/// An engine in numbers.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The shard's own counts, at most some milliseconds old.
    pub counts: Counts,
    /// Messages that wait for the shard.
    pub mailbox_count: usize,
    /// Items that wait for the executor.
    pub outbox_count: usize,
    /// Bytes that are not in the image yet.
    pub staged_bytes: usize,
    /// The engine's time.
    pub now: Timestamp,
    /// How far that is ahead of the wall's.
    pub ahead: Duration,
    /// Commits.
    pub commits: CommitStats,
}

impl Engine {
    /// Opens or makes the store, loads the shard, starts the threads.
    pub fn open(config: &Config) -> Result<Self> {
        let options = location(&config.store)?;
        Self::open_on(options, config)
    }

    /// The same on a store of your own.
    pub fn open_on(options: Options, config: &Config) -> Result<Self> {
        config.check()?;
        let Opened { log, view, checkpointer, report } = Store::open(options)?;
        let shard = load(config, &view)?;
        let shared = Arc::new(Shared {
            clock: Clock::begin(config.clock, shard.now()),
            mailbox: Mailbox::new(config.max_mailbox),
            outbox: Outbox::new()?,
            remote: Outbox::new()?,
            pipeline: crate::pipeline::Pipeline::default(),
            waiters: crate::waiters::Waiters::new(),
            committed: crate::watermark::Watermark::default(),
            synced: crate::watermark::Watermark::default(),
            poison: crate::poison::Poison::default(),
            busy: crate::checkpoint::Busy::default(),
            trim_below: std::sync::atomic::AtomicU64::default(),
            counts: Mutex::new(shard.counts()),
            commits: Mutex::default(),
            view: Mutex::new(Some(Arc::clone(&view))),
        });
        shared.committed.rise(log.durable());
        shared.synced.rise(log.durable());
        let threads = Threads::start(&shared, &view, (shard, log, checkpointer), config)?;
        let threads = Mutex::new(Some(threads));
        Ok(Self { shared, threads, capacity: config.capacity, report })
    }

    /// What opening found and did.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// What of it a user should know, in words.
    pub fn notices(&self) -> Vec<String> {
        let report = &self.report;
        let rebuilt =
            report.rebuilt.as_ref().map(|why| format!("the image was built again: {why}"));
        let cut = (report.cut_bytes > 0).then(|| {
            let bytes = report.cut_bytes;
            format!("{bytes} bytes at the log's end had never been acknowledged and are gone")
        });
        let ahead = crate::steady::told(self.shared.clock.ahead());
        rebuilt.into_iter().chain(cut).chain(report.notes.iter().cloned()).chain(ahead).collect()
    }

    /// Says what an application's functions are now. Returns their numbers once they are durable.
    pub fn register(&self, app: &str, functions: Vec<FunctionSpec>) -> Result<Vec<FunctionId>> {
        let app = app.to_owned();
        let answer = self.ask(|ticket| Command::RegisterFunctions { ticket, app, functions })?;
        let Answer::Registered(ids) = answer else { return Err(unexpected(&answer)) };
        Ok(ids)
    }

    /// Pauses a function or lets it go on; durable when it returns.
    pub fn pause(&self, function: &str, is_paused: bool) -> Result<()> {
        let function = function.to_owned();
        let answer = self.ask(|ticket| Command::PauseFunction { ticket, function, is_paused })?;
        let Answer::Paused = answer else { return Err(unexpected(&answer)) };
        Ok(())
    }

    /// The same where nobody is to wait for room; `None`: there is none at the moment.
    pub async fn try_send(&self, events: Vec<NewEvent>) -> Result<Option<Vec<EventId>>> {
        let (ticket, answer) = self.shared.waiters.issue()?;
        if self.try_post(accept(ticket, events, None))?.is_some() {
            self.shared.waiters.withdraw(ticket);
            return Ok(None);
        }
        accepted(answer.await.map_err(|_gone| Error::closed())??).map(Some)
    }

    /// Accepts events, all or none. Returns their ids once they are durable.
    pub async fn send(&self, events: Vec<NewEvent>) -> Result<Vec<EventId>> {
        let (ticket, answer) = self.shared.waiters.issue()?;
        let mut request = accept(ticket, events, None);
        loop {
            let room = self.shared.mailbox.room();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            match self.alive(self.shared.mailbox.try_put(request))? {
                None => break,
                Some(refused) => request = refused,
            }
            room.await;
        }
        accepted(answer.await.map_err(|_gone| Error::closed())??)
    }

    /// The same for a thread that may block.
    pub fn send_wait(
        &self,
        events: Vec<NewEvent>,
        source: Option<(String, u64)>,
    ) -> Result<Vec<EventId>> {
        let (ticket, answer) = self.shared.waiters.issue()?;
        self.alive(self.shared.mailbox.put_waiting(accept(ticket, events, source)))?;
        accepted(answer.blocking_recv().map_err(|_gone| Error::closed())??)
    }

    /// An executor is ready: work for these functions begins to come. What one before it had comes again.
    /// Nothing that was meant for that one comes any more.
    pub fn connect(&self, functions: Vec<String>) -> Result<()> {
        self.shared.outbox.await_executor();
        let (executor, capacity) = (ExecutorId::LOCAL, self.capacity);
        self.tell(Command::ConnectExecutor { executor, capacity, functions })
    }

    /// The same of an executor outside of this process: it is given so much at a time, and what comes for it comes to
    /// [`Self::remote_outbox`].
    pub fn connect_remote(
        &self,
        executor: ExecutorId,
        capacity: u32,
        functions: Vec<String>,
    ) -> Result<()> {
        self.tell(Command::ConnectExecutor { executor, capacity, functions })
    }

    /// A connected executor takes other functions from now on; what it has, it still reports.
    pub fn serve_remote(&self, executor: ExecutorId, functions: Vec<String>) -> Result<()> {
        self.tell(Command::ServeFunctions { executor, functions })
    }

    /// No executor wants more work.
    pub fn drain_executor(&self) -> Result<()> {
        self.tell(Command::DrainExecutors)
    }

    /// Takes all of a pass's reports, and as many of its requests as there is room for; says how many.
    /// If not all, [`crate::Item::Room`] follows.
    pub fn submit(&self, submission: Submission) -> Result<usize> {
        let Submission { reports, dropped, reloads, requests } = submission;
        let reports = reports.into_iter().map(|report| Message::Command(Command::Report(report)));
        let dropped = (!dropped.is_empty()).then_some(Message::Dropped(dropped));
        let reloads = reloads.into_iter().map(|(run, epoch)| Message::Reload(run, epoch));
        let requests = requests.into_iter().map(message);
        self.alive(self.shared.mailbox.put(reports.chain(dropped).chain(reloads), requests))
    }

    /// The code of these runs would go on though nothing that it waits for has come.
    pub fn wake(&self, runs: Vec<RunId>) -> Result<()> {
        let commands = runs.into_iter().map(|run| Message::Command(Command::WakeRun { run }));
        self.alive(self.shared.mailbox.put(commands, [])).map(|_taken| ())
    }

    /// Asks for one [`crate::Item::Ended`] for each run, also for those that have ended.
    pub fn watch(&self, runs: Vec<RunId>) -> Result<()> {
        self.post(Message::Watch(runs))
    }

    /// No longer.
    pub fn unwatch(&self, runs: Vec<RunId>) -> Result<()> {
        self.post(Message::Unwatch(runs))
    }

    /// Asks for [`crate::Item::Idle`] once no run is left that is queued, running or parked.
    pub fn join(&self, ticket: u64) -> Result<()> {
        self.post(Message::Join(ticket))
    }

    /// Nobody waits under this ticket any more; a clock that moves under it stands still.
    pub fn unjoin(&self, ticket: u64) -> Result<()> {
        self.post(Message::Unjoin(ticket))
    }

    /// Moves a virtual clock, deadline by deadline; [`crate::Item::Idle`] comes when it has arrived.
    pub fn advance(&self, ticket: u64, length: Duration) -> Result<()> {
        if !self.shared.clock.is_virtual() {
            let text = "only a virtual clock can be moved: open the engine with clock='virtual'";
            return Err(Error::new(Kind::Invalid, text));
        }
        self.post(Message::Advance(ticket, length))
    }

    /// Where items for the executor come.
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Where items for executors outside of this process come.
    pub fn remote_outbox(&self) -> &Outbox {
        &self.shared.remote
    }

    /// Whoever takes from the outbox has nothing else to do. False: there is something already.
    pub fn park(&self) -> bool {
        let is_parked = self.shared.outbox.park();
        if is_parked && self.shared.clock.is_virtual() {
            self.shared.mailbox.nudge();
        }
        is_parked
    }

    /// Waits for items up to `at_most`; empty where none came, or none will.
    pub fn receive(&self, at_most: Duration) -> Vec<crate::outbox::Item> {
        if self.park() {
            self.shared.outbox.receive(at_most)
        } else {
            self.shared.outbox.drain(usize::MAX)
        }
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The engine in numbers. Does not block.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            counts: shared.counts.lock().clone(),
            mailbox_count: shared.mailbox.len(),
            outbox_count: shared.outbox.len(),
            staged_bytes: shared.view.lock().as_ref().map_or(0, |view| view.staged_bytes()),
            now: shared.clock.now(),
            ahead: shared.clock.ahead(),
            commits: shared.commits.lock().stats(),
        }
    }

    /// Stops: no more work, up to `grace` for the reports of what executes, then the last commit.
    pub fn close(&self, grace: Duration) -> Result<()> {
        let Some(threads) = self.threads.lock().take() else { return Ok(()) };
        if self.drain_executor().is_ok() && !grace.is_zero() {
            let (settled, is_settled) = mpsc::channel();
            if self.post(Message::Settle(settled)).is_ok() {
                // Whether all has been reported or not, what is left goes on at the next start.
                let _in_time = is_settled.recv_timeout(grace);
            }
        }
        let ended = threads.stop(&self.shared);
        drop(self.shared.view.lock().take());
        let closed = Error::closed();
        self.shared.fail_marks(&closed);
        self.shared.waiters.end(&closed);
        self.shared.outbox.close(None);
        self.shared.remote.close(None);
        ended
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn shared_arc(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn look(&self, look: Look) -> Result<()> {
        self.post(Message::Look(look))
    }

    pub(crate) fn ask(&self, command: impl FnOnce(Ticket) -> Command) -> Result<Answer> {
        let (ticket, answer) = self.shared.waiters.issue()?;
        self.tell(command(Ticket(ticket)))?;
        answer.blocking_recv().map_err(|_gone| Error::closed())?
    }

    pub(crate) fn tell(&self, command: Command) -> Result<()> {
        self.post(Message::Command(command))
    }

    pub(crate) fn post(&self, message: Message) -> Result<()> {
        self.alive(self.shared.mailbox.put([message], [])).map(|_taken| ())
    }

    /// Gives the message back where there is no room for it.
    pub(crate) fn try_post(&self, message: Message) -> Result<Option<Message>> {
        self.alive(self.shared.mailbox.try_put(message))
    }

    /// A closed mailbox has a reason.
    fn alive<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.shared.poison.check().err().unwrap_or(error))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to know whether the last commit went well calls `close`.
        drop(self.close(Duration::ZERO));
    }
}

fn accept(ticket: u64, events: Vec<NewEvent>, source: Option<(String, u64)>) -> Message {
    let events = events.into_iter().map(|event| (event, None)).collect();
    Message::Command(Command::AcceptEvents { ticket: Ticket(ticket), events, source })
}

fn message(request: Request) -> Message {
    match request {
        Request::Send { ticket, events, source } => accept(ticket, events, source),
        Request::Invoke { ticket, function, data } => Message::Command(Command::InvokeFunction {
            ticket: Ticket(ticket),
            function,
            data,
            once: None,
        }),
        Request::Signal { ticket, signal, data } => {
            Message::Command(Command::SendSignal { ticket: Ticket(ticket), signal, data })
        }
    }
}

fn accepted(answer: Answer) -> Result<Vec<EventId>> {
    match answer {
        Answer::Accepted(ids) => Ok(ids),
        Answer::Refused(durable_core::Refusal::Invalid(text)) => Err(Error::new(Kind::Event, text)),
        Answer::Refused(_)
        | Answer::Registered(_)
        | Answer::Started(..)
        | Answer::StartedBefore(..)
        | Answer::Paused
        | Answer::Cancelled(_)
        | Answer::Scheduled
        | Answer::EventCancelled(_)
        | Answer::Signalled(_)
        | Answer::Published(_) => Err(unexpected(&answer)),
    }
}

/// An answer that is not what was asked for: a refusal, or a mistake of ours.
pub(crate) fn unexpected(answer: &Answer) -> Error {
    match answer {
        Answer::Refused(why) => why.clone().into(),
        Answer::Accepted(_)
        | Answer::Registered(_)
        | Answer::Started(..)
        | Answer::StartedBefore(..)
        | Answer::Paused
        | Answer::Cancelled(_)
        | Answer::Scheduled
        | Answer::EventCancelled(_)
        | Answer::Signalled(_)
        | Answer::Published(_) => {
            let text = "a ticket was answered with the answer to another question";
            Error::new(Kind::Broken, text)
        }
    }
}

/// How to open the store that a text names, and what others are told who try meanwhile.
pub(crate) fn location(store: &str) -> Result<Options> {
    let mut options = place(store)?;
    options.holder = format!("since {}", utc(wall()));
    Ok(options)
}

fn place(store: &str) -> Result<Options> {
    if store == "memory:" {
        return Ok(Options::memory());
    }
    let (path, kind) = match store.split_once(':') {
        Some(("sled", path)) => (path, ImageKind::Sled),
        Some(("redb", path)) => (path, ImageKind::Redb),
        Some(_) | None => (store, ImageKind::Sled),
    };
    let scheme = path.split_once(':').map(|(scheme, _)| scheme);
    let has_scheme = scheme.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    if path.is_empty() || has_scheme {
        let text = format!(
            "store '{store}': write a path, 'sled:PATH', 'redb:PATH' or 'memory:'; a folder of that name is \
             './{store}'"
        );
        return Err(Error::new(Kind::Location, text));
    }
    Ok(Options::folder(path, kind))
}

fn load(config: &Config, view: &View) -> Result<Shard> {
    let chance = || RandomState::new().build_hasher().finish();
    let (seed, secret) = (config.seed.unwrap_or_else(chance), chance());
    let settings =
        Settings { seed, secret, retention: config.retention, limits: config.limits.clone() };
    let mut failure = None;
    let records = write::LOADED_PREFIXES
        .iter()
        .flat_map(|prefix| view.scan(KeyRange::prefix(&[*prefix])))
        .map_while(|record| match record {
            Ok(record) => Some(record),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
    let shard = Shard::load(settings, config.clock.first(), records);
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(shard?),
    }
}
