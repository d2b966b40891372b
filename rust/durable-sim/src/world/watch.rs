//! What is looked at after every turn, and at the end.

use durable_core::write::{EVENT, FUNCTION, GATE, INBOX, META, TIMER, id_in_key};
use durable_core::{
    Answer, Command, Effect, EventRecord, Op, Pending, PendingState, Report, Retry, Stretch,
};

use super::World;
use crate::driver::{Sealed, live_keys};
use crate::mistake::Mistake;
use crate::model::{holds, read};
use crate::program::DEEPEST;
use crate::storage::{Change, dump};

impl World {
    /// After every turn: the model, the shard's own audit, a second shard out of the store, the store's
    /// size.
    pub(super) fn watch(&mut self, turn: &Sealed) -> Result<(), String> {
        for command in &turn.commands {
            self.note_command(command);
        }
        self.repeat_programs(turn);
        self.deepen_programs(turn)?;
        self.model.take(turn, &mut self.outside, &mut self.tally)?;
        if self.driver.shard.next_deadline().is_some_and(|at| at > turn.now) {
            self.model.overdue(turn.now)?;
        }
        if turn.commands.is_empty() && turn.changes.is_empty() {
            return Ok(());
        }
        if !self.turns.is_multiple_of(self.mix.examine_every) {
            return Ok(());
        }
        self.driver.examine(&self.mix.settings)?;
        let counts = self.driver.shard.counts();
        let live = self.model.live();
        let expected =
            live.fold((0, 0), |(runs, memos), (_, life)| (runs + 1, memos + life.memos.len()));
        let found = live_keys(self.driver.storage.as_ref());
        if found != expected || counts.live_count != expected.0 {
            return Err(format!(
                "{found:?} runs and memos are stored, {expected:?} live: {counts:?}"
            ));
        }
        let stored = self.driver.storage.scan(&[TIMER], &[TIMER + 1], usize::MAX).len();
        if stored > counts.timer_count {
            self.tally.note("timer beyond the window");
        }
        Ok(())
    }

    /// A run that repeats another has its handler.
    fn repeat_programs(&mut self, turn: &Sealed) {
        let started = turn.effects.iter().find_map(|(effect, _)| match effect {
            Effect::Answer { answer: Answer::Started(run, _), .. } => Some(*run),
            Effect::Answer { .. }
            | Effect::OfferWork(_)
            | Effect::DeliverMemo { .. }
            | Effect::ConfirmReport { .. }
            | Effect::AbandonWork { .. }
            | Effect::AnnounceEnd { .. }
            | Effect::LoadTimers { .. }
            | Effect::LookBack { .. }
            | Effect::FindEnd { .. }
            | Effect::FindExpired { .. } => None,
        });
        if let ([Command::RerunRun { rerun, .. }], Some(run)) = (turn.commands.as_slice(), started)
        {
            self.outside.repeat(rerun.run, run);
        }
    }

    /// Runs that the engine's own events start invoke no more than those before them left.
    fn deepen_programs(&mut self, turn: &Sealed) -> Result<(), String> {
        let is_event = |change: &&Change| change.key.first() == Some(&EVENT);
        for value in turn.changes.iter().filter(is_event).filter_map(|it| it.value.as_ref()) {
            let event: EventRecord = read("an event", value)?;
            if let Some(depth) = depth_of(&event) {
                event.runs.iter().for_each(|(_, run)| self.outside.deepen(*run, depth));
            }
        }
        Ok(())
    }

    fn note_command(&mut self, command: &Command) {
        match command {
            Command::Report(report) => {
                self.answer_waits(report);
                self.note_report(report);
            }
            Command::LoadTimers { is_complete: false, .. } => {
                self.tally.note("timers read in parts");
            }
            Command::Expire { records, is_complete, .. } => {
                if !is_complete {
                    self.tally.note("records expire in parts");
                }
                let keys = records.iter().map(|(key, _)| key);
                let kept = keys.filter(|key| self.is_event_of_live_run(key)).count();
                let kept = u64::try_from(kept).unwrap_or(0);
                self.tally.add("event kept while its run lives", kept);
            }
            Command::RegisterFunctions { .. }
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
            | Command::WakeRun { .. }
            | Command::LoadTimers { .. }
            | Command::LookBack { .. }
            | Command::TellEnd { .. } => {}
        }
    }

