//! Worlds of which some functions are at executors elsewhere, that go from one to another while runs wait; what was
//! called there and is lost may answer all the same.

use durable_core::{Command, ExecutorId};

use super::Race;
use super::executor::Held;
use crate::chance::Chance;

const FUNCTIONS: [&str; 3] = ["waiter", "parent", "child"];
/// So many executors there are at most.
const MOST: u32 = 3;

/// Who has which function.
#[derive(Debug)]
pub(super) struct Places {
    chance: Chance,
    /// In the order of the functions; all are in the process where there are no others.
    homes: [ExecutorId; 3],
    has_others: bool,
    /// What is lost and may still answer.
    pub(super) late: Vec<Held>,
}

impl Places {
    pub(super) fn draw(seed: u64) -> Self {
        let mut chance = Chance::new(!seed);
        let has_others = chance.happens(400);
        let mut home = || ExecutorId(if has_others { chance.small(0, MOST - 1) } else { 0 });
        let homes = [home(), home(), home()];
        Self { chance, homes, has_others, late: Vec::new() }
    }

    fn names_at(&self, executor: ExecutorId) -> Vec<String> {
        let all = FUNCTIONS.iter().zip(&self.homes);
        all.filter(|(_, home)| **home == executor).map(|(name, _)| (*name).to_owned()).collect()
    }
}

impl Race {
    /// Everybody comes, with all that it has.
    pub(super) fn connect(&mut self) {
        let count = if self.places.has_others { MOST } else { 1 };
        for executor in (0..count).map(ExecutorId) {
            let is_here = executor == ExecutorId::LOCAL;
            let capacity = if is_here { 100 } else { self.places.chance.small(1, 4) };
            let functions = self.places.names_at(executor);
            let command = Command::ConnectExecutor { executor, capacity, functions };
            self.driver.mailbox.push_back(command);
        }
    }

    /// A function moves, an application rests, an executor connects again, or somebody answers too late.
    pub(super) fn disturb(&mut self) {
        let places = &mut self.places;
        if !places.has_others {
            return;
        }
        let executor = ExecutorId(places.chance.small(0, MOST - 1));
        match places.chance.below(4) {
            0 => {
                let place = places.chance.size(0, FUNCTIONS.len() - 1);
                if let Some(home) = places.homes.get_mut(place) {
                    *home = executor;
                }
                let functions = places.names_at(executor);
                self.driver.mailbox.push_back(Command::ServeFunctions { executor, functions });
            }
            1 => {
                let functions = Vec::new();
                self.driver.mailbox.push_back(Command::ServeFunctions { executor, functions });
            }
            2 => self.come_back(),
            _ => {
                let late = places.late.pop();
                let report = late.map(|mut late| late.go_on().0);
                self.driver.mailbox.extend(report.map(Command::Report));
            }
        }
    }

    /// Each says again what it has, or connects again.
    pub(super) fn come_back(&mut self) {
        if !self.places.has_others {
            return;
        }
        if self.places.chance.happens(300) {
            return self.connect();
        }
        for executor in (0..MOST).map(ExecutorId) {
            let functions = self.places.names_at(executor);
            self.driver.mailbox.push_back(Command::ServeFunctions { executor, functions });
        }
    }
}
