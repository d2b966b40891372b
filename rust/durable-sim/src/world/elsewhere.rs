//! Which executor has which functions: the one in the process, or others elsewhere that come, rest and connect again,
//! while functions move between them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use durable_core::{Command, Effect, ExecutorId, Memo};

use super::{Happening, World};
use crate::driver::Sealed;
use crate::remotes::{Doing, NO_REPLY};

/// Where the functions are.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// For each function, by its place, the executor that has it.
    homes: Vec<ExecutorId>,
    /// For each executor elsewhere the most that it takes at a time.
    capacities: BTreeMap<ExecutorId, u32>,
    /// Those whose application is at rest: they serve nothing.
    resting: BTreeSet<ExecutorId>,
}

impl World {
    /// Each function is at one executor or another.
    pub(super) fn draw_places(&mut self) {
        let count = self.specs.len();
        self.places.homes = vec![ExecutorId::LOCAL; count];
        if self.has_others() {
            let homes: Vec<ExecutorId> = (0..count).map(|_| self.draw_home()).collect();
            self.places.homes = homes;
            self.draw_capacities();
            self.say_where();
        }
    }

    fn has_others(&self) -> bool {
        self.mix.elsewhere.count > 0
    }

    fn draw_home(&mut self) -> ExecutorId {
        ExecutorId(self.chance.small(0, self.mix.elsewhere.count))
    }

    fn draw_capacities(&mut self) {
        let most = self.mix.elsewhere.capacity;
        for executor in self.others() {
            let capacity = self.chance.small(1, most);
            self.places.capacities.insert(executor, capacity);
        }
    }

    /// Functions say in their settings whether they are elsewhere.
    fn say_where(&mut self) {
        for (spec, home) in self.specs.iter_mut().zip(&self.places.homes) {
            let is_here = *home == ExecutorId::LOCAL;
            spec.endpoint = (!is_here).then(|| format!("http://app-{}", home.0));
        }
    }

    fn others(&self) -> Vec<ExecutorId> {
        (1..=self.mix.elsewhere.count).map(ExecutorId).collect()
    }

    fn names_at(&self, executor: ExecutorId) -> Vec<String> {
        if self.places.resting.contains(&executor) {
            return Vec::new();
        }
        let all = self.specs.iter().zip(&self.places.homes);
        all.filter(|(_, home)| **home == executor).map(|(spec, _)| spec.name.clone()).collect()
    }

    pub(super) fn connect_command(&self, executor: ExecutorId) -> Command {
        let capacity = self.places.capacities.get(&executor).copied();
        let (capacity, functions) =
            (capacity.unwrap_or(self.mix.capacity), self.names_at(executor));
        Command::ConnectExecutor { executor, capacity, functions }
    }

    pub(super) fn serve_command_of(&self, executor: ExecutorId) -> Command {
        Command::ServeFunctions { executor, functions: self.names_at(executor) }
    }

    /// The others come, each in its time; now and then one says what it has before it connects. `is_new`: some
    /// functions are not known before the application has registered, which takes `wait`.
    pub(super) fn start_elsewhere(&mut self, wait: Duration, is_new: bool) {
        self.places.resting.clear();
        for executor in self.others() {
            let soon = match self.chance.below(3) {
                0 => Duration::ZERO,
                1 => wait,
                _ => self.chance.length(self.mix.pause),
            };
            if self.chance.happens(200) {
                self.tally.note("elsewhere: served before it was connected");
                self.plan(Duration::ZERO, Happening::Mail(self.serve_command_of(executor)));
            }
            self.plan(soon, Happening::Mail(self.connect_command(executor)));
            if is_new && soon <= wait {
                self.plan(wait, Happening::Mail(self.serve_command_of(executor)));
            }
        }
    }

    /// All of them connect again.
    pub(super) fn connect_elsewhere(&mut self) {
        for executor in self.others() {
            self.plan(Duration::ZERO, Happening::Mail(self.connect_command(executor)));
        }
    }

    /// The process has started again: what had one number has another, and other room.
    pub(super) fn give_out_numbers(&mut self) {
        if !self.has_others() || !self.chance.happens(400) {
            return;
        }
        self.tally.note("elsewhere: numbers given out anew");
        let by = self.chance.small(0, self.mix.elsewhere.count);
        let count = self.mix.elsewhere.count;
        for home in &mut self.places.homes {
            if let Some(place) = home.0.checked_sub(1) {
                let turned = place.saturating_add(by).checked_rem(count).unwrap_or(0);
                *home = ExecutorId(turned.saturating_add(1));
            }
        }
        self.draw_capacities();
    }

