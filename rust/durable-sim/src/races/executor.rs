//! What the handlers do: each a short list, drawn from its run's id, so that it is the same after a crash.

use bytes::Bytes;
use durable_core::{
    Epoch, ExecutorId, FunctionId, Memo, Op, Outcome, Report, Retry, RunId, Since, Until, Work,
};

use super::LENGTH;
use crate::chance::Chance;

/// One thing that a handler awaits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Step,
    Sleep,
    Wait {
        expression: Option<&'static str>,
        since: Since,
    },
    Invoke,
    /// Two branches at once, each one thing after the other.
    Both([Vec<Self>; 2]),
}

/// What a wait asks for; the oracle knows these by heart.
pub(super) const EXPRESSIONS: [&str; 4] = [
    "event.data.k == async.data.k",
    "async.data.n in [1, 2] && event.data.k == async.data.k",
    "async.data.n > event.data.k",
    "async.data.n == 1 || async.data.n == 2",
];

/// A run's code: what it awaits, one after the other.
pub(super) fn program(function: FunctionId, run: RunId) -> Vec<Item> {
    let bytes = run.as_bytes().iter();
    let mixed = bytes.fold(1, |sum: u64, byte| sum.rotate_left(9) ^ u64::from(*byte));
    let mut chance = Chance::new(mixed);
    let mut item = || match (function.0, chance.below(10)) {
        (0, 0 | 1) => Item::Step,
        (0, 2) => Item::Sleep,
        (0 | 1, 3 | 4) => Item::Both([branch(&mut chance), branch(&mut chance)]),
        (0, _) => wait(&mut chance),
        (1, 5..=8) => Item::Invoke,
        (_, 0..=2) => Item::Sleep,
        (_, _) => Item::Step,
    };
    (0..4).map(|_| item()).collect()
}

fn wait(chance: &mut Chance) -> Item {
    Item::Wait {
        expression: chance.pick(&EXPRESSIONS).copied().filter(|_| chance.happens(800)),
        since: if chance.happens(300) { Since::Run } else { Since::Stretch },
    }
}

fn branch(chance: &mut Chance) -> Vec<Item> {
    let mut item = || match chance.below(10) {
        0 | 1 => Item::Sleep,
        2..=4 => Item::Invoke,
        _ => wait(chance),
    };
    let first = item();
    let second = item();
    if chance.happens(600) { vec![first, second] } else { vec![first] }
}

/// The name of a program's step.
pub(super) fn name(place: usize) -> String {
    format!("s{place}")
}

/// The name of a branch's step.
pub(super) fn name_in(place: usize, branch: usize, number: usize) -> String {
    format!("s{place}/{branch}/{number}")
}

/// A piece of work at an executor. One elsewhere asks once more for what it has asked for.
#[derive(Clone, Debug)]
pub(super) struct Held {
    work: Work,
    memos: Vec<Memo>,
    number: u32,
    /// How many memos the code has been given, those of its own inline steps among them.
    seen: u32,
    /// Its inline steps.
    inline: Vec<String>,
}

impl Held {
    pub(super) fn is_here(&self) -> bool {
        self.work.executor == ExecutorId::LOCAL
    }

    pub(super) const fn new(work: Work, memos: Vec<Memo>) -> Self {
        let seen = work.memo_count;
        Self { work, memos, number: 0, seen, inline: Vec::new() }
    }

    pub(super) fn is_under(&self, epoch: Epoch) -> bool {
        self.work.epoch == epoch
    }

