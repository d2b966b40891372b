//! The thread that owns the shard: takes what came, makes a turn of it, hands the turn to the committer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use durable_core::{
    Command, ExecutorId, Op, Origin, Record, Rerun, RunId, Shard, Timestamp, Turn, Write,
    channel_id, write,
};
use durable_store::{Seq, View, batch};
use rustc_hash::FxHashSet;

use crate::checkpoint::Checkpoints;
use crate::effects::forget_executor;
use crate::error::{Error, Result};
use crate::executor::local::LocalExecutor;
use crate::mailbox::{Listener, Look, Message};
use crate::outbox::Item;
use crate::pipeline::{Leaving, Sealed};
use crate::resolve;
use crate::shared::Shared;
use crate::steady::{in_engine_time, starts_at};
use crate::subscriptions::Subscriptions;

/// So much goes into one turn at most, so that no turn takes long.
const MESSAGES_PER_TURN: usize = 4_096;
const BYTES_PER_TURN: usize = 8 * 1024 * 1024;
/// However far the next deadline is, the wall clock is read this often.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// With at most so many functions the counts are renewed in every turn.
const CHEAP_COUNTS: usize = 16;
/// With more, while turns follow each other, this often.
const COUNTS_EVERY: Duration = Duration::from_millis(20);

/// See the file's first line.
pub(crate) struct ShardLoop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<View>,
    pub(crate) shard: Shard,
    pub(crate) next_seq: Seq,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) executor: LocalExecutor,
    pub(crate) watched: FxHashSet<RunId>,
    pub(crate) subscriptions: Subscriptions,
    /// The same of those who listen beside the other executors.
    pub(crate) remote_subscriptions: Subscriptions,
    pub(crate) joins: Vec<u64>,
    /// For each executor that has connected the functions that it serves.
    pub(crate) served: BTreeMap<ExecutorId, BTreeSet<String>>,
    pub(crate) advances: VecDeque<(u64, Timestamp)>,
    pub(crate) settling: Vec<mpsc::Sender<()>>,
    /// Taken from the mailbox, not yet obeyed.
    pub(crate) backlog: VecDeque<Message>,
    /// The core's own questions, answered: they come before all else.
    pub(crate) answered: Vec<Command>,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) counted_at: Instant,
    pub(crate) is_closing: bool,
}

impl ShardLoop {
    /// Turn after turn until it is told to close, or something fails.
    pub(crate) fn run(mut self) -> Result<()> {
        while !self.is_closing {
            self.wait();
            self.shared.poison.check()?;
            self.turn()?;
        }
        self.renew_counts();
        self.checkpoints.begin_at_close(&self.shared);
        Ok(())
    }

    /// Returns when there is something to do, or once a second.
    fn wait(&mut self) {
        if !self.backlog.is_empty() {
            return; // what waits in the mailbox fills it, so that senders wait too
        }
        let at_most = self.longest_wait();
        if self.shared.mailbox.take(&mut self.backlog, at_most) {
            self.shared.outbox.put([Item::Room]);
        }
    }

    fn longest_wait(&mut self) -> Duration {
        if !self.answered.is_empty() {
            return Duration::ZERO;
        }
        let deadline = self.shard.next_deadline();
        let until = deadline.and_then(|at| self.shared.clock.until(at)).unwrap_or(LONGEST_WAIT);
        if until.is_zero() {
            return until;
        }
        self.renew_counts();
        if self.leap() { Duration::ZERO } else { until.min(LONGEST_WAIT) }
    }

    fn turn(&mut self) -> Result<()> {
        let now = self.shared.clock.now();
        let ahead = self.shared.clock.ahead();
        let mut turn = Turn::default();
        let mut is_begun = !self.answered.is_empty();
        for command in std::mem::take(&mut self.answered) {
            self.shard.handle(now, command, &mut turn);
        }
        let (mut taken, mut bytes) = (0_usize, 0_usize);
        let mut is_over = false;
        while taken < MESSAGES_PER_TURN && bytes < BYTES_PER_TURN && !is_over {
            is_over = self.backlog.front().is_none_or(Message::is_alone);
            if is_over && is_begun {
                break;
            }
            let Some(message) = self.backlog.pop_front() else { break };
            is_begun = true;
            let (more, more_bytes) = message.weight();
            taken = taken.saturating_add(more.max(1));
            bytes = bytes.saturating_add(more_bytes);
            self.obey(now, in_engine_time(message, now, ahead), &mut turn)?;
        }
        self.shard.tick(now, &mut turn);
        self.shard.dispatch(now, &mut turn);
        let stirred = self.stirred(&turn.writes);
        let batch = self.stage(turn.writes)?;
        self.resolve_effects(turn.effects)?;
        self.leaving.extend(stirred);
        if self.is_time_to_count() {
            self.renew_counts();
        }
        self.tell_of_idleness();
        let leaving = std::mem::take(&mut self.leaving);
        if batch.is_some() || !leaving.is_empty() {
            self.shared.pipeline.put(Sealed { batch, leaving, is_urgent: false });
        }
        self.checkpoints.begin_if_due(&self.shared);
        Ok(())
    }

