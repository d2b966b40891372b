//! What is durable leaves: answers to callers, work to the executor; and the executor does its part.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use durable_core::flow::policy::Scope;
use durable_core::{Answer, Command, Effect, ExecutorId, FunctionId, FunctionSpec, Memo, Report};

use super::{Happening, World};
use crate::driver::Sealed;
use crate::executor::{Doing, Executor};
use crate::mistake::Mistake;

impl World {
    /// All turns so far become durable, or the store says that it cannot.
    pub(super) fn commit(&mut self) -> Result<(), String> {
        let Ok(turns) = self.driver.commit() else {
            self.poison();
            return Ok(());
        };
        if self.is_poisoned {
            return Err("an append succeeds after one that failed".to_owned());
        }
        for turn in turns {
            let (model, records) = &mut self.durable;
            model.follow(&turn, &mut self.outside)?;
            crate::storage::apply(records, &turn.changes);
            self.leaving.push_back(turn);
        }
        let wait = self.chance.length(Duration::from_micros(200));
        self.plan(wait, Happening::Release);
        self.driver.storage.rest(&mut self.chance, &mut self.tally)
    }

    /// I11: after a failed write nothing is acknowledged; a second try must fail too.
    fn poison(&mut self) {
        if self.is_poisoned {
            self.tally.note("poisoned append refused again");
            return;
        }
        self.is_poisoned = true;
        self.tally.note("append refused");
        self.plan(Duration::from_millis(1), Happening::Commit);
        self.plan(Duration::from_millis(2), Happening::Reopen);
    }

    pub(super) fn release(&mut self) -> Result<(), String> {
        while let Some(turn) = self.leaving.pop_front() {
            self.let_out(&turn, false)?;
        }
        Ok(())
    }

    /// Effects go, in order. `early`: the turn is not durable, and only a mistake lets them go.
    pub(super) fn let_out(&mut self, turn: &Rc<Sealed>, early: bool) -> Result<(), String> {
        let is_connect = |command: &Command| {
            matches!(command, Command::ConnectExecutor { executor: ExecutorId::LOCAL, .. })
        };
        let is_first = early == (self.mistake == Some(Mistake::OffersEarly));
        if is_first && turn.commands.iter().any(is_connect) {
            // From here on what leaves is for the new executor, which has nothing yet.
            self.is_connected = true;
            self.losses = self.losses.saturating_add(1);
            self.executor = Executor::new(self.chance.fork(), &self.mix);
        }
        if is_first {
            self.note_moves(turn);
        }
        for (effect, memos) in &turn.effects {
            let is_work = matches!(effect, Effect::OfferWork(_));
            if is_work && self.mistake == Some(Mistake::LosesWork) && self.chance.happens(50) {
                continue;
            }
            let is_early = match (self.mistake, effect) {
                (Some(Mistake::AnswersEarly), Effect::Answer { .. }) => true,
                (Some(Mistake::OffersEarly), effect) => !matches!(effect, Effect::Answer { .. }),
                (Some(_) | None, _) => false,
            };
            if is_early == early {
                self.let_one_out(effect, memos);
                self.carry_out()?;
            }
        }
        Ok(())
    }

    fn let_one_out(&mut self, effect: &Effect, memos: &[Memo]) {
        if self.let_out_elsewhere(effect, memos) {
            return;
        }
        let now = self.clock.wall();
        let outside = &mut self.outside;
        let is_for_caller = matches!(effect, Effect::Answer { .. } | Effect::AnnounceEnd { .. });
        if !self.is_connected && !is_for_caller {
            return; // it was for the executor before
        }
        match effect {
            Effect::Answer { ticket, answer } => {
                self.questions.remove(&ticket.0);
                match answer {
                    Answer::Accepted(ids) => {
                        let count = u64::try_from(ids.len()).unwrap_or(0);
                        self.tally.add("acknowledged event", count);
                        self.acknowledged.extend_from_slice(ids);
                    }
                    Answer::Started(run, _) | Answer::StartedBefore(run, _) => {
                        self.promised_runs.push(*run);
                    }
                    Answer::Registered(_)
                    | Answer::Paused
                    | Answer::Cancelled(_)
                    | Answer::EventCancelled(_)
                    | Answer::Signalled(_)
                    | Answer::Published(_)
                    | Answer::Scheduled
                    | Answer::Refused(_) => {}
                }
            }
            Effect::OfferWork(work) => self.executor.offer(work, memos, outside, now),
            Effect::DeliverMemo { run, epoch, .. } => {
                self.executor.deliver((*run, *epoch), memos, outside, now);
            }
            Effect::ConfirmReport { run, epoch, number, .. } => {
                self.executor.confirm((*run, *epoch, *number), memos, outside, now);
            }
            Effect::AbandonWork { run, epoch } => self.executor.abandon(*run, *epoch),
            Effect::AnnounceEnd { run, .. } => {
                self.executor.forget(*run);
                self.announced.push(*run);
            }
            Effect::LoadTimers { .. }
            | Effect::LookBack { .. }
            | Effect::FindEnd { .. }
            | Effect::FindExpired { .. } => {}
        }
    }

