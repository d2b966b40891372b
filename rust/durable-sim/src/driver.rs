//! Drives a shard as the runtime does: drain the mailbox, handle, tick, dispatch, resolve archives,
//! stage, append, and only then let effects go.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use durable_core::Op;
use durable_core::write::{
    self, EVENT, LOADED_PREFIXES, MEMO, RUN, TIMER, history, history_key, memo_key, run_key,
};
use durable_core::{
    Command, Effect, Memo, Origin, Record, RunEnd, RunId, Settings, Shard, Timestamp, Turn,
    Unreadable, Write, channel_id,
};

use crate::chance::Chance;
use crate::mistake::Mistake;
use crate::storage::{Change, Seq, Storage};

/// Runs and how they ended.
pub type Ends = Vec<(RunId, RunEnd)>;

/// How much there was of a turn when one of its commands had been obeyed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// So much was to leave.
    pub effects: usize,
    /// So many events were written.
    pub events: usize,
}

/// A turn that is over: what went in, what it changed, what is to leave.
#[derive(Debug)]
pub struct Sealed {
    /// Its number in the log.
    pub seq: Seq,
    /// The shard's time.
    pub now: Timestamp,
    /// The latest moment that any clock has shown.
    pub latest: Timestamp,
    /// What was handled, in order.
    pub commands: Vec<Command>,
    /// Where each of them ended.
    pub cuts: Vec<Cut>,
    /// What it changed, archives resolved.
    pub changes: Vec<Change>,
    /// The runs it ended.
    pub ends: Ends,
    /// What is to leave, each with the memos that go with it.
    pub effects: Vec<(Effect, Vec<Memo>)>,
    /// Timers that were due had not fired when it was over.
    pub is_behind: bool,
}

/// The runtime's loop without threads.
#[derive(Debug)]
pub struct Driver {
    /// The shard.
    pub shard: Shard,
    /// Its store.
    pub storage: Box<dyn Storage>,
    /// What came and was not handled.
    pub mailbox: VecDeque<Command>,
    /// Reads that were asked for and not answered.
    pub asked: VecDeque<Effect>,
    /// Turns that are not durable, oldest first.
    pub uncommitted: VecDeque<Rc<Sealed>>,
    page: usize,
    next_seq: Seq,
    mistake: Option<Mistake>,
}

impl Driver {
    /// The shard out of a store, as after a start.
    pub fn open(
        storage: Box<dyn Storage>,
        settings: Settings,
        now: Timestamp,
        (page, mistake): (usize, Option<Mistake>),
    ) -> Result<Self, String> {
        let shard = load(storage.as_ref(), settings, now, mistake)?;
        let next_seq = storage.next_seq();
        Ok(Self {
            shard,
            storage,
            mailbox: VecDeque::new(),
            asked: VecDeque::new(),
            uncommitted: VecDeque::new(),
            page,
            next_seq,
            mistake,
        })
    }

    /// One turn over up to `most` commands, at a moment of the clock and with the latest there was.
    pub fn turn(
        &mut self,
        (now, latest): (Timestamp, Timestamp),
        most: usize,
        chance: &mut Chance,
    ) -> Result<Rc<Sealed>, String> {
        let mut turn = Turn::default();
        let mut commands = Vec::new();
        while let Some(place) = self.next_asked(chance) {
            let Some(ask) = self.asked.remove(place) else { break };
            if let Some(answer) = self.read(&ask) {
                commands.push(answer);
            }
        }
        let is_begun = !commands.is_empty();
        let ordinary = self.mailbox.iter().take_while(|command| !command.is_alone()).count();
        let count = if ordinary == 0 && !is_begun { 1 } else { ordinary.min(most) };
        commands.extend(self.mailbox.drain(..count.min(self.mailbox.len())));
        let mut cuts = Vec::new();
        for command in &mut commands {
            self.remember(command)?;
            self.shard.handle(now, command.clone(), &mut turn);
            cuts.push(cut(&turn));
        }
        let is_hasty = self.mistake == Some(Mistake::TicksEarly);
        let now = if is_hasty { now.plus(std::time::Duration::from_millis(700)) } else { now };
        self.shard.tick(now, &mut turn);
        if self.mistake == Some(Mistake::ReadsTimersBeforeStaging) {
            self.answer_early(now, &mut turn);
        }
        self.shard.dispatch(now, &mut turn);
        self.seal((commands, cuts, latest), turn, chance)
    }

