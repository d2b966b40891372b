//! Executors outside of the engine's process: code that is told all of its run with each call, and that nothing of is
//! left between two. And what the engine's process knows of the calls that are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use durable_core::{Epoch, Memo, Op, Outcome, Report, Retry, RunId, Timestamp, Work};

use crate::chance::Chance;
use crate::executor::{op_of, raised, result_of};
use crate::mix::Mix;
use crate::outside::Outside;
use crate::program::{Asked, Standing};

/// What comes of calls.
#[derive(Clone, Debug)]
pub enum Doing {
    /// A report, in the words of the engine's process.
    Say(Report),
    /// A call is busy for so long, and is then to be told to [`Remotes::end_call`].
    Busy(u64, Duration),
}

/// How far a call has come.
#[derive(Clone, Debug)]
enum Stage {
    /// A step's function executes; `is_asked`: it was called for.
    Stepping { number: usize, is_asked: bool },
    /// A step is recorded under this number, and the code waits until that is on disk.
    Recorded { number: u32, name: String, outcome: Outcome },
    /// The reply is on its way.
    Replying { ops: Vec<Op>, waits_for_all: bool },
}

/// A call of a function.
#[derive(Clone, Debug)]
struct Call {
    work: Work,
    memos: BTreeMap<String, Outcome>,
    /// Places of the code between steps that it has come through.
    passed: BTreeSet<u32>,
    /// How many memos its code has, its own among them.
    seen: u32,
    next_number: u32,
    /// It records each step before it goes on to the next.
    has_checkpoints: bool,
    /// Its reply gets lost: what is said of it instead.
    no_reply: Option<Op>,
    stage: Stage,
}