    fn is_event_of_live_run(&self, key: &[u8]) -> bool {
        let id = id_in_key(key).map(durable_core::EventId::from_bytes);
        let event = id.and_then(|id| self.model.events.get(&id));
        event.is_some_and(|event| event.runs.iter().any(|(_, run)| self.model.is_live(*run)))
    }

    fn note_report(&mut self, report: &Report) {
        let life = self.model.runs.get(report.run).filter(|life| life.end.is_none());
        let record = life.and_then(|life| life.record.as_ref());
        let Some(record) = record.filter(|record| holds(Some(record), report.epoch)) else {
            self.tally.note("report stale");
            return;
        };
        if record.stretch == Stretch::Executing(report.epoch) {
            if report.number < record.report_count {
                self.tally.note("report ignored: duplicate");
                return;
            }
            if report.number > record.report_count {
                self.losses = self.losses.saturating_add(1);
                self.tally.note("report gap");
                return;
            }
            if report.parked_at.is_some_and(|seen| seen < record.memo_count) {
                self.tally.note("woken while parking");
            }
        }
        let is_step = |step: &Pending| matches!(step.state, PendingState::Executing(_));
        if report.ops.iter().any(|op| matches!(op, Op::RunError { .. }))
            && record.pending.iter().any(is_step)
        {
            self.losses = self.losses.saturating_add(1); // its steps executed in the code that is gone
        }
        for op in &report.ops {
            match op {
                Op::StepError { retry, .. } | Op::RunError { retry, .. } => {
                    self.tally.note(match retry {
                        Retry::Never => "error not retried",
                        Retry::After(_) => "error asked for a wait",
                        Retry::Backoff => "error waits by the table",
                    });
                }
                Op::StepRun { .. }
                | Op::StepPlanned { .. }
                | Op::Sleep { .. }
                | Op::WaitForSignal { .. }
                | Op::WaitForEvent { .. }
                | Op::InvokeFunction { .. }
                | Op::RunComplete { .. } => {}
            }
        }
    }

    /// I8: everything has ended, and nothing is held.
    pub(super) fn check_rest(&self) -> Result<(), String> {
        let counts = self.driver.shard.counts();
        let is_idle = counts.executing_count == 0 && counts.live_count == 0;
        let mut held = self.executor.held();
        held.extend(self.remotes.open().map(|(run, epoch)| (run, epoch, 0)));
        let untold = self.model.untold_count();
        if is_idle && held.is_empty() && untold == 0 {
            Ok(())
        } else {
            Err(format!("at rest, and yet {counts:?}, held {held:?}, {untold} ends untold"))
        }
    }

    /// I14: after the retention nothing is left but what does not grow.
    pub(super) fn check_forgotten(&self) -> Result<(), String> {
        let left = dump(self.driver.storage.as_ref());
        // A start that finds no gates leaves their records: what came of it is for the model to find.
        let is_for_the_model = self.mistake.is_some_and(Mistake::is_for_the_model);
        let stays = |key: &[u8]| match key.first() {
            Some(&(META | FUNCTION | INBOX)) => true,
            Some(&GATE) => is_for_the_model,
            Some(_) | None => false,
        };
        let rest: Vec<String> =
            left.keys().filter(|key| !stays(key)).map(|key| format!("{key:?}")).collect();
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("after twice the retention there is still {}", rest.join(", ")))
        }
    }

    /// What left a turn, for a reader.
    #[expect(clippy::print_stderr, reason = "only for a reader who asked for it")]
    pub(super) fn tell_turn(turn: &Sealed) {
        for command in &turn.commands {
            eprintln!("    < {command:?}");
        }
        for (effect, memos) in &turn.effects {
            let offers = matches!(effect, Effect::OfferWork(_));
            eprintln!(
                "    > {effect:?}{}",
                if offers { format!(" {memos:?}") } else { String::new() }
            );
        }
    }
}

/// How deep the runs of an event are; `None`: somebody outside sent it.
fn depth_of(event: &EventRecord) -> Option<u32> {
    let data = String::from_utf8_lossy(&event.data);
    let said = data.strip_prefix("{\"depth\":").and_then(|rest| rest.get(..1)?.parse().ok());
    match event.name.as_str() {
        "durable/function.invoked" => said,
        name => name.starts_with("durable/").then_some(DEEPEST),
    }
}
