//! An executor that keeps to the protocol: it goes through handlers, calls steps, and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use durable_core::{
    Epoch, Memo, OnConflict, Op, Outcome, Report, Retry, RunId, Timestamp, Until, Work,
};

use crate::chance::Chance;
use crate::outside::Outside;
use crate::program::{Asked, Hear, Invoke, Sleep, Standing, Wait};

/// What an executor does to the world.
#[derive(Clone, Debug)]
pub enum Doing {
    /// It says something.
    Say(Report),
    /// A call ends after so long, and is then to be told to [`Executor::end_call`].
    Call {
        /// The run.
        run: RunId,
        /// Under which work.
        epoch: Epoch,
        /// Which call.
        call: usize,
        /// How long it takes.
        length: Duration,
    },
}

/// A step that executes on its stretch's slot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inline {
    Calling { name: String, call: usize },
    Reported { name: String, number: u32 },
}

/// A handler that has been called.
#[derive(Clone, Debug, Default)]
struct Live {
    function: u32,
    /// `Some` while its code executes.
    epoch: Option<Epoch>,
    next_number: u32,
    memos: BTreeMap<String, Outcome>,
    /// How many memos it was given, or made itself.
    seen: u32,
    asked: BTreeSet<String>,
    passed: BTreeSet<u32>,
    inline: Option<Inline>,
    /// Ops that were not said yet, results among them.
    unsent: Vec<Op>,
}

/// Everything in an executor's memory.
#[derive(Debug)]
pub struct Executor {
    chance: Chance,
    work: Duration,
    buffer: usize,
    drops_parked: u32,
    live: BTreeMap<RunId, Live>,
    steps: BTreeMap<(RunId, Epoch), (u32, String, usize)>,
    /// What it has done since somebody looked.
    pub doings: Vec<Doing>,
    /// What it found wrong with what it was told.
    pub complaint: Option<String>,
}

impl Executor {
    /// An executor that has just been started.
    pub fn new(chance: Chance, mix: &crate::mix::Mix) -> Self {
        Self {
            chance,
            work: mix.work,
            buffer: usize::try_from(mix.buffer).unwrap_or(0),
            drops_parked: mix.drops_parked,
            live: BTreeMap::new(),
            steps: BTreeMap::new(),
            doings: Vec::new(),
            complaint: None,
        }
    }

    /// How many slots of a function it knows itself to hold.
    pub fn held_count(&self, function: u32) -> usize {
        let code = self.live.values().filter(|l| l.epoch.is_some() && l.function == function);
        let steps = self.steps.values().filter(|(of, _, _)| *of == function);
        code.count().saturating_add(steps.count())
    }

    /// Work it holds, for garbage about it.
    pub fn held(&self) -> Vec<(RunId, Epoch, u32)> {
        let code = self.live.iter().filter_map(|(run, l)| Some((*run, l.epoch?, l.next_number)));
        code.chain(self.steps.keys().map(|(run, epoch)| (*run, *epoch, 0))).collect()
    }

    /// A piece of work comes, with all memos of its run.
    pub fn offer(&mut self, work: &Work, memos: &[Memo], outside: &mut Outside, now: Timestamp) {
        let seen = count_of(memos);
        let memos: BTreeMap<String, Outcome> =
            memos.iter().map(|memo| (memo.name.clone(), memo.outcome.clone())).collect();
        if let Some(name) = &work.step {
            self.offer_step((work, name), &memos, outside, now);
            return;
        }
        let live = self.live.entry(work.run).or_default();
        if live.epoch.is_some() {
            *live = Live::default();
        }
        let passed = std::mem::take(&mut live.passed);
        *live = Live {
            function: work.function.0,
            epoch: Some(work.epoch),
            memos,
            seen,
            asked: work.pending.iter().cloned().collect(),
            passed,
            ..Live::default()
        };
        self.go_on(work.run, outside, now);
    }

    fn offer_step(
        &mut self,
        (work, name): (&Work, &str),
        memos: &BTreeMap<String, Outcome>,
        outside: &mut Outside,
        now: Timestamp,
    ) {
        let (run, epoch) = (work.run, work.epoch);
        self.steps.retain(|(of, _), (_, held, _)| *of != run || held != name);
        let mut passed = self.live.get(&run).map(|live| live.passed.clone()).unwrap_or_default();
        let program = outside.program(run);
        let op = loop {
            let (standing, asked) = program.go(memos, &passed);
            if asked.iter().any(|asked| asked.name() == name) {
                let call = outside.call_step(run, name, epoch, now);
                self.steps.insert((run, epoch), (work.function.0, name.to_owned(), call));
                self.begin(run, epoch, call);
                return;
            }
            match standing {
                Standing::AtCode(place) => match outside.call_code(run, place, epoch, now) {
                    None => drop(passed.insert(place)),
                    Some(call) => break error_of(outside, call),
                },
                // it was offered beside the code, which ends with memos that came at the same time
                Standing::Done | Standing::Raised(_) => break None,
                Standing::Waiting => {
                    self.complaint = Some(format!("run {run}: offered '{name}', not come upon"));
                    break None;
                }
            }
        };
        let ops = op.into_iter().collect();
        self.doings.push(Doing::Say(Report { run, epoch, number: 0, ops, parked_at: None }));
    }

