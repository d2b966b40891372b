//! How runs go on: where each memo came from, that nothing is early, and how ends come about.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use durable_core::write::memo_key;
use durable_core::{
    Backoff, Command, Effect, Ending, Epoch, History, Memo, Op, Outcome, Pending, PendingState,
    Report, Retry, RunEnd, RunId, RunRecord, StepKind, Stretch, Timestamp, Until, Work,
};

use super::flow::DECISIONS;
use super::{Life, Model, read, require};
use crate::driver::Sealed;
use crate::outside::Outside;
use crate::program::Standing;
use crate::tally::Tally;

impl Model {
    pub(super) fn take_run(
        &mut self,
        turn: &Sealed,
        id: RunId,
        value: &[u8],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let record: RunRecord = read("a live run", value)?;
        let spec = self.specs.get(record.function.index()).map(|(spec, _)| spec.backoff.clone());
        let life = self.runs.get_mut(id).ok_or_else(|| format!("run {id} comes from nowhere"))?;
        require(life.end.is_none(), || format!("run {id} is written after its end"))?;
        let count = u32::try_from(life.memos.len()).unwrap_or(u32::MAX);
        require(record.memo_count == count, || {
            format!("run {id} has {count} memos and says {}", record.memo_count)
        })?;
        match &life.record {
            None if life.bucket.is_none() && life.starts_at > turn.now => {
                tally.note("event in the future");
            }
            Some(before) if self.is_honest => check_moves(turn, id, before, &record)?,
            Some(_) | None => {}
        }
        if self.is_honest {
            check_parking(turn, id, life.record.as_ref(), &record)?;
            check_waits(turn, id, (life.record.as_ref(), &record), &spec.unwrap_or_default())?;
        }
        let released = life.record.as_ref().map_or(0, |before| released(before, &record));
        tally.add(DECISIONS, released);
        life.record = Some(record.clone());
        self.check_standing(turn, id, &record)
    }

    /// A memo: the next in number, of a step that has none, and out of a call whose work still counted.
    pub(super) fn take_memo(
        &mut self,
        turn: &Sealed,
        id: RunId,
        (key, memo): (&Bytes, Memo),
        outside: &Outside,
    ) -> Result<(), String> {
        let is_honest = self.is_honest;
        let is_live_before =
            |life: &Life| life.end.is_none() || turn.ends.iter().any(|e| e.0 == id);
        let life = self.runs.get_mut(id).filter(|life| is_live_before(life));
        let life = life.ok_or_else(|| format!("a memo for run {id}, which is not live"))?;
        let number = u32::try_from(life.memos.len()).unwrap_or(u32::MAX);
        require(*key == memo_key(id, number), || format!("run {id}: {key:?} is not {number}"))?;
        if let Some(expected) = life.to_take.pop_front() {
            require(memo == expected, || {
                format!("run {id} takes over {memo:?}, not {expected:?}")
            })?;
            life.memos.push(memo);
            return Ok(());
        }
        let name = memo.name.clone();
        let is_known = life.memos.iter().any(|known| known.name == name);
        require(!is_known || !is_honest, || format!("run {id}: '{name}' has a second memo"))?;
        match memo.kind {
            StepKind::Sleep if is_honest => {
                let due = due_of(turn, id, life.record.as_ref(), &name);
                let due = due.ok_or_else(|| format!("run {id}: nobody asked to sleep '{name}'"))?;
                let is_time = due <= turn.latest && due <= memo.recorded_at;
                require(is_time, || {
                    format!("run {id}: '{name}' ends at {:?}, due {due:?}", turn.latest)
                })?;
            }
            StepKind::Run if is_honest => {
                let spec = self.specs.get(life.function.index());
                let retries = spec.map_or(0, |(spec, _)| u32::from(spec.retries));
                let name = spec.map_or("", |(spec, _)| spec.name.as_str());
                let lost = self.executors.lost_at(turn, (life.function, name));
                check_origin(turn, id, (life, &memo, retries, lost), outside)?;
            }
            StepKind::Signal if is_honest => {
                let (record, due) =
                    (life.record.clone(), due_of(turn, id, life.record.as_ref(), &name));
                life.memos.push(memo.clone());
                return self.take_signal(turn, (id, record.as_ref(), due), &memo);
            }
            StepKind::Event | StepKind::Invoke if is_honest => {
                let due = due_of(turn, id, life.record.as_ref(), &name);
                life.memos.push(memo.clone());
                return self.take_told(turn, (id, due), &memo);
            }
            StepKind::Signal
            | StepKind::Event
            | StepKind::Invoke
            | StepKind::Sleep
            | StepKind::Run => {}
        }
        life.memos.push(memo);
        Ok(())
    }