    /// Puts with a command what the store remembers of what it names.
    fn remember(&self, command: &mut Command) -> Result<(), String> {
        match command {
            Command::AcceptEvents { events, .. } => {
                for (event, known) in events {
                    *known = self.remembered(event.user_id.as_deref());
                }
            }
            Command::InvokeFunction { once: Some(once), .. } => {
                once.known = self.remembered(Some(&once.id));
            }
            Command::Report(report) => {
                for own in report.ops.iter_mut().filter_map(Op::own_event) {
                    *own = self.event_of(report.run);
                }
            }
            Command::RerunRun { rerun, .. } => {
                let get = |key: &Bytes| Ok::<_, Unreadable>(self.storage.get(key));
                let mut origin = Origin::read(rerun, get).map_err(|why| why.to_string())?;
                if let Some(origin) = &mut origin
                    && self.mistake == Some(Mistake::ForgetsWhatIsRepeated)
                {
                    origin.memos.pop();
                }
                rerun.origin = origin;
            }
            Command::CancelEvent { event, record, .. } => {
                let found = self.storage.get(&write::event_key(*event));
                let found = found.map(|bytes| write::decode("an event", &bytes)).transpose();
                *record = found.map_err(|why: Unreadable| why.to_string())?.map(Box::new);
            }
            Command::Publish { message, known, .. } => {
                *known = self.storage.get(&write::channel_key(&channel_id(&message.channel)));
            }
            Command::RegisterFunctions { .. }
            | Command::PutSchedule { .. }
            | Command::ChangeSchedule { .. }
            | Command::InvokeFunction { once: None, .. }
            | Command::PauseFunction { .. }
            | Command::CancelRun { .. }
            | Command::SendSignal { .. }
            | Command::ConnectExecutor { .. }
            | Command::ServeFunctions { .. }
            | Command::DrainExecutors
            | Command::WakeRun { .. }
            | Command::LoadTimers { .. }
            | Command::LookBack { .. }
            | Command::TellEnd { .. }
            | Command::Expire { .. } => {}
        }
        Ok(())
    }

    fn event_of(&self, run: RunId) -> Option<Record> {
        let key = write::event_key(self.shard.event_of(run)?);
        self.storage.get(&key).map(|value| (key, value))
    }

    fn remembered(&self, id: Option<&str>) -> Option<Record> {
        let key = write::dedup_key(id?);
        let value = self.storage.get(&key)?;
        (self.mistake != Some(Mistake::ForgetsSenders)).then_some((key, value))
    }

    /// Timers are fetched before anything else happens; what may be too old can wait.
    fn next_asked(&self, chance: &mut Chance) -> Option<usize> {
        let urgent = self.asked.iter().position(|ask| matches!(ask, Effect::LoadTimers { .. }));
        // Much may happen between the end of a run and those who hear of it.
        let is_end = matches!(self.asked.front(), Some(Effect::FindEnd { .. }));
        let soon = if is_end { 150 } else { 500 };
        urgent.or_else(|| (!self.asked.is_empty() && chance.happens(soon)).then_some(0))
    }

    fn answer_early(&mut self, now: Timestamp, turn: &mut Turn) {
        let is_ask = |effect: &Effect| matches!(effect, Effect::LoadTimers { .. });
        while let Some(place) = turn.effects.iter().position(is_ask) {
            let ask = turn.effects.remove(place);
            if let Some(answer) = self.read(&ask) {
                self.shard.handle(now, answer, turn);
            }
        }
    }

    fn seal(
        &mut self,
        (commands, cuts, latest): (Vec<Command>, Vec<Cut>, Timestamp),
        turn: Turn,
        chance: &mut Chance,
    ) -> Result<Rc<Sealed>, String> {
        let (changes, ends) = self.resolve(turn.writes, chance)?;
        let seq = self.next_seq;
        if !changes.is_empty() {
            check_news(self.storage.as_ref(), &changes)?;
            self.next_seq = seq.saturating_add(1);
            self.storage.stage(seq, &changes);
        }
        let mut effects = Vec::new();
        for effect in turn.effects {
            match &effect {
                Effect::LoadTimers { .. }
                | Effect::LookBack { .. }
                | Effect::FindEnd { .. }
                | Effect::FindExpired { .. } => {
                    self.asked.push_back(effect);
                }
                Effect::OfferWork(work) => {
                    let memos = self.memos(work.run, work.memo_count)?;
                    effects.push((effect, memos));
                }
                Effect::DeliverMemo { run, memo_count, .. }
                | Effect::ConfirmReport { run, memo_count, .. } => {
                    let memos = self.memos(*run, *memo_count);
                    effects.push((effect, memos.unwrap_or_default()));
                }
                Effect::Answer { .. } | Effect::AbandonWork { .. } | Effect::AnnounceEnd { .. } => {
                    effects.push((effect, Vec::new()));
                }
            }
        }
        let now = self.shard.now();
        let is_behind = self.shard.is_behind();
        let sealed = Sealed { seq, now, latest, commands, cuts, changes, ends, effects, is_behind };
        let sealed = Rc::new(sealed);
        self.uncommitted.push_back(Rc::clone(&sealed));
        Ok(sealed)
    }

