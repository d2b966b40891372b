//! What an executor says of its work: whether it still counts, and what follows from it.

use std::time::Duration;

use bytes::Bytes;

use super::enqueue::STRETCH;
use super::wait::Wanted;
use super::{Shard, Turn};
use crate::command::{Op, Report, Retry, Until};
use crate::effect::Effect;
use crate::event::MAX_EVENT_BYTES;
use crate::flow::timer_wheel::Timer;
use crate::id::{Epoch, ExecutorId, RunId};
use crate::run::{Ending, Stretch};
use crate::step::{Awaits, MAX_STEP_NAME_BYTES, Memo, Outcome, Pending, PendingState, StepKind};
use crate::time::Timestamp;
use crate::write::{Write, encode, memo_key};

/// Whose work a report is of.
enum Place {
    Stretch,
    Step(u32),
    Nowhere,
}

impl Shard {
    pub(super) fn report(&mut self, report: Report, turn: &mut Turn) {
        let (run, epoch) = (report.run, report.epoch);
        match self.place_of(run, epoch) {
            Place::Stretch => self.report_stretch(report, turn),
            Place::Step(number) => self.report_step(report, number, turn),
            Place::Nowhere => {
                self.stale_report_count = self.stale_report_count.saturating_add(1);
                turn.effects.push(Effect::AbandonWork { run, epoch });
            }
        }
    }

    fn place_of(&mut self, id: RunId, epoch: Epoch) -> Place {
        if !self.executing.contains(&id) {
            return Place::Nowhere;
        }
        let Some(run) = self.open(id) else { return Place::Nowhere };
        if run.stretch == Stretch::Executing(epoch) {
            return Place::Stretch;
        }
        let step = run.pending.iter().find(|step| step.state == PendingState::Executing(epoch));
        step.map_or(Place::Nowhere, |step| Place::Step(step.number))
    }

    fn report_stretch(&mut self, report: Report, turn: &mut Turn) {
        let (id, epoch, number) = (report.run, report.epoch, report.number);
        let expected = self.opened(id).report_count;
        if number < expected {
            return; // taken before: the executor said it twice
        }
        if number > expected {
            self.lose_stretch(id);
            self.lose_steps(id);
            turn.effects.push(Effect::AbandonWork { run: id, epoch });
            return;
        }
        self.opened(id).report_count = expected.saturating_add(1);
        let is_outdated = self.is_outdated(id, report.parked_at);
        for op in report.ops {
            if self.is_executing(id, epoch) && !(is_outdated && op.is_asked_for()) {
                self.obey(id, op, turn);
            }
        }
        if !self.is_executing(id, epoch) {
            return;
        }
        let now = self.now();
        let run = self.opened(id);
        run.active_at = now;
        let memo_count = run.memo_count;
        match report.parked_at {
            Some(seen) => self.park(id, seen, turn),
            None if self.stop_if_paused(id, (epoch, number), turn) => {}
            None => {
                let executor = self.executor_of(id);
                let confirmed =
                    Effect::ConfirmReport { executor, run: id, epoch, number, memo_count };
                turn.effects.push(confirmed);
            }
        }
    }

    /// Code that lives elsewhere has parked without a memo that came while it was called. It is called again with that
    /// one, and asks again for what it still wants: what it has asked for may be just what has come.
    fn is_outdated(&mut self, id: RunId, parked_at: Option<u32>) -> bool {
        let Some(seen) = parked_at else { return false };
        seen < self.opened(id).memo_count && self.lives_elsewhere(id)
    }

    /// The code of a run is called, and each of its steps is a call of its own. That is known by who has it: what its
    /// application says of its address is said before it moves, or after.
    fn lives_elsewhere(&mut self, id: RunId) -> bool {
        let function = self.opened(id).function;
        self.function(function).executor != Some(ExecutorId::LOCAL)
    }

    fn is_executing(&mut self, id: RunId, epoch: Epoch) -> bool {
        self.open(id).is_some_and(|run| run.stretch == Stretch::Executing(epoch))
    }