    pub(super) fn take_history(
        &mut self,
        turn: &Sealed,
        (id, history): (RunId, &History),
        outside: &mut Outside,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let is_honest = self.is_honest;
        let life = self.runs.get(id).ok_or_else(|| format!("unknown run {id} is kept"))?;
        require(life.end.as_ref() == Some(&history.end), || format!("run {id} is kept otherwise"))?;
        require(life.memos == history.memos, || {
            format!("run {id} is kept with {:?}, not {:?}", history.memos, life.memos)
        })?;
        check_unrecorded(life, &history.end, is_honest)?;
        let memos: BTreeMap<String, Outcome> =
            life.memos.iter().map(|memo| (memo.name.clone(), memo.outcome.clone())).collect();
        let program = outside.program(id);
        let every_place: BTreeSet<u32> = program.places.keys().copied().collect();
        let (standing, _) = program.go(&memos, &every_place);
        match (history.end.ending, &history.end.outcome) {
            (Ending::Completed, Outcome::Data(data)) => {
                tally.note("ended: completed");
                if memos.values().any(|memo| matches!(memo, Outcome::Error(_))) {
                    tally.note("error caught");
                }
                let call =
                    outside.call_of(data).filter(|call| call.run == id && call.step.is_none());
                let counted = call.is_some_and(|call| holds(life.record.as_ref(), call.epoch));
                let is_right = counted && standing == Standing::Done;
                require(is_right || !is_honest, || {
                    format!("run {id} completed at {standing:?} with {data:?}, memos {memos:?}")
                })
            }
            (Ending::Failed, Outcome::Error(error)) => {
                if note_engine_error(error, tally) {
                    self.check_conflict(turn, id, error)?;
                    let message = String::from_utf8_lossy(error);
                    let is_wrong = message.contains("NonDeterminism");
                    return require(!is_wrong || !is_honest, || format!("run {id}: {message}"));
                }
                let call = outside.call_of(error).filter(|call| call.run == id);
                let is_step = call.is_some_and(|call| call.step.is_some());
                tally.note(if is_step { "ended: a step's error" } else { "ended: code raised" });
                let taken = life.memos.iter().take(life.taken_count);
                let mut errors = taken.map(|memo| &memo.outcome);
                let is_taken = errors.any(|outcome| *outcome == history.end.outcome);
                let is_call = |memo: &&Memo| memo.kind == StepKind::Invoke;
                let is_told =
                    life.memos.iter().filter(is_call).any(|m| m.outcome == history.end.outcome);
                if is_told {
                    tally.note("ended: an invoke's error");
                }
                let is_right = match standing {
                    Standing::Raised(_) if is_step || is_taken || is_told => true,
                    Standing::Raised(_)
                    | Standing::Done
                    | Standing::Waiting
                    | Standing::AtCode(_) => call.is_some_and(|call| {
                        call.step.is_none() && holds(life.record.as_ref(), call.epoch)
                    }),
                };
                require(is_right || !is_honest, || {
                    format!("run {id} failed at {standing:?} with {error:?} in {:?}", turn.now)
                })
            }
            (Ending::Cancelled, Outcome::Error(_)) => {
                tally.note("ended: cancelled");
                Ok(()) // whether it was to be is known from its turn
            }
            (ending, outcome) => Err(format!("run {id} ended as {ending:?} with {outcome:?}")),
        }
    }

