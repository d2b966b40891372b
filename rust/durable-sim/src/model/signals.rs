//! Signals: given to the one step that waits, or refused, and never kept for later.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_core::{
    Answer, Awaits, Command, Effect, Memo, OnConflict, Op, Outcome, Refusal, RunId, RunRecord,
    Timestamp,
};

use super::progress::ops;
use super::{Model, require};
use crate::driver::Sealed;
use crate::tally::Tally;

/// For each signal that is waited for who does: the run and the step's name.
pub(super) type Waiters = BTreeMap<String, (RunId, String)>;

/// What a turn did with signals.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// Who waited before it.
    before: Waiters,
    /// What was given to whom.
    memos: Vec<(RunId, Bytes)>,
}

/// A signal's whole value, as its waiter is given it.
fn value_of(signal: &str, data: &Bytes) -> Bytes {
    let data = String::from_utf8_lossy(data);
    Bytes::from(format!("{{\"signal\":\"{signal}\",\"data\":{data}}}"))
}

impl Model {
    /// A wait is over: its moment has come, another took its place, or somebody sent the signal.
    pub(super) fn take_signal(
        &mut self,
        turn: &Sealed,
        (id, record, due): (RunId, Option<&RunRecord>, Option<Timestamp>),
        memo: &Memo,
    ) -> Result<(), String> {
        let name = &memo.name;
        let Outcome::Data(value) = &memo.outcome else {
            return Err(format!("run {id}: the wait '{name}' has failed: {memo:?}"));
        };
        if **value == b"null"[..] {
            let signals = signals_of(turn, id, record, name);
            let is_replaced = wants(turn, OnConflict::Replace).any(|one| signals.contains(&one));
            let is_over = due.is_some_and(|due| due <= turn.latest && due <= memo.recorded_at);
            return require(is_over || is_replaced, || {
                format!("run {id}: '{name}' waits no longer, though until {due:?}")
            });
        }
        self.given.memos.push((id, value.clone()));
        let is_sent = sent(turn).any(|(signal, data)| value_of(signal, data) == *value);
        require(is_sent, || format!("run {id}: '{name}' has {value:?}, which nobody sent"))
    }

    /// Each answer is what happened.
    pub(super) fn check_signals(&mut self, turn: &Sealed, tally: &mut Tally) -> Result<(), String> {
        let after = self.waiters()?;
        let answers = turn.effects.iter().filter_map(|(effect, _)| {
            let Effect::Answer { ticket, answer } = effect else { return None };
            Some((*ticket, answer))
        });
        let answers: BTreeMap<_, _> = answers.collect();
        for command in &turn.commands {
            let Command::SendSignal { ticket, signal, data } = command else { continue };
            let answer = answers.get(ticket).copied();
            let what = match answer {
                Some(Answer::Signalled(run)) => {
                    self.check_given(turn, *run, &value_of(signal, data))?;
                    "signal given"
                }
                Some(Answer::Refused(Refusal::NoWaiter(_)))
                    if self.is_without_waiter(signal, &after) =>
                {
                    "signal without a waiter"
                }
                Some(Answer::Refused(Refusal::TooLarge(_)))
                    if value_of(signal, data).len() > self.settings.limits.output_bytes =>
                {
                    "signal too large"
                }
                _ => return Err(format!("signal '{signal}' of {data:?} was answered {answer:?}")),
            };
            tally.note(what);
        }
        self.given = Given { before: after, memos: Vec::new() };
        Ok(())
    }

    /// A signal was given to a run: it has it once, or could not keep it.
    fn check_given(&self, turn: &Sealed, run: RunId, value: &Bytes) -> Result<(), String> {
        let is_of = |(of, given): &&(RunId, Bytes)| *of == run && given == value;
        let count = self.given.memos.iter().filter(is_of).count();
        let has_ended = turn.ends.iter().any(|(ended, _)| *ended == run);
        require(count == 1 || has_ended || !self.is_honest, || {
            format!("signal {value:?} was given to run {run}, which has it {count} times")
        })
    }

    /// Nobody waited for it all the time.
    fn is_without_waiter(&self, signal: &str, after: &Waiters) -> bool {
        let waiter = self.given.before.get(signal);
        waiter.is_none() || waiter != after.get(signal)
    }

    /// A run failed since somebody else waited already.
    pub(super) fn check_conflict(
        &self,
        turn: &Sealed,
        id: RunId,
        error: &[u8],
    ) -> Result<(), String> {
        if !self.is_honest || !error.starts_with(b"{\"name\":\"SignalConflict\"") {
            return Ok(());
        }
        let wanted: Vec<&str> =
            ops(turn, id).filter_map(|op| wanted(op, OnConflict::Fail)).collect();
        let is_taken = |signal: &&str| {
            self.given.before.contains_key(*signal)
                || [OnConflict::Fail, OnConflict::Replace]
                    .into_iter()
                    .any(|kind| wants(turn, kind).filter(|one| one == signal).count() > 1)
                || wants(turn, OnConflict::Replace).any(|one| one == *signal)
        };
        require(wanted.iter().any(is_taken), || {
            format!("run {id} failed over a signal that nobody waits for: {wanted:?}")
        })
    }

    /// Who waits for what, by what is written: no two for the same.
    fn waiters(&self) -> Result<Waiters, String> {
        let steps = self.live().flat_map(|(id, life)| {
            let steps = life.record.iter().flat_map(|record| &record.pending);
            steps.map(move |step| (id, step))
        });
        let mut waiters = Waiters::new();
        for (id, step) in steps {
            let Some(Awaits::Signal(signal)) = step.awaits.clone() else { continue };
            let other = waiters.insert(signal, (id, step.name.clone()));
            require(other.is_none(), || format!("{other:?} and run {id} both wait: {step:?}"))?;
        }
        Ok(waiters)
    }
}

/// The signals that a step of this name may have waited for.
fn signals_of<'a>(
    turn: &'a Sealed,
    id: RunId,
    record: Option<&'a RunRecord>,
    name: &str,
) -> Vec<&'a str> {
    let steps = record.into_iter().flat_map(|record| &record.pending);
    let recorded = steps.filter(|step| step.name == name).filter_map(|step| {
        let Some(Awaits::Signal(signal)) = &step.awaits else { return None };
        Some(signal.as_str())
    });
    let asked = ops(turn, id).filter_map(|op| {
        let Op::WaitForSignal { name: asked, signal, .. } = op else { return None };
        (asked == name).then_some(signal.as_str())
    });
    recorded.chain(asked).collect()
}

/// The signals that were asked for in a turn, by whichever run.
fn wants(turn: &Sealed, kind: OnConflict) -> impl Iterator<Item = &str> {
    let reports = turn.commands.iter().filter_map(|command| {
        let Command::Report(report) = command else { return None };
        Some(report)
    });
    reports.flat_map(|report| &report.ops).filter_map(move |op| wanted(op, kind))
}

fn wanted(op: &Op, kind: OnConflict) -> Option<&str> {
    let Op::WaitForSignal { signal, on_conflict, .. } = op else { return None };
    (*on_conflict == kind).then_some(signal.as_str())
}

fn sent(turn: &Sealed) -> impl Iterator<Item = (&String, &Bytes)> {
    turn.commands.iter().filter_map(|command| {
        let Command::SendSignal { signal, data, .. } = command else { return None };
        Some((signal, data))
    })
}