    /// What the executor did becomes part of the world.
    pub(super) fn carry_out(&mut self) -> Result<(), String> {
        for doing in std::mem::take(&mut self.executor.doings) {
            match doing {
                Doing::Say(report) => self.send_report(report, true),
                Doing::Call { run, epoch, call, length } => {
                    self.plan(length, Happening::CallEnds { run, epoch, call });
                }
            }
        }
        self.carry_out_elsewhere();
        self.check_calls()?;
        let complaint = self.executor.complaint.take().or(self.remotes.complaint.take());
        if self.mix.is_hostile {
            return Ok(());
        }
        if let Some(complaint) = complaint {
            return Err(complaint);
        }
        self.check_slots()
    }

    /// A report is on its way: soon, late, twice, or lost.
    pub(super) fn send_report(&mut self, report: Report, can_be_lost: bool) {
        let soon = Duration::from_micros(10);
        let mail = Happening::Mail(Command::Report(report));
        if self.is_safe {
            self.plan(soon, mail);
            return;
        }
        let mix = Rc::clone(&self.mix);
        if self.chance.happens(mix.repeat) {
            self.tally.note("report repeated");
            let again = self.chance.length(Duration::from_secs(20));
            self.plan(again, mail.clone());
        }
        if can_be_lost && self.chance.happens(mix.lose) {
            self.tally.note("report lost");
            let wait = self.chance.length(Duration::from_secs(30));
            self.plan(wait, Happening::ExecutorDies);
        } else if self.chance.happens(mix.delay) {
            self.tally.note("report delayed");
            let late = self.chance.length(Duration::from_secs(10));
            self.plan(late, mail);
        } else {
            self.plan(soon, mail);
        }
    }

    /// I2: a recorded step is not called again, and a call is repeated only for a reason.
    fn check_calls(&mut self) -> Result<(), String> {
        for number in std::mem::take(&mut self.outside.fresh) {
            let Some(call) = self.outside.call(number) else { continue };
            let (run, Some(name)) = (call.run, call.step.clone()) else { continue };
            let count = self.outside.count(run, &name);
            let failures = self.outside.program(run).steps.get(&name).map_or(0, |s| s.failures);
            if count > failures.saturating_add(1) {
                self.tally.note("call repeated after a crash");
            } else if count > 1 {
                self.tally.note("call repeated after an error");
            }
            if self.mix.is_hostile {
                continue;
            }
            if self.model.is_recorded(run, &name) {
                return Err(format!("run {run}: '{name}' is called though it is recorded"));
            }
            let most = 1_u32.saturating_add(failures).saturating_add(self.losses);
            if count > most {
                return Err(format!("run {run}: '{name}' is called {count} times, not {most}"));
            }
        }
        Ok(())
    }

    /// The same for each value of a key that is the function's own.
    fn check_keyed_slots(&self, spec: &FunctionSpec, number: u32) -> Result<(), String> {
        let keyed = spec.policies.concurrency.iter();
        let keyed: Vec<_> =
            keyed.filter(|one| one.scope == Scope::Fn && one.key.is_some()).collect();
        let [limit] = keyed.as_slice() else { return Ok(()) }; // two are left to the model
        let mut held: BTreeMap<&str, u32> = BTreeMap::new();
        for (run, _, _) in self.executor.held() {
            let record = self.model.runs.get(run).and_then(|life| life.record.as_ref());
            let record = record.filter(|record| record.function == FunctionId(number));
            let keys = record.iter().flat_map(|record| &record.keys.limits);
            for key in keys.filter(|key| key.scope == Scope::Fn) {
                let count = held.entry(key.value.as_str()).or_default();
                *count = count.saturating_add(1);
            }
        }
        let beyond = held.iter().find(|(_, count)| **count > limit.limit);
        beyond.map_or(Ok(()), |(value, count)| {
            let name = &spec.name;
            Err(format!("'{name}' holds {count} slots of {} for '{value}'", limit.limit))
        })
    }

    /// I4: an executor never holds more than a function's limit, nor more than it can take.
    fn check_slots(&self) -> Result<(), String> {
        let (held, most) = (self.executor.held().len(), self.mix.capacity);
        if u32::try_from(held).unwrap_or(u32::MAX) > most {
            return Err(format!("{held} pieces of work, room for {most}"));
        }
        if self.mix.register > 0 {
            return Ok(());
        }
        for (spec, number) in self.specs.iter().zip(0..) {
            let limit = spec.policies.plain_limit().and_then(|limit| usize::try_from(limit).ok());
            let held = self.executor.held_count(number);
            if limit.is_some_and(|limit| held > limit) {
                return Err(format!("'{}' holds {held} slots of {limit:?}", spec.name));
            }
            self.check_keyed_slots(spec, number)?;
        }
        Ok(())
    }
}
