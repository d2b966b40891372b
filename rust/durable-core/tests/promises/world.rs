//! A shard with a store beside it that carries out each turn, and looks after each whether a restart
//! would find the same shard.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one effect among all")]
#![expect(unreachable_pub, reason = "the file is a module of a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Answer, Backoff, Command, Effect, Epoch, EventId, FunctionSpec, NewEvent, Op, Record, Report,
    Retry, RunId, Settings, Shard, Ticket, Timestamp, Turn, Until, Work, Write, write,
};

pub const SECOND: Duration = Duration::from_secs(1);
pub const DAY: Duration = Duration::from_hours(24);

pub struct World {
    pub shard: Shard,
    pub store: BTreeMap<Bytes, Bytes>,
    pub now: Timestamp,
    pub settings: Settings,
    pub offered: Vec<Work>,
    pub other: Vec<Effect>,
    pub functions: Vec<FunctionSpec>,
    /// Audits after every turn; off where a test makes very many runs.
    pub is_audited: bool,
    /// Time that passes between any two turns.
    pub drift: Duration,
    /// Ends that are to be told are read when the shard asks for them.
    pub reads_ends: bool,
    /// How often the shard has asked the store.
    pub question_count: u32,
    /// Its questions are kept rather than answered.
    held_back: Option<Vec<Command>>,
}

pub fn function(name: &str, trigger: &str) -> FunctionSpec {
    FunctionSpec {
        triggers: vec![trigger.to_owned()],
        backoff: Backoff { jitter: Duration::ZERO, ..Backoff::default() },
        ..FunctionSpec::new("app", name)
    }
}

pub fn event(name: &str) -> NewEvent {
    NewEvent { name: name.to_owned(), data: Bytes::from_static(b"{}"), ..NewEvent::default() }
}

pub fn with_id(name: &str, id: &str) -> NewEvent {
    NewEvent { user_id: Some(id.to_owned()), ..event(name) }
}

pub fn ran(name: &str) -> Op {
    Op::StepRun { name: name.to_owned(), data: Bytes::from_static(b"1") }
}

pub fn failed(name: &str, retry: Retry) -> Op {
    Op::StepError { name: name.to_owned(), error: Bytes::from_static(b"{}"), retry }
}

pub fn raised(retry: Retry) -> Op {
    Op::RunError { error: Bytes::from_static(b"{}"), retry, has_left_step: false }
}

pub fn sleeps(name: &str, until: Until) -> Op {
    Op::Sleep { name: name.to_owned(), until }
}

pub fn planned(name: &str) -> Op {
    Op::StepPlanned { name: name.to_owned() }
}

pub fn done() -> Op {
    Op::RunComplete { data: Bytes::from_static(b"\"done\"") }
}

impl World {
    pub fn new(functions: Vec<FunctionSpec>) -> Self {
        Self::with_settings(functions, Settings::default())
    }