    /// One op of a stretch that executes.
    fn obey(&mut self, id: RunId, op: Op, turn: &mut Turn) {
        match op {
            Op::StepRun { name, data } => {
                let step = self.inline_step(id, &name, turn);
                self.remember(id, step, Outcome::Data(data), turn);
                self.begin_next_stretch(id);
            }
            Op::StepError { name, error, retry } => {
                let step = self.inline_step(id, &name, turn);
                if self.fail_step(id, step, (error, retry), turn) {
                    self.begin_next_stretch(id);
                }
            }
            Op::StepPlanned { name } => {
                if let Some(number) = self.add_pending(id, name, (PendingState::Queued, None), turn)
                {
                    self.enqueue_step(id, number);
                }
            }
            Op::Sleep { name, until } => self.sleep(id, name, until, turn),
            Op::WaitForSignal { name, signal, until, on_conflict } => {
                self.wait_for_signal(id, (name, until), (signal, on_conflict), turn);
            }
            Op::WaitForEvent { name, event, expression, own, until, since, behind } => {
                let wanted = Wanted { event, expression, own, since, behind };
                self.wait_for_event(id, (name, until), wanted, turn);
            }
            Op::InvokeFunction { name, function, data, until } => {
                self.invoke_from(id, (name, until), (&function, data), turn);
            }
            Op::RunComplete { data } => self.complete(id, data, turn),
            Op::RunError { error, retry, has_left_step } => {
                self.fail_stretch(id, (error, retry), has_left_step, turn);
            }
        }
    }

    /// The code waits, having been given `seen` memos. If more came meanwhile it goes on at once.
    fn park(&mut self, id: RunId, seen: u32, turn: &mut Turn) {
        let run = self.opened(id);
        run.stretch = Stretch::Parked;
        let (has_more, waits) = (seen < run.memo_count, !run.pending.is_empty());
        let only_waits = |step: &Pending| {
            matches!(step.state, PendingState::Sleeping(_) | PendingState::Waiting(_))
        };
        if !has_more && run.pending.iter().all(only_waits) {
            run.busy_since = None;
            run.heard.clear();
        }
        self.release_slots(id);
        if has_more {
            self.wake(id, turn);
        } else if !waits {
            let why = "its code waits, but no step, sleep or timer of it is left to wait for";
            self.fail_run(id, "NonDeterminismError", why, turn);
        }
    }

    /// What an executor says of a single step.
    fn report_step(&mut self, report: Report, number: u32, turn: &mut Turn) {
        let id = report.run;
        let run = self.opened(id);
        let Some(place) = run.pending.iter().position(|step| step.number == number) else { return };
        let step = run.pending.remove(place);
        self.release_slots(id);
        match report.ops.into_iter().next() {
            Some(Op::StepRun { data, .. }) => {
                let is_kept = self.remember(id, step, Outcome::Data(data), turn);
                if is_kept && !self.stop_withheld(id, turn) {
                    self.wake(id, turn);
                }
            }
            Some(Op::RunError { error, retry: Retry::Never, .. }) => {
                let failed = (Ending::Failed, Outcome::Error(error));
                self.end_run_at(id, Some(step.into_named()), failed, turn);
            }
            Some(Op::StepError { error, retry, .. } | Op::RunError { error, retry, .. }) => {
                self.fail_step(id, step, (error, retry), turn);
                self.stop_withheld(id, turn);
            }
            Some(
                Op::StepPlanned { .. }
                | Op::Sleep { .. }
                | Op::WaitForSignal { .. }
                | Op::WaitForEvent { .. }
                | Op::InvokeFunction { .. }
                | Op::RunComplete { .. },
            )
            | None => {
                let why = format!("the code, called again, did not come to step '{}'", step.name);
                self.fail_run_at(id, step.into_named(), ("NonDeterminismError", &why), turn);
            }
        }
    }

    /// A step that executed inside its stretch. One of its name that was pending is thereby settled:
    /// the first result counts.
    fn inline_step(&mut self, id: RunId, name: &str, turn: &mut Turn) -> Pending {
        let run = self.opened(id);
        let (active_at, start_count) = (run.active_at, run.step_start_count());
        if let Some(place) = run.pending.iter().position(|step| step.name == name) {
            let step = run.pending.remove(place);
            self.forget(id, &step, turn);
            return Pending { state: PendingState::Queued, awaits: None, ..step };
        }
        let number = run.next_pending;
        run.next_pending = number.saturating_add(1);
        Pending {
            name: name.to_owned(),
            number,
            state: PendingState::Queued,
            start_count,
            failure_count: 0,
            asked_at: active_at,
            awaits: None,
        }
    }

    /// A step inside the stretch has a memo: the code behind it has tries of its own.
    fn begin_next_stretch(&mut self, id: RunId) {
        if let Some(run) = self.open(id) {
            (run.start_count, run.failure_count, run.idle_count) = (1, 0, 0);
        }
    }