    /// All that is staged becomes durable; the turns whose effects may go.
    pub fn commit(&mut self) -> Result<Vec<Rc<Sealed>>, String> {
        match self.storage.append() {
            Err(_) if self.mistake == Some(Mistake::IgnoresPoison) => {}
            other => other?,
        }
        Ok(self.uncommitted.drain(..).collect())
    }

    /// Whether the shard as loaded from the store is the shard as it is, and both are sound.
    pub fn examine(&self, settings: &Settings) -> Result<(), String> {
        self.shard.audit()?;
        if self.mistake.is_some_and(Mistake::is_for_the_model) {
            return Ok(());
        }
        let timers = self.storage.scan(&[TIMER], &[TIMER + 1], usize::MAX);
        self.shard.audit_timers(&timers)?;
        let loaded = load(self.storage.as_ref(), settings.clone(), Timestamp::default(), None)?;
        let (loaded, live) = (loaded.portrait(), self.shard.portrait());
        if loaded == live {
            Ok(())
        } else {
            Err(format!("loaded from the store it is\n{loaded:#?}\nbut live it is\n{live:#?}"))
        }
    }

    fn read(&self, ask: &Effect) -> Option<Command> {
        let page = |limit: usize| limit.min(self.page);
        match ask {
            Effect::LoadTimers { from, before, limit } => {
                let (timers, is_complete) = self.some(from, before, page(*limit));
                Some(Command::LoadTimers { timers, is_complete })
            }
            Effect::LookBack { run, number, from, before, limit } => {
                let (mut records, is_complete) = self.some(from, before, page(*limit));
                if self.mistake == Some(Mistake::SkipsWhenLookingBack) && !records.is_empty() {
                    records.remove(0);
                }
                let (run, number, before) = (*run, *number, before.clone());
                Some(Command::LookBack { run, number, before, records, is_complete })
            }
            Effect::FindEnd { run, keys } => {
                let record = |key: &Bytes| Some((key.clone(), self.storage.get(key)?));
                let records = keys.iter().filter_map(record).collect();
                Some(Command::TellEnd { run: *run, records })
            }
            Effect::FindExpired { from, before, limit } => {
                let (records, is_complete) = self.some(from, before, page(*limit));
                let (from, before) = (from.clone(), before.clone());
                Some(Command::Expire { from, before, records, is_complete })
            }
            Effect::Answer { .. }
            | Effect::OfferWork(_)
            | Effect::DeliverMemo { .. }
            | Effect::ConfirmReport { .. }
            | Effect::AbandonWork { .. }
            | Effect::AnnounceEnd { .. } => None,
        }
    }

    fn some(&self, from: &Bytes, before: &Bytes, limit: usize) -> (Vec<Record>, bool) {
        let mut records = self.storage.scan(from, before, limit.saturating_add(1));
        let is_complete = records.len() <= limit;
        records.truncate(limit);
        (records, is_complete)
    }

    fn memos(&self, run: RunId, count: u32) -> Result<Vec<Memo>, String> {
        let last = match self.mistake {
            Some(Mistake::ForgetsLastMemo) => count.saturating_sub(1),
            Some(_) | None => count,
        };
        let one = |number| {
            let bytes = self.storage.get(&memo_key(run, number));
            let bytes = bytes.ok_or_else(|| format!("run {run} lacks its memo {number}"))?;
            write::decode("a memo", &bytes).map_err(|why| why.to_string())
        };
        (0..last).map(one).collect()
    }