    pub fn with_settings(functions: Vec<FunctionSpec>, settings: Settings) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let shard = Shard::load(settings.clone(), now, []).unwrap();
        let mut world = Self {
            shard,
            store: BTreeMap::new(),
            now,
            settings,
            offered: Vec::new(),
            other: Vec::new(),
            functions,
            is_audited: true,
            drift: Duration::ZERO,
            reads_ends: true,
            question_count: 0,
            held_back: None,
        };
        world.register();
        world.connect(1_000);
        world
    }

    pub fn register(&mut self) {
        let functions = self.functions.clone();
        self.turn(vec![Command::RegisterFunctions {
            ticket: Ticket(0),
            app: "app".to_owned(),
            functions,
        }]);
    }

    pub fn connect(&mut self, capacity: u32) {
        let functions = self.functions.iter().map(|spec| spec.name.clone()).collect();
        self.turn(vec![Command::ConnectExecutor {
            executor: durable_core::ExecutorId::LOCAL,
            capacity,
            functions,
        }]);
    }

    /// Everything in memory is lost; the shard is made again from the store.
    pub fn crash(&mut self) {
        self.offered.clear();
        self.shard = self.reloaded();
        self.register();
        self.connect(1_000);
    }

    fn reloaded(&self) -> Shard {
        let records = write::LOADED_PREFIXES.iter().flat_map(|prefix| {
            self.store
                .range(Bytes::copy_from_slice(&[*prefix])..Bytes::copy_from_slice(&[prefix + 1]))
                .map(|(key, value)| (key.clone(), value.clone()))
        });
        Shard::load(self.settings.clone(), self.now, records.collect::<Vec<Record>>()).unwrap()
    }

    /// One turn, and those that answer what it asked of the store.
    pub fn turn(&mut self, commands: Vec<Command>) {
        self.now = self.now.plus(self.drift);
        let mut turn = Turn::default();
        for command in commands {
            self.shard.handle(self.now, command, &mut turn);
        }
        self.shard.tick(self.now, &mut turn);
        self.shard.dispatch(self.now, &mut turn);
        for write in turn.writes {
            self.carry_out(write);
        }
        if self.is_audited {
            self.audit();
        }
        let mut questions = Vec::new();
        for effect in turn.effects {
            match effect {
                Effect::LoadTimers { from, before, limit } => {
                    let (timers, is_complete) = self.read(&from, &before, limit);
                    questions.push(Command::LoadTimers { timers, is_complete });
                }
                Effect::FindEnd { .. } if !self.reads_ends => {}
                Effect::FindEnd { run, keys } => {
                    let record = |key: Bytes| Some((key.clone(), self.store.get(&key)?.clone()));
                    let records = keys.into_iter().filter_map(record).collect();
                    questions.push(Command::TellEnd { run, records });
                }
                Effect::FindExpired { from, before, limit } => {
                    let (records, is_complete) = self.read(&from, &before, limit);
                    questions.push(Command::Expire { from, before, records, is_complete });
                }
                Effect::OfferWork(work) => self.offered.push(work),
                other => self.other.push(other),
            }
        }
        if let Some(held_back) = &mut self.held_back {
            held_back.extend(questions);
        } else if !questions.is_empty() {
            self.question_count += 1;
            assert!(self.question_count < 1_000, "the shard asks the store without end");
            self.turn(questions);
        }
    }

    fn read(&self, from: &Bytes, before: &Bytes, limit: usize) -> (Vec<Record>, bool) {
        let mut found = self.store.range(from.clone()..before.clone());
        let records = found.by_ref().take(limit).map(|(key, value)| (key.clone(), value.clone()));
        (records.collect(), found.next().is_none())
    }

    fn carry_out(&mut self, change: Write) {
        match change {
            Write::Insert { key, value } => {
                assert!(self.store.insert(key, value).is_none(), "an insert replaced a record");
            }
            Write::Put { key, value } => {
                self.store.insert(key, value);
            }
            Write::Delete { key } => {
                self.store.remove(&key);
            }
            Write::Archive { run, end, memo_count } => {
                let memos = (0..memo_count).map(|number| {
                    let bytes = self
                        .store
                        .remove(&write::memo_key(run, number))
                        .expect("a memo is missing");
                    write::decode("a memo", &bytes).unwrap()
                });
                let history = write::history(*end, memos.collect());
                self.store.remove(&write::run_key(run));
                self.store.insert(write::history_key(run), history);
            }
        }
    }

    /// A restart must find the same shard, and the shard must agree with itself.
    fn audit(&self) {
        assert_eq!(self.reloaded().portrait(), self.shard.portrait());
        self.shard.audit().unwrap();
        self.shard.audit_timers(&self.all(write::TIMER)).unwrap();
    }

    /// Does something, and answers what the shard asks of the store meanwhile but for the last question about what is
    /// old: that is given back.
    pub fn hold_back_questions(&mut self, act: impl FnOnce(&mut Self)) -> Option<Command> {
        self.held_back = Some(Vec::new());
        act(self);
        let mut asked = self.held_back.take().unwrap_or_default();
        let place = asked.iter().rposition(|one| matches!(one, Command::Expire { .. }));
        let held_back = place.map(|place| asked.remove(place));
        if !asked.is_empty() {
            self.turn(asked);
        }
        held_back
    }

    /// All records of one kind.
    pub fn all(&self, prefix: u8) -> Vec<Record> {
        self.read(
            &Bytes::copy_from_slice(&[prefix]),
            &Bytes::copy_from_slice(&[prefix + 1]),
            usize::MAX,
        )
        .0
    }

    pub fn send(&mut self, events: Vec<NewEvent>) -> Vec<EventId> {
        self.send_from(events, None)
    }

    pub fn send_from(
        &mut self,
        events: Vec<NewEvent>,
        source: Option<(String, u64)>,
    ) -> Vec<EventId> {
        let known = |event: &NewEvent| self.known(event.user_id.as_deref()?);
        let events = events.into_iter().map(|event| (event.clone(), known(&event))).collect();
        self.turn(vec![Command::AcceptEvents { ticket: Ticket(7), events, source }]);
        match self.answer() {
            Answer::Accepted(ids) => ids,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// What is remembered of a sender's id.
    pub fn known(&self, id: &str) -> Option<Record> {
        let key = write::dedup_key(id);
        self.store.get(&key).map(|value| (key.clone(), value.clone()))
    }

    /// The last answer.
    pub fn answer(&self) -> Answer {
        let answers = self.other.iter().filter_map(|effect| match effect {
            Effect::Answer { answer, .. } => Some(answer.clone()),
            _ => None,
        });
        answers.last().expect("nothing was answered")
    }

    /// Takes what has been offered.
    pub fn work(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.offered)
    }

    /// Takes the one piece of work that has been offered.
    pub fn only_work(&mut self) -> Work {
        let work = self.work();
        assert_eq!(work.len(), 1, "{work:?}");
        work.into_iter().next().unwrap()
    }

    pub fn report(&mut self, work: &Work, number: u32, ops: Vec<Op>, parked_at: Option<u32>) {
        self.turn(vec![report(work, number, ops, parked_at)]);
    }

    pub fn advance(&mut self, length: Duration) {
        self.now = self.now.plus(length);
        self.turn(Vec::new());
    }

    pub fn ended(&self) -> Vec<RunId> {
        let ended = self.other.iter().filter_map(|effect| match effect {
            Effect::AnnounceEnd { run, .. } => Some(*run),
            _ => None,
        });
        ended.collect()
    }

    pub fn abandoned(&self) -> Vec<(RunId, Epoch)> {
        let abandoned = self.other.iter().filter_map(|effect| match effect {
            Effect::AbandonWork { run, epoch } => Some((*run, *epoch)),
            _ => None,
        });
        abandoned.collect()
    }
}

pub fn report(work: &Work, number: u32, ops: Vec<Op>, parked_at: Option<u32>) -> Command {
    Command::Report(Report { run: work.run, epoch: work.epoch, number, ops, parked_at })
}