    fn obey(&mut self, now: Timestamp, message: Message, turn: &mut Turn) -> Result<()> {
        match message {
            Message::Command(command) => {
                let command = self.with_what_is_remembered(command)?;
                self.note_executor(&command, turn);
                self.shard.handle(now, command, turn);
            }
            Message::Watch(runs) => self.watch(&runs)?,
            Message::Unwatch(runs) => runs.iter().for_each(|run| {
                self.watched.remove(run);
            }),
            Message::Subscribe(listener, channel) => {
                self.subscriptions_of(listener).add(&channel);
                self.leaving.push(stirred(listener, channel));
            }
            Message::Unsubscribe(listener, channel) => {
                self.subscriptions_of(listener).remove(&channel);
            }
            Message::Join(ticket) => self.joins.push(ticket),
            Message::Unjoin(ticket) => {
                self.joins.retain(|one| *one != ticket);
                self.advances.retain(|(one, _)| *one != ticket);
            }
            Message::Advance(ticket, length) => {
                let from = self.advances.back().map_or(now, |(_, target)| *target);
                self.advances.push_back((ticket, from.plus(length)));
            }
            Message::Dropped(runs) => runs.iter().for_each(|run| {
                self.executor.forget(*run);
            }),
            Message::Reload(run, epoch) => {
                // What this turn has changed so far is not in the view yet: it is of no matter, since
                // work that changed was abandoned or offered anew.
                let offer = self.executor.reload(&self.view, run, epoch)?;
                let item = offer.map_or(Item::Abandon { run, epoch }, |o| Item::Work(Box::new(o)));
                self.leaving.push(Leaving::Item(item));
            }
            Message::Look(look) => self.look(look),
            Message::Settle(settled) => self.settling.push(settled),
            Message::Close => self.is_closing = true,
        }
        Ok(())
    }

    fn subscriptions_of(&mut self, listener: Listener) -> &mut Subscriptions {
        match listener {
            Listener::Local => &mut self.subscriptions,
            Listener::Remote => &mut self.remote_subscriptions,
        }
    }

    /// Who is to be told that a turn has put something on a channel.
    fn stirred(&self, writes: &[Write]) -> Vec<Leaving> {
        let local = self.subscriptions.stirred(writes);
        let remote = self.remote_subscriptions.stirred(writes);
        let local = local.into_iter().map(|channel| stirred(Listener::Local, channel));
        local.chain(remote.into_iter().map(|channel| stirred(Listener::Remote, channel))).collect()
    }

    fn note_executor(&mut self, command: &Command, turn: &mut Turn) {
        if let Command::ConnectExecutor { executor: ExecutorId::LOCAL, .. } = command {
            self.executor.forget_all();
            forget_executor(&mut turn.effects);
            self.leaving.push(Leaving::Connected);
        }
        if let Command::ConnectExecutor { executor, functions, .. }
        | Command::ServeFunctions { executor, functions } = command
        {
            self.served.insert(*executor, functions.iter().cloned().collect());
        }
    }

    /// Whoever asked may have gone meanwhile.
    fn look(&self, look: Look) {
        let _heard = match look {
            Look::Limits(function, most, seen) => {
                seen.send(self.shard.limits(&function, most)).is_ok()
            }
            Look::WaitingOn(run, seen) => seen.send(self.shard.waiting_on(run)).is_ok(),
        };
    }

