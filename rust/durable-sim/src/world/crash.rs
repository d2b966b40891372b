//! What goes wrong: the process, the machine, the disk, the executor, the clock. And what must hold
//! when it comes up again.

use std::time::Duration;

use durable_core::{Command, ExecutorId, Settings};

use super::{Happening, World};
use crate::driver::Driver;
use crate::executor::Executor;
use crate::mistake::Mistake;
use crate::model::Model;
use crate::storage::{Cut, MapStorage, Records, Storage, apply, dump};

/// As often it is killed while it forgets: each start makes work of its own, and some world would never end.
const MOST_KILLS: u64 = 200;

impl World {
    /// After each happening of the first phase.
    pub(super) fn draw_faults(&mut self) -> Result<(), String> {
        let mix = std::rc::Rc::clone(&self.mix);
        if self.chance.happens(mix.kill) {
            self.tally.note("killed");
            self.fall(Cut::Kill)?;
        }
        if self.chance.happens(mix.cut) {
            let is_inside = !self.driver.uncommitted.is_empty() && self.chance.happens(500);
            self.tally.note(match (is_inside, self.leaving.is_empty()) {
                (true, _) => "cut inside an append",
                (false, false) => "cut between append and effects",
                (false, true) => "cut elsewhere",
            });
            self.fall(if is_inside { Cut::PowerInAppend } else { Cut::Power })?;
        }
        if self.chance.happens(mix.refuse) {
            self.driver.storage.refuse_next(&mut self.chance);
        }
        if self.chance.happens(mix.executor_dies) {
            self.tally.note("executor died");
            self.replace_executor();
        }
        if self.chance.happens(mix.drain) {
            self.tally.note("executor drained");
            self.is_drained = true;
            self.plan(Duration::ZERO, Happening::Mail(Command::DrainExecutors));
        }
        if self.chance.happens(mix.jump) {
            self.jump();
        }
        if self.chance.happens(mix.register) {
            self.change_functions();
        }
        if self.chance.happens(mix.pause_function) {
            self.pause_a_function();
        }
        if self.chance.happens(mix.wake) {
            self.wake_a_run();
        }
        self.disturb_elsewhere();
        if self.mix.is_hostile && self.chance.happens(150) {
            self.say_garbage();
        }
        Ok(())
    }

    fn jump(&mut self) {
        if self.chance.happens(700) {
            self.tally.note("clock jumped ahead");
            let by = self.chance.length(Duration::from_hours(72));
            self.clock.jump_ahead(by);
        } else {
            self.tally.note("clock jumped back");
            let by = self.chance.length(Duration::from_hours(1));
            self.clock.jump_back(by);
        }
    }

    /// The process ends in some way and starts again.
    pub(super) fn fall(&mut self, cut: Cut) -> Result<(), String> {
        self.losses = self.losses.saturating_add(1);
        let storage: Box<dyn Storage> = Box::<MapStorage>::default();
        let mut storage = std::mem::replace(&mut self.driver.storage, storage);
        let flip = self.mix.flip;
        storage.reopen(cut, &mut self.chance)?;
        if !self.is_safe && self.has_disk() && self.chance.happens(flip * 10) {
            self.tally.note("byte flipped");
            let was_seen = storage.flip(&mut self.chance)?;
            self.tally.note(if was_seen { "flip detected" } else { "flip harmless" });
        }
        self.compare(&dump(storage.as_ref()))?;
        self.check_promises()?;
        let settings = Settings { seed: self.chance.draw(), ..self.mix.settings.clone() };
        let how = (self.mix.page, self.mistake);
        self.driver = Driver::open(storage, settings, self.clock.wall(), how)?;
        self.driver.examine(&self.mix.settings)?;
        self.leaving.clear();
        self.is_connected = false;
        (self.is_poisoned, self.is_drained) = (false, false);
        self.executor = Executor::new(self.chance.fork(), &self.mix);
        self.remotes.restart();
        self.give_out_numbers();
        self.lose_messages();
        self.ask_again();
        if self.is_clock_stopped && self.model.has_schedules() {
            self.stop_the_clock(); // who did before was perhaps not heard
        }
        self.start_application(self.mistake != Some(Mistake::ForgetsToConnect));
        if self.is_safe {
            self.resume_all(); // who asked for it before was not answered
        }
        Ok(())
    }

    /// What is found is the durable state, and after it some of the turns that were on their way: whole,
    /// and in order.
    fn compare(&mut self, found: &Records) -> Result<(), String> {
        let (mut model, mut expected) = self.durable.clone();
        let mut turns = self.driver.uncommitted.drain(..);
        while *found != expected {
            let Some(turn) = turns.next() else {
                return Err(difference(found, &self.durable.1));
            };
            apply(&mut expected, &turn.changes);
            model.follow(&turn, &mut self.outside)?;
        }
        drop(turns);
        model.restart();
        self.durable = (model.clone(), expected);
        self.model = model;
        Ok(())
    }