    /// Applications rest, functions move, executors connect again.
    pub(super) fn disturb_elsewhere(&mut self) {
        if !self.has_others() {
            return;
        }
        let mix = Rc::clone(&self.mix);
        let executor = ExecutorId(self.chance.small(1, mix.elsewhere.count));
        if self.chance.happens(mix.elsewhere.rests) {
            self.tally.note("elsewhere: an application rests");
            self.places.resting.insert(executor);
            self.plan(Duration::ZERO, Happening::Mail(self.serve_command_of(executor)));
            let wait = self.chance.length(mix.pause * 4);
            self.plan(wait, Happening::AppReturns(executor));
        }
        if self.chance.happens(mix.elsewhere.connects) {
            self.tally.note("elsewhere: connected again");
            if self.chance.happens(500) {
                self.draw_capacities();
            }
            self.plan(Duration::ZERO, Happening::Mail(self.connect_command(executor)));
        }
        if self.chance.happens(mix.elsewhere.moves) {
            self.move_a_function();
        }
    }

    /// A function goes to another executor. Mostly the application registers first, and then says who has it.
    fn move_a_function(&mut self) {
        let home = self.draw_home();
        let places: Vec<usize> = (0..self.specs.len()).collect();
        let Some(place) = self.chance.pick(&places).copied() else { return };
        let Some(known) = self.places.homes.get_mut(place) else { return };
        let before = std::mem::replace(known, home);
        if before == home {
            return;
        }
        self.tally.note(match (before, home) {
            (ExecutorId::LOCAL, _) => "elsewhere: a function moved out of the process",
            (_, ExecutorId::LOCAL) => "elsewhere: a function moved into the process",
            (_, _) => "elsewhere: a function moved from one to another",
        });
        self.say_where();
        let later = self.chance.length(Duration::from_secs(1));
        let (first, last) = if self.chance.happens(700) {
            (Duration::ZERO, later)
        } else {
            (later, Duration::ZERO)
        };
        self.register(first);
        self.plan(last, Happening::Mail(self.serve_command_of(home)));
        if self.chance.happens(500) {
            let wait = if self.chance.happens(500) { first } else { last };
            self.plan(wait, Happening::Mail(self.serve_command_of(before)));
        }
    }

    pub(super) fn return_to_work(&mut self, executor: ExecutorId) {
        self.places.resting.remove(&executor);
        self.plan(Duration::ZERO, Happening::Mail(self.serve_command_of(executor)));
    }

    /// Nothing goes wrong any more, and everybody is there.
    pub(super) fn settle_elsewhere(&mut self) {
        if !self.has_others() {
            return;
        }
        self.remotes.is_safe = true;
        self.places.resting.clear();
        let is_outdated = |happening: &Happening| {
            let Happening::Mail(command) = happening else { return false };
            is_serve(command) || connects(command).is_some_and(|it| it != ExecutorId::LOCAL)
        };
        self.agenda.retain(|_, happening| !is_outdated(happening));
        self.connect_elsewhere();
        // What was said before by whoever has just started is heard first.
        let later = Duration::from_secs(1);
        for executor in std::iter::once(ExecutorId::LOCAL).chain(self.others()) {
            self.plan(later, Happening::Mail(self.serve_command_of(executor)));
        }
    }

    /// Work may be lost with each executor that connects, or takes functions.
    pub(super) fn note_moves(&mut self, turn: &Sealed) {
        let is_move = |command: &&Command| {
            is_serve(command) && self.has_others()
                || connects(command).is_some_and(|it| it != ExecutorId::LOCAL)
        };
        let count = turn.commands.iter().filter(is_move).count();
        self.losses = self.losses.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// What is for executors elsewhere; true where it is for nobody here.
    pub(super) fn let_out_elsewhere(&mut self, effect: &Effect, memos: &[Memo]) -> bool {
        let now = self.clock.wall();
        let is_here = |executor: &ExecutorId| *executor == ExecutorId::LOCAL;
        if let Effect::OfferWork(work) = effect
            && !is_here(&work.executor)
        {
            self.remotes.offer(work, memos, &mut self.outside, now);
            return true;
        }
        if let Effect::DeliverMemo { executor, .. } = effect {
            return !is_here(executor); // it is told all when it is called again
        }
        if let Effect::ConfirmReport { executor, run, epoch, number, .. } = effect
            && !is_here(executor)
        {
            self.remotes.confirm((*run, *epoch, *number), &mut self.outside, now);
            return true;
        }
        if let Effect::AbandonWork { run, epoch } = effect {
            self.remotes.abandon(*run, *epoch);
        }
        false
    }

    /// What came of calls becomes part of the world.
    pub(super) fn carry_out_elsewhere(&mut self) {
        for doing in std::mem::take(&mut self.remotes.doings) {
            match doing {
                Doing::Say(report) => self.send_report(report, false),
                Doing::Busy(call, length) => self.plan(length, Happening::RemoteCallEnds(call)),
            }
        }
        for what in std::mem::take(&mut self.remotes.notes) {
            if what == NO_REPLY {
                self.losses = self.losses.saturating_add(1); // what was executed is executed again
            }
            self.tally.note(what);
        }
    }
}

/// The executor that connects.
fn connects(command: &Command) -> Option<ExecutorId> {
    let Command::ConnectExecutor { executor, .. } = command else { return None };
    Some(*executor)
}

fn is_serve(command: &Command) -> bool {
    matches!(command, Command::ServeFunctions { .. })
}