    /// What is handed out is what the records say executes, under an epoch that was never used.
    pub(super) fn check_offers(&self, turn: &Sealed, tally: &mut Tally) -> Result<(), String> {
        for (effect, memos) in &turn.effects {
            match effect {
                Effect::OfferWork(work) => self.check_offer(turn, work, memos)?,
                Effect::DeliverMemo { .. } => tally.note("memo delivered to executing code"),
                Effect::Answer { .. }
                | Effect::ConfirmReport { .. }
                | Effect::AbandonWork { .. }
                | Effect::AnnounceEnd { .. }
                | Effect::LoadTimers { .. }
                | Effect::LookBack { .. }
                | Effect::FindEnd { .. }
                | Effect::FindExpired { .. } => {}
            }
        }
        Ok(())
    }
}

impl Model {
    fn check_offer(&self, turn: &Sealed, work: &Work, memos: &[Memo]) -> Result<(), String> {
        let id = work.run;
        let life = self.runs.get(id).filter(|life| life.end.is_none());
        let events = std::iter::once(&work.event).chain(&work.rest);
        require(life.is_some_and(|life| events.eq(&life.events)), || {
            format!("run {id} is handed out with other events than its own: {work:?}")
        })?;
        let record = life.and_then(|life| life.record.as_ref());
        require(holds(record, work.epoch), || {
            format!("run {id}: {work:?} is offered and not recorded")
        })?;
        let is_early = life.is_some_and(|life| life.starts_at > turn.latest);
        require(!is_early, || format!("run {id} starts before its event"))?;
        let count = u32::try_from(memos.len()).unwrap_or(u32::MAX);
        require(count <= work.memo_count, || "more memos than there are".to_owned())?;
        let recorded = work.step.as_ref().filter(|name| self.is_recorded(id, name));
        require(recorded.is_none() || !self.is_honest, || {
            format!("run {id}: {recorded:?} is offered though it is recorded")
        })
    }
}

/// The steps that a run's end cut off are those that waited before its turn and have no memo since, and what
/// that turn has asked for. An executor that lies may have asked for what has one.
fn check_unrecorded(life: &Life, end: &RunEnd, is_honest: bool) -> Result<(), String> {
    let is_recorded = |name: &str| life.memos.iter().any(|memo| memo.name == name);
    let left: BTreeMap<&str, StepKind> =
        end.unrecorded.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let before = life.record.iter().flat_map(|record| &record.pending);
    let is_whole = before
        .filter(|step| !is_recorded(&step.name))
        .all(|step| left.get(step.name.as_str()) == Some(&step.kind()));
    let is_sound = left.len() == end.unrecorded.len() && !left.keys().any(|name| is_recorded(name));
    require(is_whole && (is_sound || !is_honest), || {
        format!("{end:?} has cut off other steps of {life:?}")
    })
}

/// How many pieces gave their slots back.
fn released(before: &RunRecord, after: &RunRecord) -> u64 {
    let now = after.epochs();
    let gone = before.epochs().into_iter().filter(|epoch| !now.contains(epoch)).count();
    u64::try_from(gone).unwrap_or(u64::MAX)
}

/// Epochs only rise, and what waits for a moment goes on no earlier.
fn check_moves(
    turn: &Sealed,
    id: RunId,
    before: &RunRecord,
    after: &RunRecord,
) -> Result<(), String> {
    require(after.epoch >= before.epoch, || format!("run {id}: its epoch falls"))?;
    if let Stretch::BackingOff(due) = before.stretch
        && after.stretch != before.stretch
    {
        require(due <= turn.latest, || format!("run {id} goes on before {due:?}"))?;
    }
    for step in &before.pending {
        let PendingState::BackingOff(due) = step.state else { continue };
        let now = after.pending.iter().find(|other| other.number == step.number);
        if now.is_some_and(|now| now.state != step.state) {
            let name = &step.name;
            require(due <= turn.latest, || format!("run {id}: '{name}' goes on before {due:?}"))?;
        }
    }
    Ok(())
}