    /// The turn's writes as changes: archives become a history and deletions.
    fn resolve(
        &mut self,
        writes: Vec<Write>,
        chance: &mut Chance,
    ) -> Result<(Vec<Change>, Ends), String> {
        let (mut changes, mut ends) = (Vec::new(), Vec::new());
        let is_timer = |key: &Bytes| key.first() == Some(&TIMER);
        for write in writes {
            match write {
                Write::Insert { key, .. }
                    if self.mistake == Some(Mistake::DropsTimers)
                        && is_timer(&key)
                        && chance.happens(100) => {}
                Write::Insert { key, .. } | Write::Put { key, .. }
                    if self.mistake.is_some_and(|mistake| mistake.drops_timer(&key)) => {}
                Write::Insert { key, value } => {
                    changes.push(Change { key, value: Some(value), is_new: true });
                }
                Write::Put { key, value } => {
                    changes.push(Change { key, value: Some(value), is_new: false });
                }
                Write::Delete { key } => changes.push(delete(key)),
                Write::Archive { run, end, memo_count } => {
                    let memos = self.archived_memos(run, memo_count, &changes)?;
                    let value = Some(history((*end).clone(), memos));
                    changes.push(Change { key: history_key(run), value, is_new: true });
                    let kept = u32::from(self.mistake == Some(Mistake::LeavesMemos));
                    changes.extend((kept..memo_count).map(|n| delete(memo_key(run, n))));
                    changes.push(delete(run_key(run)));
                    ends.push((run, *end));
                }
            }
        }
        Ok((changes, ends))
    }

    fn archived_memos(
        &self,
        run: RunId,
        count: u32,
        changes: &[Change],
    ) -> Result<Vec<Memo>, String> {
        let one = |number| {
            let key = memo_key(run, number);
            let in_turn = changes.iter().rev().find(|change| change.key == key);
            let bytes = match in_turn {
                Some(change) => change.value.clone(),
                None => self.storage.get(&key),
            };
            let bytes = bytes.ok_or_else(|| format!("run {run} ends without its memo {number}"))?;
            write::decode("a memo", &bytes).map_err(|why| why.to_string())
        };
        (0..count).map(one).collect()
    }
}

/// Where a turn stands.
fn cut(turn: &Turn) -> Cut {
    let leaves = |effect: &&Effect| {
        !matches!(
            effect,
            Effect::LoadTimers { .. }
                | Effect::LookBack { .. }
                | Effect::FindEnd { .. }
                | Effect::FindExpired { .. }
        )
    };
    let is_event = |write: &&Write| match write {
        Write::Insert { key, .. } | Write::Put { key, .. } => key.first() == Some(&EVENT),
        Write::Delete { .. } | Write::Archive { .. } => false,
    };
    let effects = turn.effects.iter().filter(leaves).count();
    Cut { effects, events: turn.writes.iter().filter(is_event).count() }
}

/// A record that is said to be new must be: the store leaves no trace of one that goes again at once.
fn check_news(storage: &dyn Storage, changes: &[Change]) -> Result<(), String> {
    for (place, change) in changes.iter().enumerate().filter(|(_, change)| change.is_new) {
        let earlier = changes.iter().take(place).rev().find(|other| other.key == change.key);
        let is_there = match earlier {
            Some(other) => other.value.is_some(),
            None => storage.get(&change.key).is_some(),
        };
        if is_there {
            return Err(format!("{:?} is inserted and was there", change.key));
        }
    }
    Ok(())
}

fn delete(key: Bytes) -> Change {
    Change { key, value: None, is_new: false }
}

/// The shard as a store has it.
pub fn load(
    storage: &dyn Storage,
    settings: Settings,
    now: Timestamp,
    mistake: Option<Mistake>,
) -> Result<Shard, String> {
    let records = LOADED_PREFIXES
        .into_iter()
        .flat_map(|prefix| storage.scan(&[prefix], &[prefix.saturating_add(1)], usize::MAX));
    let records = records.filter_map(|record| match mistake {
        Some(mistake) => mistake.found(record),
        None => Some(record),
    });
    Shard::load(settings, now, records).map_err(|why| why.to_string())
}

/// How many live runs' records and memos a store holds.
pub fn live_keys(storage: &dyn Storage) -> (usize, usize) {
    let count = |prefix: u8| storage.scan(&[prefix], &[prefix.saturating_add(1)], usize::MAX).len();
    (count(RUN), count(MEMO))
}
