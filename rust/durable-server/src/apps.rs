//! The functions that live elsewhere: where each is called, and which executor number its application has.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable_core::{ExecutorId, FunctionId, FunctionRecord};
use durable_runtime::{Engine, Result};
use parking_lot::Mutex;

use crate::registration::Registration;

/// A function that is called over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    /// Its id.
    pub(crate) name: String,
    /// Where it is called.
    pub(crate) endpoint: String,
    /// Tries of each piece of it.
    pub(crate) max_attempts: u32,
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// Something is other than it was.
    Modified,
    /// It said what it had said before.
    Same,
}

/// See the file's first line.
#[derive(Debug)]
pub(crate) struct Apps {
    engine: Arc<Engine>,
    capacity: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their numbers.
    callees: BTreeMap<FunctionId, Arc<Callee>>,
    executors: BTreeMap<String, ExecutorId>,
    /// What each application said last.
    said: BTreeMap<String, Registration>,
}

impl Apps {
    pub(crate) fn new(engine: Arc<Engine>, capacity: u32) -> Self {
        Self { engine, capacity, state: Mutex::default() }
    }

    /// The functions that the store has from before are called where they were.
    pub(crate) fn resume(&self) -> Result<()> {
        let functions = self.engine.functions()?;
        let mut by_app: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in functions.iter().filter(|record| is_elsewhere(record)) {
            by_app.entry(record.spec.app.clone()).or_default().push(record.spec.name.clone());
        }
        let mut state = self.state.lock();
        state.learn(&functions);
        for (app, names) in by_app {
            self.serve(&mut state, &app, names)?;
        }
        Ok(())
    }

    /// An application says what its functions are. Blocks until that is on disk.
    pub(crate) fn sync(&self, said: Registration) -> Result<Synced> {
        let mut state = self.state.lock(); // one after the other
        if state.said.get(&said.app) == Some(&said) {
            return Ok(Synced::Same);
        }
        let names = said.functions.iter().map(|function| function.name.clone()).collect();
        self.engine.register(&said.app, said.functions.clone())?;
        state.learn(&self.engine.functions()?);
        self.serve(&mut state, &said.app, names)?;
        state.said.insert(said.app.clone(), said);
        Ok(Synced::Modified)
    }

    /// Whether functions of this application live in this process.
    pub(crate) fn is_local(&self, app: &str) -> Result<bool> {
        let is_of_it = |record: &FunctionRecord| record.spec.app == app && !record.is_archived;
        let functions = self.engine.functions()?;
        Ok(functions.iter().any(|record| is_of_it(record) && record.spec.endpoint.is_none()))
    }

    pub(crate) fn callee(&self, function: FunctionId) -> Option<Arc<Callee>> {
        self.state.lock().callees.get(&function).cloned()
    }

    fn serve(&self, state: &mut State, app: &str, names: Vec<String>) -> Result<()> {
        if let Some(executor) = state.executors.get(app) {
            return self.engine.serve_remote(*executor, names);
        }
        let number = u32::try_from(state.executors.len()).unwrap_or(u32::MAX);
        let executor = ExecutorId(number.saturating_add(1));
        state.executors.insert(app.to_owned(), executor);
        self.engine.connect_remote(executor, self.capacity, names)
    }
}

impl State {
    fn learn(&mut self, functions: &[FunctionRecord]) {
        for (id, record) in (0..).map(FunctionId).zip(functions) {
            let Some(endpoint) = record.spec.endpoint.clone() else {
                self.callees.remove(&id);
                continue;
            };
            let name = record.spec.name.clone();
            let max_attempts = u32::from(record.spec.retries).saturating_add(1);
            self.callees.insert(id, Arc::new(Callee { name, endpoint, max_attempts }));
        }
    }
}

fn is_elsewhere(record: &FunctionRecord) -> bool {
    record.spec.endpoint.is_some() && !record.is_archived
}