/// Code that parks without having been given all memos goes on at once.
fn check_parking(
    turn: &Sealed,
    id: RunId,
    before: Option<&RunRecord>,
    after: &RunRecord,
) -> Result<(), String> {
    let counts = |report: &Report| {
        before.is_some_and(|before| {
            before.stretch == Stretch::Executing(report.epoch)
                && before.report_count <= report.number
        })
    };
    let seen = reports(turn, id).filter(|report| counts(report)).filter_map(|r| r.parked_at);
    let misses = seen.last().is_some_and(|seen| seen < after.memo_count);
    require(!misses || after.stretch != Stretch::Parked, || {
        format!("run {id} is parked, and its code has not seen all of its memos")
    })
}

/// New waits are as long as the error or the table says.
fn check_waits(
    turn: &Sealed,
    id: RunId,
    (before, after): (Option<&RunRecord>, &RunRecord),
    backoff: &Backoff,
) -> Result<(), String> {
    let known = |step: &Pending| {
        before
            .is_some_and(|b| b.pending.iter().any(|o| o.name == step.name && o.state == step.state))
    };
    for step in after.pending.iter().filter(|step| !known(step)) {
        let PendingState::BackingOff(due) = step.state else { continue };
        let retry = ops(turn, id).find_map(|op| match op {
            Op::StepError { name, retry, .. } if *name == step.name => Some(*retry),
            Op::StepError { .. }
            | Op::StepRun { .. }
            | Op::StepPlanned { .. }
            | Op::Sleep { .. }
            | Op::WaitForSignal { .. }
            | Op::WaitForEvent { .. }
            | Op::InvokeFunction { .. }
            | Op::RunComplete { .. }
            | Op::RunError { .. } => None,
        });
        let wait = due.since(turn.now);
        let (least, most) = match retry {
            Some(Retry::After(asked)) => (Backoff::asked(asked), Backoff::asked(asked)),
            Some(Retry::Backoff | Retry::Never) | None => {
                let least = backoff.delay(step.failure_count, 0);
                (least, least.saturating_add(backoff.jitter))
            }
        };
        let is_right = (least..=most).contains(&wait) || retry.is_none();
        require(is_right, || {
            format!("run {id}: '{}' waits {wait:?}, not {least:?} to {most:?}", step.name)
        })?;
    }
    Ok(())
}

/// The call that gave a memo was of this step, under an epoch that counted before this turn, and its
/// report came before whatever ended that: the command of the turn with which its executor was `lost`.
fn check_origin(
    turn: &Sealed,
    id: RunId,
    (life, memo, retries, lost): (&Life, &Memo, u32, Option<usize>),
    outside: &Outside,
) -> Result<(), String> {
    let name = &memo.name;
    let (Outcome::Data(bytes) | Outcome::Error(bytes)) = &memo.outcome;
    let call = outside.call_of(bytes).filter(|call| call.run == id);
    let call = call.ok_or_else(|| format!("run {id}: '{name}' has a memo that no call gave"))?;
    let is_of_step = call.step.as_ref().is_none_or(|step| step == name);
    require(is_of_step, || format!("run {id}: '{name}' has the memo of {:?}", call.step))?;
    let counted = holds(life.record.as_ref(), call.epoch);
    require(counted, || format!("run {id}: '{name}' has a memo of epoch {:?}", call.epoch))?;
    let said = turn.commands.iter().position(|command| says(command, id, bytes));
    require(said.is_some() && lost.is_none_or(|lost| said < Some(lost)), || {
        format!("run {id}: '{name}' has a memo though its executor was lost")
    })?;
    let failed = life.record.as_ref().and_then(|record| {
        let step = record.pending.iter().find(|step| step.name == *name);
        step.map(|step| step.failure_count)
    });
    let failed = failed.unwrap_or(0);
    let is_final = match call.error {
        None => matches!(memo.outcome, Outcome::Data(_)),
        Some(Retry::Never) => matches!(memo.outcome, Outcome::Error(_)),
        Some(Retry::Backoff | Retry::After(_)) => failed >= retries,
    };
    require(is_final, || format!("run {id}: '{name}' failed {failed} times and is given up"))
}