    /// Memos came while the code executes.
    pub fn deliver(
        &mut self,
        (run, epoch): (RunId, Epoch),
        memos: &[Memo],
        outside: &mut Outside,
        now: Timestamp,
    ) {
        let Some(live) = self.live.get_mut(&run).filter(|live| live.epoch == Some(epoch)) else {
            return;
        };
        live.seen = live.seen.max(count_of(memos));
        live.memos.extend(memos.iter().map(|memo| (memo.name.clone(), memo.outcome.clone())));
        self.go_on(run, outside, now);
    }

    /// A report is on disk; what waited for it goes on.
    pub fn confirm(
        &mut self,
        (run, epoch, number): (RunId, Epoch, u32),
        memos: &[Memo],
        outside: &mut Outside,
        now: Timestamp,
    ) {
        let Some(live) = self.live.get_mut(&run).filter(|live| live.epoch == Some(epoch)) else {
            return;
        };
        live.seen = live.seen.max(count_of(memos));
        live.memos.extend(memos.iter().map(|memo| (memo.name.clone(), memo.outcome.clone())));
        let Some(Inline::Reported { name, number: reported }) = live.inline.clone() else { return };
        if reported != number {
            return;
        }
        live.inline = None;
        if !live.memos.contains_key(&name) {
            live.asked.insert(name);
        }
        self.go_on(run, outside, now);
    }

    /// What executes under this epoch is dropped.
    pub fn abandon(&mut self, run: RunId, epoch: Epoch) {
        if self.live.get(&run).is_some_and(|live| live.epoch == Some(epoch)) {
            self.live.remove(&run);
        }
        self.steps.remove(&(run, epoch));
    }

    /// A run has ended.
    pub fn forget(&mut self, run: RunId) {
        self.live.remove(&run);
        self.steps.retain(|(of, _), _| *of != run);
    }

    /// A call has ended.
    pub fn end_call(
        &mut self,
        (run, epoch, call): (RunId, Epoch, usize),
        outside: &mut Outside,
        now: Timestamp,
    ) {
        if self.steps.get(&(run, epoch)).is_some_and(|(_, _, held)| *held == call) {
            self.steps.remove(&(run, epoch));
            let ops = result_of(outside, call).into_iter().collect();
            self.doings.push(Doing::Say(Report { run, epoch, number: 0, ops, parked_at: None }));
            return;
        }
        let Some(live) = self.live.get_mut(&run).filter(|live| live.epoch == Some(epoch)) else {
            return;
        };
        let Some(Inline::Calling { name, call: calling }) = live.inline.clone() else { return };
        let (Some(op), true) = (result_of(outside, call), calling == call) else { return };
        let held_back = live.unsent.iter().filter(|op| matches!(op, Op::StepRun { .. })).count();
        match &op {
            Op::StepRun { data, .. } if held_back < self.buffer => {
                live.inline = None;
                live.memos.insert(name, Outcome::Data(data.clone()));
                live.seen = live.seen.saturating_add(1);
                live.unsent.push(op);
                self.go_on(run, outside, now);
            }
            Op::StepRun { .. }
            | Op::StepError { .. }
            | Op::StepPlanned { .. }
            | Op::Sleep { .. }
            | Op::WaitForSignal { .. }
            | Op::WaitForEvent { .. }
            | Op::InvokeFunction { .. }
            | Op::RunComplete { .. }
            | Op::RunError { .. } => {
                let is_error = matches!(op, Op::StepError { .. });
                live.unsent.push(op);
                let parks =
                    is_error && self.chance.happens(300) && waits(live, &name, outside, run);
                if parks {
                    live.inline = None;
                    self.park(run, epoch);
                } else {
                    live.inline = Some(Inline::Reported { name, number: live.next_number });
                    self.say(run, epoch, None);
                }
            }
        }
    }

    /// The handler's code goes as far as it can.
    fn go_on(&mut self, run: RunId, outside: &mut Outside, now: Timestamp) {
        let program = outside.program(run);
        loop {
            let Some(live) = self.live.get_mut(&run) else { return };
            let Some(epoch) = live.epoch else { return };
            let (standing, asked) = program.go(&live.memos, &live.passed);
            let ending = match standing {
                Standing::AtCode(place) => match outside.call_code(run, place, epoch, now) {
                    None => {
                        live.passed.insert(place);
                        continue;
                    }
                    Some(call) => error_of(outside, call),
                },
                Standing::Raised(error) => Some(raised(error, Retry::Never)),
                Standing::Done => {
                    let call = outside.call_return(run, epoch, now);
                    let call = outside.call(call);
                    call.map(|call| Op::RunComplete { data: call.bytes.clone() })
                }
                Standing::Waiting => None,
            };
            if let Some(op) = ending {
                live.unsent.push(op);
                self.say(run, epoch, None);
                self.live.remove(&run);
            } else {
                self.ask((run, epoch), asked, outside, now);
            }
            return;
        }
    }