    /// I1, I3: what callers and observers were told is still so.
    fn check_promises(&self) -> Result<(), String> {
        let model: &Model = &self.model;
        let latest = self.clock.latest();
        let is_old =
            |made_at: durable_core::Timestamp| made_at.plus(self.mix.settings.retention) <= latest;
        for id in &self.acknowledged {
            if !model.events.contains_key(id) && !is_old(id.made_at()) {
                return Err(format!("event {id} was acknowledged and is lost"));
            }
        }
        for run in &self.promised_runs {
            if model.runs.get(*run).is_none() {
                return Err(format!("run {run} was promised and is lost"));
            }
        }
        for run in &self.announced {
            if model.runs.get(*run).is_none_or(|life| life.end.is_none()) {
                return Err(format!("the end of run {run} was announced and is lost"));
            }
        }
        Ok(())
    }

    /// The process is gone, and most of what was on its way to it.
    fn lose_messages(&mut self) {
        let stale = self.mix.stale;
        for (at, happening) in std::mem::take(&mut self.agenda) {
            let stays = match &happening {
                Happening::Caller | Happening::RemoteCallEnds(_) => true,
                Happening::Mail(Command::Report(_)) => self.chance.happens(stale),
                Happening::Mail(_)
                | Happening::Turn
                | Happening::Commit
                | Happening::Release
                | Happening::CallEnds { .. }
                | Happening::AppReturns(_)
                | Happening::ExecutorDies
                | Happening::Reopen => false,
            };
            if stays {
                self.agenda.insert(at, happening);
            }
        }
    }

    /// Callers that got no answer: most ask again.
    fn ask_again(&mut self) {
        for (_, question) in std::mem::take(&mut self.questions) {
            if matches!(question, Command::AcceptEvents { .. }) && self.chance.happens(700) {
                self.tally.note("resend after a crash");
                let wait = self.chance.length(self.mix.pause);
                self.ask(wait, question);
            }
        }
    }

    /// The executor dies, the process does not: a new one takes its place.
    pub(super) fn replace_executor(&mut self) {
        self.losses = self.losses.saturating_add(1);
        self.executor = Executor::new(self.chance.fork(), &self.mix);
        let is_call = |happening: &Happening| {
            matches!(happening, Happening::CallEnds { .. } | Happening::ExecutorDies)
        };
        self.agenda.retain(|_, happening| !is_call(happening));
        let was_drained = self.is_drained;
        (self.is_drained, self.is_connected) = (false, false);
        let command = self.connect_command(ExecutorId::LOCAL);
        self.driver.mailbox.push_back(command);
        self.plan(Duration::ZERO, Happening::Turn);
        if was_drained {
            self.connect_elsewhere();
        }
    }

    /// What is forgotten is forgotten whole, whenever the process ends.
    pub(super) fn kill_while_forgetting(&mut self) -> Result<(), String> {
        let is_enough = self.tally.count("killed while forgetting") >= MOST_KILLS;
        if is_enough || !self.chance.happens(self.mix.kill) {
            return Ok(());
        }
        self.tally.note("killed while forgetting");
        self.fall(Cut::Kill)
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn begin_liveness(&mut self) -> Result<(), String> {
        self.is_safe = true;
        if self.is_poisoned {
            self.fall(Cut::Kill)?;
        }
        let is_drain =
            |happening: &Happening| matches!(happening, Happening::Mail(Command::DrainExecutors));
        self.agenda.retain(|_, happening| !is_drain(happening));
        let is_dying = self.is_planned(&Happening::ExecutorDies);
        if is_dying || self.mix.drain > 0 || self.mix.is_hostile {
            self.replace_executor();
        }
        self.specs.iter_mut().zip(0..).for_each(|(spec, number)| {
            spec.name = format!("f{number}");
        });
        self.stop_the_clock();
        self.register(Duration::ZERO);
        self.settle_elsewhere();
        self.resume_all();
        Ok(())
    }
}

fn difference(found: &Records, expected: &Records) -> String {
    let key = found
        .iter()
        .find(|(key, value)| expected.get(*key) != Some(value))
        .map(|(key, _)| key)
        .or_else(|| expected.keys().find(|key| !found.contains_key(*key)));
    format!(
        "what is found after a crash is no state between turns that was durable or on its way: \
         {} records, {} at the last commit, the first difference at {key:?}",
        found.len(),
        expected.len()
    )
}