impl Call {
    /// The step that it executes here: the one that it was called for, or one that the code comes upon alone while
    /// nothing else is under way.
    fn executes(&self, standing: &Standing, asked: &[Asked]) -> Option<String> {
        if let Some(wanted) = &self.work.step {
            return asked.iter().any(|one| one.name() == wanted).then(|| wanted.clone());
        }
        let [Asked::Step(step)] = asked else { return None };
        let is_alone = *standing == Standing::Waiting && self.work.pending.is_empty();
        is_alone.then(|| step.name.clone())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Remotes {
    chance: Chance,
    mix: Rc<Mix>,
    /// All calls under way, whoever has made them: they live on when the engine's process ends.
    calls: BTreeMap<u64, Call>,
    next: u64,
    /// What the engine's process waits for.
    open: BTreeMap<(RunId, Epoch), u64>,
    /// Runs whose code it does not call before all that they asked for has come.
    waiting: BTreeSet<RunId>,
    /// Nothing goes wrong any more.
    pub is_safe: bool,
    /// What came of it since somebody looked.
    pub doings: Vec<Doing>,
    /// What has happened since then, by name.
    pub notes: Vec<&'static str>,
    /// What was found wrong with what was told.
    pub complaint: Option<String>,
}

/// Said of a call whose reply is lost.
pub const NO_REPLY: &str = "elsewhere: no reply";

impl Remotes {
    /// Nothing is under way.
    pub const fn new(chance: Chance, mix: Rc<Mix>) -> Self {
        Self {
            chance,
            mix,
            calls: BTreeMap::new(),
            next: 0,
            open: BTreeMap::new(),
            waiting: BTreeSet::new(),
            is_safe: false,
            doings: Vec::new(),
            notes: Vec::new(),
            complaint: None,
        }
    }

    /// The engine's process has ended. What it called goes on, but nobody waits for it; code that waits for a word
    /// of the process hears that there will be none.
    pub fn restart(&mut self) {
        self.open.clear();
        self.waiting.clear();
        let under_way = self.calls.len();
        self.calls.retain(|_, call| !matches!(call.stage, Stage::Recorded { .. }));
        if under_way > 0 {
            self.notes.push("elsewhere: a call outlives the engine's process");
        }
    }

    /// What is waited for.
    pub fn open(&self) -> impl Iterator<Item = (RunId, Epoch)> {
        self.open.keys().copied()
    }

    /// A piece of work comes, with all memos of its run: one call.
    pub fn offer(&mut self, work: &Work, memos: &[Memo], outside: &mut Outside, now: Timestamp) {
        let (run, epoch) = (work.run, work.epoch);
        if work.step.is_none() && !work.pending.is_empty() && self.waiting.contains(&run) {
            self.notes.push("elsewhere: parked until all has come");
            let parked_at = Some(work.memo_count);
            let report = Report { run, epoch, number: 0, ops: Vec::new(), parked_at };
            self.doings.push(Doing::Say(report));
            return;
        }
        self.notes.push("elsewhere: called");
        let no_reply = self.draw_no_reply(work, outside, now);
        let was_reached = no_reply.is_none() || self.chance.happens(700);
        let checkpoints = self.mix.elsewhere.checkpoints;
        let has_checkpoints = work.step.is_none() && self.chance.happens(checkpoints);
        let id = self.next;
        self.next = id.saturating_add(1);
        let pairs = memos.iter().map(|memo| (memo.name.clone(), memo.outcome.clone()));
        let call = Call {
            work: work.clone(),
            memos: pairs.collect(),
            passed: BTreeSet::new(),
            seen: u32::try_from(memos.len()).unwrap_or(u32::MAX),
            next_number: 0,
            has_checkpoints,
            no_reply,
            stage: Stage::Replying { ops: Vec::new(), waits_for_all: false },
        };
        self.open.insert((run, epoch), id);
        self.calls.insert(id, call);
        if was_reached {
            self.go_on(id, outside, now);
        } else {
            self.be_busy(id);
        }
    }

    /// What is said in place of a reply that gets lost.
    fn draw_no_reply(&mut self, work: &Work, outside: &mut Outside, now: Timestamp) -> Option<Op> {
        if self.is_safe || !self.chance.happens(self.mix.elsewhere.no_reply) {
            return None;
        }
        self.notes.push(NO_REPLY);
        let number = outside.lose_reply(work.run, work.step.as_deref(), work.epoch, now);
        let error = outside.call(number).map(|call| call.bytes.clone()).unwrap_or_default();
        Some(raised(error, Retry::Backoff))
    }

    /// The code goes as far as it can.
    fn go_on(&mut self, id: u64, outside: &mut Outside, now: Timestamp) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (run, epoch) = (call.work.run, call.work.epoch);
        let program = outside.program(run);
        let is_asked = call.work.step.is_some();
        let ops = loop {
            let (standing, asked) = program.go(&call.memos, &call.passed);
            if let Some(name) = call.executes(&standing, &asked) {
                let number = outside.call_step(run, &name, epoch, now);
                call.stage = Stage::Stepping { number, is_asked };
                self.be_busy(id);
                return;
            }
            if let Standing::AtCode(place) = standing {
                call.passed.insert(place);
                let number = outside.call_code(run, place, epoch, now);
                let raising = number.and_then(|number| outside.call(number));
                match raising.and_then(|it| Some(raised(it.bytes.clone(), it.error?))) {
                    Some(error) => break Some(error),
                    None => continue,
                }
            }
            if is_asked {
                let name = call.work.step.clone();
                self.complaint = Some(format!("run {run}: called for {name:?}, not come upon"));
                break None;
            }
            match standing {
                Standing::Raised(error) => break Some(raised(error, Retry::Never)),
                Standing::Done => {
                    let number = outside.call_return(run, epoch, now);
                    let call = outside.call(number);
                    break call.map(|call| Op::RunComplete { data: call.bytes.clone() });
                }
                Standing::Waiting | Standing::AtCode(_) => {
                    self.ask(id, asked, outside, now);
                    return;
                }
            }
        };
        self.reply(id, ops.into_iter().collect(), false);
    }

    /// The code waits: it asks for all that it wants, also for what it has asked for before.
    fn ask(&mut self, id: u64, mut asked: Vec<Asked>, outside: &mut Outside, now: Timestamp) {
        let Some(call) = self.calls.get(&id) else { return };
        let (run, pending) = (call.work.run, &call.work.pending);
        if self.chance.happens(200) {
            asked.retain(|one| !pending.iter().any(|name| name == one.name()));
        }
        let is_known = |one: &Asked| pending.iter().any(|name| name == one.name());
        if asked.iter().any(is_known) {
            self.notes.push("elsewhere: asked once more");
        }
        let is_group = asked.len() > 1;
        let ops = asked.into_iter().map(|one| op_of(one, run, outside, now)).collect();
        let waits_for_all = is_group && self.chance.happens(self.mix.elsewhere.for_all);
        self.reply(id, ops, waits_for_all);
    }

    fn reply(&mut self, id: u64, ops: Vec<Op>, waits_for_all: bool) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.stage = Stage::Replying { ops, waits_for_all };
        self.be_busy(id);
    }