    /// A command with what the store knows that it needs: of events their senders' ids, of waits the run's own
    /// event, of what is repeated or called off all there is, of a message its channel.
    fn with_what_is_remembered(&self, command: Command) -> Result<Command> {
        match command {
            Command::AcceptEvents { ticket, events, source } => {
                let events: Result<Vec<_>> = events
                    .into_iter()
                    .map(|(event, _)| {
                        self.known(event.user_id.as_deref()).map(|record| (event, record))
                    })
                    .collect();
                Ok(Command::AcceptEvents { ticket, events: events?, source })
            }
            Command::InvokeFunction { ticket, function, data, once: Some(mut once) } => {
                once.known = self.known(Some(&once.id))?;
                Ok(Command::InvokeFunction { ticket, function, data, once: Some(once) })
            }
            Command::Publish { ticket, message, .. } => {
                let known = self.view.get(&write::channel_key(&channel_id(&message.channel)))?;
                Ok(Command::Publish { ticket, message, known })
            }
            Command::Report(mut report) => {
                for own in report.ops.iter_mut().filter_map(Op::own_event) {
                    *own = self.event_of(report.run)?;
                }
                Ok(Command::Report(report))
            }
            Command::RerunRun { ticket, mut rerun } => {
                rerun.origin = self.origin(&rerun)?;
                Ok(Command::RerunRun { ticket, rerun })
            }
            Command::CancelEvent { ticket, event, .. } => {
                let record = self.view.get(&write::event_key(event))?;
                let record = record.map(|bytes| write::decode("an event", &bytes)).transpose()?;
                Ok(Command::CancelEvent { ticket, event, record: record.map(Box::new) })
            }
            other @ (Command::RegisterFunctions { .. }
            | Command::InvokeFunction { once: None, .. }
            | Command::PauseFunction { .. }
            | Command::CancelRun { .. }
            | Command::SendSignal { .. }
            | Command::PutSchedule { .. }
            | Command::ChangeSchedule { .. }
            | Command::ConnectExecutor { .. }
            | Command::ServeFunctions { .. }
            | Command::DrainExecutors
            | Command::WakeRun { .. }
            | Command::LoadTimers { .. }
            | Command::LookBack { .. }
            | Command::TellEnd { .. }
            | Command::Expire { .. }) => Ok(other),
        }
    }

    /// What is remembered of a sender's id.
    fn known(&self, id: Option<&str>) -> Result<Option<Record>> {
        let Some(id) = id else { return Ok(None) };
        let key = write::dedup_key(id);
        if key.len() > durable_store::MAX_KEY_BYTES {
            return Ok(None); // it will be refused
        }
        Ok(self.view.get(&key)?.map(|value| (key, value)))
    }

    /// The event that started a live run.
    fn event_of(&self, run: RunId) -> Result<Option<Record>> {
        let Some(event) = self.shard.event_of(run) else { return Ok(None) };
        let key = write::event_key(event);
        Ok(self.view.get(&key)?.map(|value| (key, value)))
    }

    /// The run that is to be repeated, with the moment of its event in the engine's time.
    fn origin(&self, rerun: &Rerun) -> Result<Option<Origin>> {
        let origin = Origin::read(rerun, |key| Ok::<_, Error>(self.view.get(key)?))?;
        let (now, ahead) = (self.shared.clock.now(), self.shared.clock.ahead());
        Ok(origin.map(|mut origin| {
            let event = origin.events.as_ref().and_then(|events| events.first());
            origin.starts_at = event.and_then(|(_, event)| starts_at(event.ts, now, ahead));
            origin
        }))
    }

    /// Makes the turn's writes readable; gives the batch that will make them durable.
    fn stage(&mut self, writes: Vec<Write>) -> Result<Option<(Seq, bytes::Bytes)>> {
        if writes.is_empty() {
            return Ok(None);
        }
        let changes = resolve::changes(&self.view, writes)?;
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        let batch = batch::encode(&changes);
        self.view.stage(seq, &changes)?;
        Ok(Some((seq, batch)))
    }

    /// Who hears that all is done shall see it in the counts. With many functions they cost too much for
    /// every turn.
    fn is_time_to_count(&self) -> bool {
        let is_cheap = self.shared.counts.lock().functions.len() <= CHEAP_COUNTS;
        is_cheap || !self.joins.is_empty() || self.counted_at.elapsed() > COUNTS_EVERY
    }

    pub(crate) fn renew_counts(&mut self) {
        *self.shared.counts.lock() = self.shard.counts();
        self.counted_at = Instant::now();
    }
}

fn stirred(listener: Listener, channel: String) -> Leaving {
    let item = Item::Stirred(channel);
    match listener {
        Listener::Local => Leaving::Item(item),
        Listener::Remote => Leaving::Remote(item),
    }
}
