//! What people do with schedules: they make, change and delete them, and some functions have crons.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    CatchUp, Command, CronTrigger, FunctionSpec, Rhythm, ScheduleChange, ScheduleSpec, Ticket,
};

use super::{Happening, World};
use crate::model::schedules::CRONS;

const IDS: [&str; 3] = ["s0", "s1", "s2"];
/// After so many ticks nothing is started by the clock any more: a world comes to rest.
const MOST_TICKS: u64 = 60;

impl World {
    /// The crons of a function: most have none.
    pub(super) fn draw_crons(&mut self, spec: &mut FunctionSpec) {
        spec.crons.clear();
        let count =
            if self.is_clock_stopped { 0 } else { self.chance.small(0, 3).saturating_sub(1) };
        for _ in 0..count {
            let (rhythm, catch_up) = self.draw_cron();
            let Rhythm::Cron { text, tz } = rhythm else { continue };
            let cron = CronTrigger { text, tz, jitter_ms: self.draw_jitter(), catch_up };
            if spec.crons.iter().all(|other| other.text != cron.text) {
                spec.crons.push(cron);
            }
        }
    }

    /// Somebody makes a schedule, or does something with one.
    pub(super) fn draw_schedule(&mut self) -> Option<Command> {
        if self.is_clock_stopped || !self.chance.happens(300) {
            return None;
        }
        let id = self.chance.pick(&IDS).copied().unwrap_or_default().to_owned();
        let ticket = Ticket(0);
        if self.chance.happens(550) {
            let changes = [
                ScheduleChange::Pause,
                ScheduleChange::Resume,
                ScheduleChange::Delete,
                ScheduleChange::Trigger,
            ];
            let change = self.chance.pick(&changes).copied()?;
            return Some(Command::ChangeSchedule { ticket, id, change });
        }
        let mut asked = self.questions.values().rev();
        let again = asked.find(|command| matches!(command, Command::PutSchedule { .. }));
        if let Some(again) = again.cloned().filter(|_| self.chance.happens(300)) {
            return Some(again); // who was not answered asks once more
        }
        let number = self.chance.size(0, self.mix.function_count);
        let (rhythm, catch_up) = if self.chance.happens(500) {
            self.draw_cron()
        } else {
            let ms = 1_000 + self.chance.within(0, 3_600_000);
            (Rhythm::Every { ms }, self.draw_catch_up(ms))
        };
        let spec = ScheduleSpec { rhythm, jitter_ms: self.draw_jitter(), catch_up };
        let data = self.chance.pick(&["{}", "{\"k\":\"a\"}", "{\"k\":\"b\",\"p\":60}"]).copied()?;
        let (function, data) = (format!("f{number}"), Bytes::from_static(data.as_bytes()));
        Some(Command::PutSchedule { ticket, id, function, spec, data })
    }

    fn draw_cron(&mut self) -> (Rhythm, CatchUp) {
        let (text, minutes, hours) = self.chance.pick(&CRONS).copied().unwrap_or(("@daily", 1, 24));
        let rhythm = Rhythm::Cron { text: text.to_owned(), tz: "UTC".to_owned() };
        (rhythm, self.draw_catch_up(minutes * hours * 60_000))
    }

    /// Where ticks are close together not all are made up: days may have been missed.
    fn draw_catch_up(&mut self, ms: u64) -> CatchUp {
        match self.chance.below(3) {
            0 => CatchUp::None,
            1 if ms > 1_800_000 => CatchUp::All,
            _ => CatchUp::Last,
        }
    }

    fn draw_jitter(&mut self) -> u64 {
        if self.chance.happens(600) { 0 } else { self.chance.within(1_000, 300_000) }
    }

    /// From here on nothing is started by the clock: where there has been enough of it.
    pub(super) fn stop_the_clock_in_time(&mut self) {
        if !self.is_clock_stopped && self.model.tick_count() > MOST_TICKS {
            self.tally.note("clock stopped");
            self.stop_the_clock();
            self.register(Duration::ZERO);
        }
    }

    /// What is on its way to the shard starts nothing by the clock.
    fn mail_goes_without_schedules(&mut self) {
        let makes_one = |command: &Command| matches!(command, Command::PutSchedule { .. });
        let is_mail = |happening: &Happening| matches!(happening, Happening::Mail(command) if makes_one(command));
        self.agenda.retain(|_, happening| !is_mail(happening));
        self.driver.mailbox.retain(|command| !makes_one(command));
        let planned = self.agenda.values_mut().filter_map(|happening| match happening {
            Happening::Mail(command) => Some(command),
            Happening::Turn
            | Happening::Commit
            | Happening::Release
            | Happening::CallEnds { .. }
            | Happening::RemoteCallEnds(_)
            | Happening::AppReturns(_)
            | Happening::Caller
            | Happening::ExecutorDies
            | Happening::Reopen => None,
        });
        for command in planned.chain(&mut self.driver.mailbox) {
            let Command::RegisterFunctions { functions, .. } = command else { continue };
            for spec in functions {
                spec.crons.clear();
            }
        }
    }

    /// No function has a cron any more, and no schedule stays.
    pub(super) fn stop_the_clock(&mut self) {
        self.is_clock_stopped = true;
        self.specs.iter_mut().for_each(|spec| spec.crons.clear());
        self.mail_goes_without_schedules();
        for id in IDS {
            let (ticket, change) = (Ticket(0), ScheduleChange::Delete);
            self.ask(Duration::ZERO, Command::ChangeSchedule { ticket, id: id.to_owned(), change });
        }
    }
}
