//! Registering functions: what an application says of them replaces what it said before.

use std::collections::BTreeSet;

use super::program::Program;
use super::{Function, Shard, Standings, Turn};
use crate::effect::{Answer, Effect, Refusal};
use crate::function::{FunctionRecord, FunctionSpec};
use crate::id::{FunctionId, Ticket};
use crate::time::Timestamp;

impl Shard {
    pub(super) fn register(
        &mut self,
        ticket: Ticket,
        app: &str,
        specs: Vec<FunctionSpec>,
        turn: &mut Turn,
    ) {
        let answer = match self.refusal_of_specs(app, &specs) {
            Some(why) => Answer::Refused(Refusal::Invalid(why)),
            None => Answer::Registered(self.replace_functions(app, specs, turn)),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    fn refusal_of_specs(&self, app: &str, specs: &[FunctionSpec]) -> Option<String> {
        let mut names = BTreeSet::new();
        specs.iter().find_map(|spec| {
            let name = &spec.name;
            if !names.insert(name) {
                return Some(format!("two functions have the id '{name}': ids are unique"));
            }
            let owner = self.names.get(name).map(|id| &self.function(*id).record);
            if let Some(owner) = owner.filter(|record| record.spec.app != app && !record.is_archived) {
                return Some(format!(
                    "function '{name}' belongs to the application '{}' in this store: choose another id",
                    owner.spec.app
                ));
            }
            let program = || {
                let why = Program::compile(&spec.policies).err()?;
                Some(format!("function '{name}': {why}"))
            };
            spec.refusal().or_else(|| super::route::refusal_of_triggers(spec)).or_else(program)
        })
    }

    fn replace_functions(
        &mut self,
        app: &str,
        specs: Vec<FunctionSpec>,
        turn: &mut Turn,
    ) -> Vec<FunctionId> {
        let ids: Vec<FunctionId> =
            specs.into_iter().map(|spec| self.replace_function(spec, turn)).collect();
        let gone: Vec<FunctionId> = self
            .names
            .values()
            .copied()
            .filter(|id| !ids.contains(id))
            .filter(|id| {
                let record = &self.function(*id).record;
                record.spec.app == app && !record.is_archived
            })
            .collect();
        for id in &gone {
            self.function_mut(*id).record.is_archived = true;
            self.turn.functions.insert(*id);
        }
        for id in ids.iter().chain(&gone) {
            self.sync_crons(*id, turn);
        }
        self.wake_held();
        self.rebuild_routes();
        ids
    }

    fn replace_function(&mut self, spec: FunctionSpec, turn: &mut Turn) -> FunctionId {
        let Some(id) = self.names.get(&spec.name).copied() else { return self.add_function(spec) };
        let function = self.function_mut(id);
        if function.record.spec != spec || function.record.is_archived {
            function.program = compiled(&spec);
            let before = std::mem::replace(&mut function.record.spec, spec).policies;
            function.record.is_archived = false;
            self.turn.functions.insert(id);
            self.apply_policies(id, &before, turn);
        }
        id
    }

    fn add_function(&mut self, spec: FunctionSpec) -> FunctionId {
        let record = FunctionRecord::new(spec);
        let program = compiled(&record.spec);
        let id = self.keep_function(record, program);
        self.turn.functions.insert(id);
        id
    }

    /// Takes a function in, new or read from the store: its number is its place.
    pub(super) fn keep_function(&mut self, record: FunctionRecord, program: Program) -> FunctionId {
        let id = FunctionId(u32::try_from(self.functions.len()).unwrap_or(u32::MAX));
        self.queues.add_function();
        self.names.insert(record.spec.name.clone(), id);
        let standings = Standings::default();
        let served_since = Timestamp::default();
        self.functions.push(Function {
            record,
            program,
            standings,
            executor: None,
            is_served: false,
            served_since,
        });
        id
    }
}

/// A function's expressions, which were looked at before it was registered.
fn compiled(spec: &FunctionSpec) -> Program {
    let program = Program::compile(&spec.policies);
    program.unwrap_or_else(|why| super::broken(&format!("function '{}': {why}", spec.name)))
}