fn says(command: &Command, id: RunId, bytes: &Bytes) -> bool {
    let Command::Report(report) = command else { return false };
    report.run == id
        && report.ops.iter().any(|op| match op {
            Op::StepRun { data, .. } => data == bytes,
            Op::StepError { error, .. } | Op::RunError { error, .. } => error == bytes,
            Op::StepPlanned { .. }
            | Op::Sleep { .. }
            | Op::WaitForSignal { .. }
            | Op::WaitForEvent { .. }
            | Op::InvokeFunction { .. }
            | Op::RunComplete { .. } => false,
        })
}

/// Whether something of a run executes under an epoch.
pub(crate) fn holds(record: Option<&RunRecord>, epoch: Epoch) -> bool {
    record.is_some_and(|record| {
        record.stretch == Stretch::Executing(epoch)
            || record.pending.iter().any(|step| step.state == PendingState::Executing(epoch))
    })
}

/// When a sleep or a wait is due: as recorded, or as asked for in this very turn.
fn due_of(turn: &Sealed, id: RunId, record: Option<&RunRecord>, name: &str) -> Option<Timestamp> {
    let recorded = record.and_then(|record| {
        let step = record.pending.iter().find(|step| step.name == name)?;
        match step.state {
            PendingState::Sleeping(due) | PendingState::Waiting(due) => Some(due),
            PendingState::Queued | PendingState::Executing(_) | PendingState::BackingOff(_) => None,
        }
    });
    recorded.or_else(|| {
        ops(turn, id).find_map(|op| match op {
            Op::Sleep { name: asked, until }
            | Op::WaitForSignal { name: asked, until, .. }
            | Op::WaitForEvent { name: asked, until, .. }
            | Op::InvokeFunction { name: asked, until, .. }
                if asked == name =>
            {
                Some(match until {
                    Until::For(length) => turn.now.plus(*length),
                    Until::At(moment) => *moment,
                })
            }
            Op::Sleep { .. }
            | Op::WaitForSignal { .. }
            | Op::WaitForEvent { .. }
            | Op::InvokeFunction { .. }
            | Op::StepRun { .. }
            | Op::StepError { .. }
            | Op::StepPlanned { .. }
            | Op::RunComplete { .. }
            | Op::RunError { .. } => None,
        })
    })
}

/// What was reported of a run in this turn, in order.
fn reports(turn: &Sealed, id: RunId) -> impl Iterator<Item = &Report> {
    turn.commands.iter().filter_map(move |command| match command {
        Command::Report(report) if report.run == id => Some(report),
        Command::Report(_)
        | Command::WakeRun { .. }
        | Command::RegisterFunctions { .. }
        | Command::PauseFunction { .. }
        | Command::CancelRun { .. }
        | Command::RerunRun { .. }
        | Command::CancelEvent { .. }
        | Command::SendSignal { .. }
        | Command::Publish { .. }
        | Command::PutSchedule { .. }
        | Command::ChangeSchedule { .. }
        | Command::AcceptEvents { .. }
        | Command::InvokeFunction { .. }
        | Command::ConnectExecutor { .. }
        | Command::ServeFunctions { .. }
        | Command::DrainExecutors
        | Command::LoadTimers { .. }
        | Command::LookBack { .. }
        | Command::TellEnd { .. }
        | Command::Expire { .. } => None,
    })
}

pub(super) fn ops(turn: &Sealed, id: RunId) -> impl Iterator<Item = &Op> {
    reports(turn, id).flat_map(|report| &report.ops)
}

/// Whether the engine itself failed the run, and which limit it was.
fn note_engine_error(error: &Bytes, tally: &mut Tally) -> bool {
    let text = String::from_utf8_lossy(error);
    let kinds = [
        ("StepLimitExceeded", "ended: too many steps"),
        ("OutputTooLarge", "ended: output too large"),
        ("StateTooLarge", "ended: state too large"),
        ("SleepTooLong", "ended: sleep too long"),
        ("NonDeterminismError", "ended: not deterministic"),
        ("InvalidStepId", "ended: a step's name too long"),
        ("InvalidExpression", "ended: an expression that is none"),
        ("SignalConflict", "ended: another waits for the signal"),
    ];
    let kind = kinds.iter().find(|(code, _)| text.starts_with(&format!("{{\"name\":\"{code}\"")));
    if let Some((_, what)) = kind {
        tally.note(what);
    }
    kind.is_some()
}