    fn be_busy(&mut self, id: u64) {
        let is_slow = !self.is_safe && self.chance.happens(self.mix.elsewhere.slow);
        let most = if is_slow { self.mix.work * 20 } else { self.mix.work };
        self.notes.extend(is_slow.then_some("elsewhere: a call that takes long"));
        let length = self.chance.length(most);
        self.doings.push(Doing::Busy(id, length));
    }

    /// What a call was busy with is over.
    pub fn end_call(&mut self, id: u64, outside: &Outside) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let key = (call.work.run, call.work.epoch);
        match call.stage.clone() {
            Stage::Recorded { .. } => {}
            Stage::Replying { ops, waits_for_all } => self.finish(id, ops, waits_for_all),
            Stage::Stepping { number, is_asked } => {
                let Some(op) = result_of(outside, number) else { return };
                let Op::StepRun { name, data } = &op else {
                    return self.finish(id, vec![op], false);
                };
                if is_asked || !call.has_checkpoints {
                    return self.finish(id, vec![op], false);
                }
                let (name, outcome) = (name.clone(), Outcome::Data(data.clone()));
                let number = call.next_number;
                call.next_number = number.saturating_add(1);
                call.stage = Stage::Recorded { number, name, outcome };
                self.notes.push("elsewhere: a step recorded in the middle of a call");
                self.say(
                    key,
                    Report { run: key.0, epoch: key.1, number, ops: vec![op], parked_at: None },
                );
                if !self.open.contains_key(&key) {
                    self.calls.remove(&id); // it hears that it counts no more
                }
            }
        }
    }

    /// The reply has come, or it is certain that there will be none.
    fn finish(&mut self, id: u64, ops: Vec<Op>, waits_for_all: bool) {
        let Some(call) = self.calls.remove(&id) else { return };
        let (run, epoch, number) = (call.work.run, call.work.epoch, call.next_number);
        let ops = call.no_reply.map_or(ops, |error| vec![error]);
        let ends = |op: &Op| matches!(op, Op::RunComplete { .. } | Op::RunError { .. });
        let is_over = call.work.step.is_some() || ops.iter().any(ends);
        let parked_at = (!is_over).then_some(call.seen);
        self.say((run, epoch), Report { run, epoch, number, ops, parked_at });
        let is_open = self.open.get(&(run, epoch)) == Some(&id);
        if is_open {
            self.open.remove(&(run, epoch));
        }
        if is_open && call.work.step.is_none() && waits_for_all {
            self.waiting.insert(run);
        } else if is_open && call.work.step.is_none() {
            self.waiting.remove(&run);
        }
    }

    /// What nobody waits for is mostly not heard.
    fn say(&mut self, key: (RunId, Epoch), report: Report) {
        let is_open = self.open.contains_key(&key);
        if is_open || self.chance.happens(400) {
            self.notes.extend((!is_open).then_some("elsewhere: a reply that is too late"));
            self.doings.push(Doing::Say(report));
        }
    }

    /// A report is on disk: code that waited for that goes on.
    pub fn confirm(
        &mut self,
        (run, epoch, number): (RunId, Epoch, u32),
        outside: &mut Outside,
        now: Timestamp,
    ) {
        let Some(id) = self.open.get(&(run, epoch)).copied() else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Stage::Recorded { number: said, name, outcome } = call.stage.clone() else { return };
        if said > number {
            return;
        }
        call.memos.insert(name, outcome);
        call.seen = call.seen.saturating_add(1);
        self.go_on(id, outside, now);
    }

    /// Nobody waits for this any more.
    pub fn abandon(&mut self, run: RunId, epoch: Epoch) {
        let Some(id) = self.open.remove(&(run, epoch)) else { return };
        let call = self.calls.get(&id);
        if call.is_some_and(|call| matches!(call.stage, Stage::Recorded { .. })) {
            self.calls.remove(&id);
        }
    }
}