    fn sleep(&mut self, id: RunId, name: String, until: Until, turn: &mut Turn) {
        let Some(due) = self.due(id, (&name, StepKind::Sleep), until, turn) else { return };
        self.add_pending(id, name, (PendingState::Sleeping(due), None), turn);
    }

    /// When a step ends that waits for a moment. `None`: that is too far ahead, which fails its run.
    pub(super) fn due(
        &mut self,
        id: RunId,
        (name, kind): (&str, StepKind),
        until: Until,
        turn: &mut Turn,
    ) -> Option<Timestamp> {
        let now = self.now();
        let longest = self.settings.limits.sleep;
        let due = match until {
            Until::For(length) => now.plus(length),
            Until::At(moment) => moment,
        };
        if due.since(now) > longest {
            let days = longest.as_secs() / Duration::from_hours(24).as_secs();
            let why = format!("step '{name}' would sleep or wait for more than {days} days");
            self.fail_run_at(id, (name.to_owned(), kind), ("SleepTooLong", &why), turn);
            return None;
        }
        Some(due)
    }

    /// A step that is to wait: for a slot, for a moment, or for something to happen. `None` where there is one of its name
    /// already, or no room.
    pub(super) fn add_pending(
        &mut self,
        id: RunId,
        name: String,
        (state, awaits): (PendingState, Option<Awaits>),
        turn: &mut Turn,
    ) -> Option<u32> {
        let now = self.now();
        let run = self.opened(id);
        if run.pending.iter().any(|step| step.name == name) {
            return None;
        }
        let number = run.next_pending;
        run.next_pending = number.saturating_add(1);
        let step = Pending {
            name,
            number,
            state,
            start_count: 0,
            failure_count: 0,
            asked_at: now,
            awaits,
        };
        if let Some((code, why)) = self.refusal_of_step(id, &step) {
            self.fail_run_at(id, step.into_named(), (code, &why), turn);
            return None;
        }
        self.opened(id).pending.push(step);
        if let PendingState::Sleeping(due) | PendingState::Waiting(due) = state {
            self.start_timer(Timer { due, id: *id.as_bytes(), number }, turn);
        }
        Some(number)
    }

    fn refusal_of_step(&mut self, id: RunId, step: &Pending) -> Option<(&'static str, String)> {
        let limits = self.settings.limits.clone();
        let run = self.opened(id);
        let pending = u32::try_from(run.pending.len()).unwrap_or(u32::MAX);
        if run.memo_count.saturating_add(pending) >= limits.steps {
            let why =
                format!("a run has at most {} steps; '{}' is one more", limits.steps, step.name);
            return Some(("StepLimitExceeded", why));
        }
        if run.pending.len() >= limits.pending_steps {
            let most = limits.pending_steps;
            let why = format!("at most {most} steps wait in parallel; '{}' is one more", step.name);
            return Some(("StepLimitExceeded", why));
        }
        (step.name.len() > MAX_STEP_NAME_BYTES).then(|| {
            let why =
                format!("a step's id has at most {MAX_STEP_NAME_BYTES} bytes: '{}'", step.name);
            ("InvalidStepId", why)
        })
    }

    /// Records what came of a step. False where a limit failed the run instead.
    pub(super) fn remember(
        &mut self,
        id: RunId,
        step: Pending,
        outcome: Outcome,
        turn: &mut Turn,
    ) -> bool {
        let limits = self.settings.limits.clone();
        let kind = step.kind();
        let most = match kind {
            StepKind::Event => limits.output_bytes.max(MOST_HEARD_BYTES),
            StepKind::Run | StepKind::Sleep | StepKind::Signal | StepKind::Invoke => {
                limits.output_bytes
            }
        };
        let size = outcome.len();
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        let state_bytes = self.opened(id).state_bytes.saturating_add(bytes);
        let refusal = self.refusal_of_step(id, &step).or_else(|| {
            if size > most {
                let why =
                    format!("step '{}' returned {size} bytes; the limit is {most}", step.name);
                Some(("OutputTooLarge", why))
            } else if state_bytes > limits.state_bytes {
                let most = limits.state_bytes;
                let why = format!("with step '{}' the run's state exceeds {most} bytes", step.name);
                Some(("StateTooLarge", why))
            } else {
                None
            }
        });
        if let Some((code, why)) = refusal {
            self.fail_run_at(id, step.into_named(), (code, &why), turn);
            return false;
        }
        let run = self.opened(id);
        let key = memo_key(id, run.memo_count);
        run.memo_count = run.memo_count.saturating_add(1);
        run.state_bytes = state_bytes;
        let memo = Memo {
            name: step.name,
            kind,
            start_count: step.start_count,
            asked_at: step.asked_at,
            recorded_at: self.now(),
            outcome,
        };
        turn.writes.push(Write::Insert { key, value: encode(&memo) });
        true
    }