    /// The next report, and whether the work is over with it.
    pub(super) fn go_on(&mut self) -> (Report, bool) {
        let (function, run) = (self.work.function, self.work.run);
        let program = program(function, run);
        let next = (0..).zip(&program).find(|(place, item)| !self.is_done(*place, item));
        let (ops, parked_at) = match next {
            None => (vec![ending(function, run, &self.memos)], None),
            Some((place, Item::Step)) if !self.is_here() && run.as_bytes().last() > Some(&99) => {
                let data = Bytes::from_static(b"1");
                (vec![Op::StepRun { name: name(place), data }], Some(self.seen))
            }
            Some((place, Item::Step)) => {
                self.seen = self.seen.saturating_add(1);
                self.inline.push(name(place));
                let data = Bytes::from_static(b"1");
                (vec![Op::StepRun { name: name(place), data }], None)
            }
            Some((place, Item::Both(branches))) => {
                let behind = behind(&program, place, name);
                let ops = (0..).zip(branches).filter_map(|(branch, items)| {
                    self.ask_in(items, behind.as_ref(), |number| name_in(place, branch, number))
                });
                (ops.collect(), Some(self.seen))
            }
            Some((place, _)) if self.is_here() && self.work.pending.contains(&name(place)) => {
                (Vec::new(), Some(self.seen))
            }
            Some((place, item)) => {
                let behind = behind(&program, place, name);
                (vec![op(name(place), item, behind)], Some(self.seen))
            }
        };
        let is_over = parked_at.is_some() || next.is_none();
        let (epoch, number) = (self.work.epoch, self.number);
        self.number = number.saturating_add(1);
        (Report { run, epoch, number, ops, parked_at }, is_over)
    }

    fn is_done(&self, place: usize, item: &Item) -> bool {
        let is_known = |name: String| {
            self.inline.contains(&name) || self.memos.iter().any(|memo| memo.name == name)
        };
        match item {
            Item::Both(branches) => (0..).zip(branches).all(|(branch, items)| {
                (0..items.len()).all(|number| is_known(name_in(place, branch, number)))
            }),
            Item::Step | Item::Sleep | Item::Wait { .. } | Item::Invoke => is_known(name(place)),
        }
    }

    /// What a branch asks for next.
    fn ask_in(
        &self,
        items: &[Item],
        before: Option<&String>,
        name: impl Fn(usize) -> String,
    ) -> Option<Op> {
        let is_known = |number: &usize| self.memos.iter().any(|memo| memo.name == name(*number));
        let (number, item) = (0..).zip(items).find(|(number, _)| !is_known(number))?;
        let is_asked = self.is_here() && self.work.pending.contains(&name(number));
        let behind = behind(items, number, &name).or_else(|| before.cloned());
        (!is_asked).then(|| op(name(number), item, behind))
    }
}

/// The last wait for an event before a place.
fn behind(items: &[Item], place: usize, name: impl Fn(usize) -> String) -> Option<String> {
    let is_wait = |place: &usize| matches!(items.get(*place), Some(Item::Wait { .. }));
    (0..place).rev().find(is_wait).map(name)
}

fn op(name: String, item: &Item, behind: Option<String>) -> Op {
    let until = Until::For(LENGTH);
    match item {
        Item::Wait { expression, since } => Op::WaitForEvent {
            name,
            event: "go".to_owned(),
            expression: expression.map(str::to_owned),
            own: None,
            until,
            since: *since,
            behind,
        },
        Item::Invoke => {
            let (function, data) = ("child".to_owned(), Bytes::from_static(b"{}"));
            Op::InvokeFunction { name, function, data, until }
        }
        Item::Sleep | Item::Step | Item::Both(_) => {
            Op::Sleep { name, until: Until::For(LENGTH / 3) }
        }
    }
}

/// A third of all children fail.
fn ending(function: FunctionId, run: RunId, memos: &[Memo]) -> Op {
    let last = run.as_bytes().last().copied().unwrap_or(0);
    if function.0 == 2 && last % 3 == 0 {
        let error = Bytes::from_static(b"{\"name\":\"Oops\",\"message\":\"no\",\"stack\":\"\"}");
        return Op::RunError { error, retry: Retry::Never, has_left_step: false };
    }
    let told: Vec<String> = memos
        .iter()
        .map(|memo| match &memo.outcome {
            Outcome::Data(json) | Outcome::Error(json) => String::from_utf8_lossy(json).into(),
        })
        .collect();
    Op::RunComplete { data: Bytes::from(format!("[{}]", told.join(","))) }
}
