//! What the handlers do: each a short list, drawn from its run's id, so that it is the same after a crash.

use bytes::Bytes;
use durable_core::{
    Epoch, FunctionId, Memo, Op, Outcome, Report, Retry, RunId, Since, Until, Work,
};

use super::LENGTH;
use crate::chance::Chance;

/// One thing that a handler awaits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Step,
    Sleep,
    Wait { expression: Option<&'static str>, since: Since },
    Invoke,
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
        (0, _) => Item::Wait {
            expression: chance.pick(&EXPRESSIONS).copied().filter(|_| chance.happens(800)),
            since: if chance.happens(300) { Since::Run } else { Since::Stretch },
        },
        (1, 0..=5) => Item::Invoke,
        (_, 0..=2) => Item::Sleep,
        (_, _) => Item::Step,
    };
    (0..4).map(|_| item()).collect()
}

/// The name of a program's step.
pub(super) fn name(place: usize) -> String {
    format!("s{place}")
}

/// A piece of work at the executor.
#[derive(Clone, Debug)]
pub(super) struct Held {
    work: Work,
    memos: Vec<Memo>,
    number: u32,
    /// How many memos the code has been given, those of its own inline steps among them.
    seen: u32,
    /// Its inline steps, by their places.
    inline: Vec<usize>,
}

impl Held {
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
        let is_inline = |place: &usize| self.inline.contains(place);
        let known = |place: &usize| {
            is_inline(place) || self.memos.iter().any(|memo| memo.name == name(*place))
        };
        let next = (0..program.len()).find(|place| !known(place));
        let (ops, parked_at) = match next.and_then(|place| Some((place, program.get(place)?))) {
            None => (vec![ending(function, run, &self.memos)], None),
            Some((place, Item::Step)) => {
                self.seen = self.seen.saturating_add(1);
                self.inline.push(place);
                let data = Bytes::from_static(b"1");
                (vec![Op::StepRun { name: name(place), data }], None)
            }
            Some((place, _)) if self.work.pending.contains(&name(place)) => {
                (Vec::new(), Some(self.seen))
            }
            Some((place, item)) => {
                let is_wait =
                    |place: &usize| matches!(program.get(*place), Some(Item::Wait { .. }));
                let behind = (0..place).rev().find(is_wait).map(name);
                (vec![op(name(place), item, behind)], Some(self.seen))
            }
        };
        let is_over = parked_at.is_some() || next.is_none();
        let (epoch, number) = (self.work.epoch, self.number);
        self.number = number.saturating_add(1);
        (Report { run, epoch, number, ops, parked_at }, is_over)
    }
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
        Item::Sleep | Item::Step => Op::Sleep { name, until: Until::For(LENGTH / 3) },
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