    /// Asks for what the code has come upon in this pass: a call alone executes here.
    fn ask(
        &mut self,
        (run, epoch): (RunId, Epoch),
        asked: Vec<Asked>,
        outside: &mut Outside,
        now: Timestamp,
    ) {
        let Some(live) = self.live.get_mut(&run) else { return };
        let busy = match &live.inline {
            Some(Inline::Calling { name, .. } | Inline::Reported { name, .. }) => {
                Some(name.clone())
            }
            None => None,
        };
        let is_new = |asked: &Asked| {
            !live.asked.contains(asked.name()) && busy.as_deref() != Some(asked.name())
        };
        let news: Vec<Asked> = asked.into_iter().filter(is_new).collect();
        if let ([Asked::Step(step)], None) = (news.as_slice(), &busy) {
            let call = outside.call_step(run, &step.name, epoch, now);
            live.inline = Some(Inline::Calling { name: step.name.clone(), call });
            self.begin(run, epoch, call);
            return;
        }
        for asked in news {
            live.asked.insert(asked.name().to_owned());
            live.unsent.push(op_of(asked, run, outside, now));
        }
        if busy.is_none() {
            self.park(run, epoch);
        } else if !live.unsent.is_empty() {
            self.say(run, epoch, None);
        }
    }

    fn park(&mut self, run: RunId, epoch: Epoch) {
        let Some(live) = self.live.get(&run) else { return };
        // A result said in this very report counts: the shard has it before it looks.
        let seen = live.seen;
        self.say(run, epoch, Some(seen));
        if self.chance.happens(self.drops_parked) {
            self.live.remove(&run);
        } else if let Some(live) = self.live.get_mut(&run) {
            live.epoch = None;
            live.inline = None;
        }
    }

    fn say(&mut self, run: RunId, epoch: Epoch, parked_at: Option<u32>) {
        let Some(live) = self.live.get_mut(&run) else { return };
        let number = live.next_number;
        live.next_number = number.saturating_add(1);
        let ops = std::mem::take(&mut live.unsent);
        self.doings.push(Doing::Say(Report { run, epoch, number, ops, parked_at }));
    }

    fn begin(&mut self, run: RunId, epoch: Epoch, call: usize) {
        let length = self.chance.length(self.work);
        self.doings.push(Doing::Call { run, epoch, call, length });
    }
}

/// What asks for this.
pub(crate) fn op_of(asked: Asked, run: RunId, outside: &mut Outside, now: Timestamp) -> Op {
    match asked {
        Asked::Step(step) => Op::StepPlanned { name: step.name },
        Asked::Wait(Wait { name, signal, length, replaces }) => Op::WaitForSignal {
            name,
            signal,
            until: Until::For(length),
            on_conflict: if replaces { OnConflict::Replace } else { OnConflict::Fail },
        },
        Asked::Hear(Hear { name, event, expression, since, length, behind }) => {
            let (own, until) = (None, Until::For(length));
            Op::WaitForEvent { name, event, expression, own, until, since, behind }
        }
        Asked::Invoke(Invoke { name, function, data, length, .. }) => {
            Op::InvokeFunction { name, function, data, until: Until::For(length) }
        }
        Asked::Sleep(Sleep { name, length, is_moment: false }) => {
            Op::Sleep { name, until: Until::For(length) }
        }
        Asked::Sleep(Sleep { name, length, is_moment: true }) => {
            let moment = outside.first_asked(run, &name, now).plus(length);
            Op::Sleep { name, until: Until::At(moment) }
        }
    }
}

/// True where the code, without the result of this one step, has nothing else to ask for.
fn waits(live: &Live, name: &str, outside: &mut Outside, run: RunId) -> bool {
    let (standing, asked) = outside.program(run).go(&live.memos, &live.passed);
    let is_known = |asked: &Asked| asked.name() == name || live.asked.contains(asked.name());
    standing == Standing::Waiting && asked.iter().all(is_known)
}

fn count_of(memos: &[Memo]) -> u32 {
    u32::try_from(memos.len()).unwrap_or(u32::MAX)
}

pub(crate) fn result_of(outside: &Outside, call: usize) -> Option<Op> {
    let call = outside.call(call)?;
    let (name, bytes) = (call.step.clone()?, call.bytes.clone());
    Some(match call.error {
        None => Op::StepRun { name, data: bytes },
        Some(retry) => Op::StepError { name, error: bytes, retry },
    })
}

fn error_of(outside: &Outside, call: usize) -> Option<Op> {
    let call = outside.call(call)?;
    Some(raised(call.bytes.clone(), call.error?))
}

/// The handler's own error: no step had begun inside it that was not reported.
pub(crate) fn raised(error: bytes::Bytes, retry: Retry) -> Op {
    Op::RunError { error, retry, has_left_step: false }
}
