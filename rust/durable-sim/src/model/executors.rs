//! Who takes work, how much, and of which functions.

use std::collections::BTreeMap;

use durable_core::{Command, Effect, Epoch, ExecutorId, FunctionId, RunId, RunRecord, Timestamp};

use super::walk::Walk;
use super::{Model, require};
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
    /// What executed then, where the turn may lose some of it.
    held: BTreeMap<RunId, Vec<Epoch>>,
}

impl Executors {
    /// So many have connected, beside one.
    pub(super) fn others(&self) -> u64 {
        u64::try_from(self.capacities.len()).unwrap_or(0).saturating_sub(1)
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
        turn.commands.iter().position(|command| {
            if let Command::ConnectExecutor { executor, functions, .. } = command {
                home.is_none_or(|home| home == *executor || is_named(functions))
            } else if let Command::ServeFunctions { executor, functions } = command {
                home != Some(*executor) && is_named(functions)
            } else {
                false
            }
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

    /// To be called before a turn is gone through.
    pub(super) fn note_held(&mut self, turn: &Sealed) {
        let is_concerned = !self.is_following && turn.commands.iter().any(moves_work);
        let held = self.live().filter(|_| is_concerned).filter_map(|(id, life)| {
            let epochs = life.record.as_ref()?.epochs();
            (!epochs.is_empty()).then_some((id, epochs))
        });
        self.executors.held = held.collect();
        self.executors.before = self.executors.homes.clone();
    }

    /// What an executor had that has connected again, or whose functions others have taken, counts no more. Who lives
    /// on without such a function is told to drop it.
    pub(super) fn check_lost(&self, turn: &Sealed) -> Result<(), String> {
        for (id, held) in &self.executors.held {
            let Some(life) = self.runs.get(*id).filter(|life| life.end.is_none()) else { continue };
            let name = self.spec(life.function).map_or("", |spec| spec.name.as_str());
            let lost = self.executors.lost_at(turn, (life.function, name));
            let Some(by) = lost.and_then(|at| turn.commands.get(at)) else { continue };
            let now = life.record.as_ref().map(RunRecord::epochs).unwrap_or_default();
            let left = held.iter().find(|epoch| now.contains(epoch));
            require(left.is_none(), || {
                format!("run {id}: {left:?} still counts, and its executor was lost: {held:?}")
            })?;
            let home = self.executors.before.get(&life.function);
            let is_moved = home.is_some_and(|home| employed(by) != Some(*home));
            if !is_moved || turn.commands.iter().any(|command| is_report_of(command, *id)) {
                continue;
            }
            let untold = held.iter().find(|epoch| !is_abandoned(turn, *id, **epoch));
            require(untold.is_none(), || {
                format!("run {id}: {untold:?} went to another, and nobody told {home:?}")
            })?;
        }
        Ok(())
    }
}

fn moves_work(command: &Command) -> bool {
    employed(command).is_some()
}

/// Whom a command is about that connects or takes functions.
fn employed(command: &Command) -> Option<ExecutorId> {
    if let Command::ConnectExecutor { executor, .. } | Command::ServeFunctions { executor, .. } =
        command
    {
        return Some(*executor);
    }
    None
}

fn is_report_of(command: &Command, run: RunId) -> bool {
    matches!(command, Command::Report(report) if report.run == run)
}

fn is_abandoned(turn: &Sealed, run: RunId, epoch: Epoch) -> bool {
    let mut effects = turn.effects.iter().map(|(effect, _)| effect);
    effects.any(|effect| *effect == Effect::AbandonWork { run, epoch })
}
