//! Who takes work, how much, and of which functions.

use std::collections::BTreeMap;

use durable_core::{Command, ExecutorId, FunctionId, Timestamp};

use super::Model;
use super::walk::Walk;
use crate::driver::Sealed;

/// Executors since the process was started.
#[derive(Clone, Debug, Default)]
pub(super) struct Executors {
    /// How much those take at a time that have connected.
    capacities: BTreeMap<ExecutorId, u32>,
    /// The functions of which somebody takes work, who, and since when.
    served: BTreeMap<FunctionId, (ExecutorId, Timestamp)>,
    /// Who took work of them last: what executes is with that one.
    homes: BTreeMap<FunctionId, ExecutorId>,
    /// The same as the turn found it.
    before: BTreeMap<FunctionId, ExecutorId>,
}

impl Executors {
    pub(super) fn begin_turn(&mut self) {
        self.before = self.homes.clone();
    }

    pub(super) fn capacity(&self, executor: ExecutorId) -> u32 {
        self.capacities.get(&executor).copied().unwrap_or(0)
    }

    pub(super) fn serving(&self, function: FunctionId) -> Option<ExecutorId> {
        self.served.get(&function).map(|(executor, _)| *executor)
    }

    pub(super) fn served_since(&self, function: FunctionId) -> Option<Timestamp> {
        self.served.get(&function).map(|(_, since)| *since)
    }

    pub(super) fn home(&self, function: FunctionId) -> Option<ExecutorId> {
        self.homes.get(&function).copied()
    }

    /// These and no others are this executor's from now on.
    fn serve(&mut self, executor: ExecutorId, functions: &[FunctionId], now: Timestamp) {
        self.served.retain(|function, (of, _)| *of != executor || functions.contains(function));
        for function in functions {
            let served = self.served.entry(*function).or_insert((executor, now));
            if served.0 != executor {
                *served = (executor, now);
            }
            self.homes.insert(*function, executor);
        }
    }

    /// The command of a turn with which what executed of a function was lost.
    pub(super) fn lost_at(
        &self,
        turn: &Sealed,
        (function, name): (FunctionId, &str),
    ) -> Option<usize> {
        let home = self.before.get(&function).copied();
        let is_named = |functions: &[String]| functions.iter().any(|one| one == name);
        turn.commands.iter().position(|command| match command {
            Command::ConnectExecutor { executor, functions, .. } => {
                home.is_none_or(|home| home == *executor || is_named(functions))
            }
            Command::ServeFunctions { executor, functions } => {
                home != Some(*executor) && is_named(functions)
            }
            _ => false,
        })
    }
}

impl Model {
    /// Executors connect, take functions, or want no more work.
    pub(super) fn employ(&mut self, walk: &mut Walk<'_>, command: &Command) {
        let now = walk.turn.now;
        if let Command::ConnectExecutor { executor, capacity, .. } = command {
            self.executors.capacities.insert(*executor, *capacity);
        }
        if let Command::ConnectExecutor { executor, functions, .. }
        | Command::ServeFunctions { executor, functions } = command
        {
            let known = (0..).map(FunctionId).zip(&self.specs);
            let named = known.filter(|(_, (spec, _))| functions.contains(&spec.name));
            let named: Vec<FunctionId> = named.map(|(function, _)| function).collect();
            self.executors.serve(*executor, &named, now);
        }
        if matches!(command, Command::DrainExecutors) {
            self.executors.capacities.clear();
        }
    }
}