    /// A handler returned.
    fn complete(&mut self, id: RunId, data: Bytes, turn: &mut Turn) {
        let most = self.settings.limits.output_bytes;
        if data.len() > most {
            let why = format!("its result has {} bytes; the limit is {most}", data.len());
            self.fail_run(id, "OutputTooLarge", &why, turn);
        } else {
            self.settle_stretch(id);
            self.end_run(id, Ending::Completed, Outcome::Data(data), turn);
        }
    }

    /// A step's function raised: it is tried again later, or its error is what is remembered of it; true where it is.
    fn fail_step(
        &mut self,
        id: RunId,
        mut step: Pending,
        (error, retry): (Bytes, Retry),
        turn: &mut Turn,
    ) -> bool {
        step.failure_count = step.failure_count.saturating_add(1);
        let Some(wait) = self.wait_before_retry(id, step.failure_count, retry) else {
            let is_kept = self.remember(id, step, Outcome::Error(error), turn);
            if is_kept {
                self.wake(id, turn);
            }
            return is_kept;
        };
        let due = self.now().plus(wait);
        step.state = PendingState::BackingOff(due);
        if let Some((code, why)) = self.refusal_of_step(id, &step) {
            self.fail_run_at(id, step.into_named(), (code, &why), turn);
            return false;
        }
        let number = step.number;
        self.opened(id).pending.push(step);
        self.start_timer(Timer { due, id: *id.as_bytes(), number }, turn);
        false
    }

    /// A handler raised.
    fn fail_stretch(
        &mut self,
        id: RunId,
        (error, retry): (Bytes, Retry),
        has_left_step: bool,
        turn: &mut Turn,
    ) {
        let run = self.opened(id);
        run.failure_count = run.failure_count.saturating_add(1);
        run.idle_count = run.idle_count.saturating_add(u32::from(!has_left_step));
        let failure_count = run.failure_count;
        if let Some(wait) = self.wait_before_retry(id, failure_count, retry) {
            self.release_slots(id);
            if !self.lives_elsewhere(id) {
                self.lose_steps(id); // they executed in the live code, which is gone
            }
            let due = self.now().plus(wait);
            self.delay_stretch(id, due, turn);
        } else {
            self.settle_stretch(id);
            self.end_run(id, Ending::Failed, Outcome::Error(error), turn);
        }
    }

    /// The code has said its last: it gives its slot back and need not be told to stop.
    fn settle_stretch(&mut self, id: RunId) {
        self.opened(id).stretch = Stretch::Parked;
        self.release_slots(id);
    }

    /// A run is failed by the engine itself, not by its code.
    pub(super) fn fail_run(&mut self, id: RunId, code: &str, why: &str, turn: &mut Turn) {
        let error = crate::run::engine_error(code, why);
        self.end_run(id, Ending::Failed, Outcome::Error(error), turn);
    }

    /// The same at a step, which gets no memo.
    pub(super) fn fail_run_at(
        &mut self,
        id: RunId,
        step: (String, StepKind),
        (code, why): (&str, &str),
        turn: &mut Turn,
    ) {
        let error = Outcome::Error(crate::run::engine_error(code, why));
        self.end_run_at(id, Some(step), (Ending::Failed, error), turn);
    }

    /// Undoes what a pending step holds: its place in the queue, its slot, or its timer.
    pub(super) fn forget(&mut self, id: RunId, step: &Pending, turn: &mut Turn) {
        let number = step.number;
        match step.state {
            PendingState::Queued => self.leave_queue(id, number),
            PendingState::Executing(epoch) => {
                self.release_slots(id);
                turn.effects.push(Effect::AbandonWork { run: id, epoch });
            }
            PendingState::BackingOff(due)
            | PendingState::Sleeping(due)
            | PendingState::Waiting(due) => {
                debug_assert!(number != STRETCH, "a stretch is no step");
                self.forget_wait(id, step);
                Self::stop_timer(Timer { due, id: *id.as_bytes(), number }, turn);
            }
        }
    }
}

/// An event with what is said of it beside its data.
const MOST_HEARD_BYTES: usize = MAX_EVENT_BYTES + 16 * 1024;
