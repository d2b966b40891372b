//! The functions that live elsewhere: where each is called, and which executor number its application has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use durable_core::{ExecutorId, FunctionId, FunctionRecord, FunctionSpec};
use durable_runtime::{Engine, Error, Kind, Result};
use parking_lot::Mutex;

use crate::connect::is_dialled;
use crate::registration::Registration;

/// A function that is called over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    /// Its id.
    pub(crate) name: String,
    /// The application that it is of.
    pub(crate) app: String,
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
    /// Applications for which nobody answers.
    resting: BTreeSet<String>,
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
        let is_same = state.said.get(&said.app) == Some(&said);
        if !is_same && self.is_local(&said.app)? {
            return Err(taken(&said.app));
        }
        if is_same && !state.resting.contains(&said.app) {
            return Ok(Synced::Same);
        }
        let names = said.functions.iter().map(|function| function.name.clone()).collect();
        if !is_same {
            self.engine.register(&said.app, said.functions.clone())?;
            state.learn(&self.engine.functions()?);
        }
        self.serve(&mut state, &said.app, names)?;
        state.resting.remove(&said.app);
        state.said.insert(said.app.clone(), said);
        Ok(if is_same { Synced::Same } else { Synced::Modified })
    }

    /// A durable endpoint says that it is there, beside the others of its host. Blocks until that is on disk.
    pub(crate) fn add(&self, spec: FunctionSpec) -> Result<()> {
        let mut state = self.state.lock();
        let max_attempts = u32::from(spec.retries).saturating_add(1);
        let is_same =
            |known: &&Arc<Callee>| known.name == spec.name && known.max_attempts == max_attempts;
        let known = state.callees.values().find(is_same);
        if known.is_some_and(|known| Some(&known.endpoint) == spec.endpoint.as_ref()) {
            return Ok(());
        }
        let app = spec.app.clone();
        let is_other = |record: &FunctionRecord| {
            record.spec.app == app && record.spec.name != spec.name && !record.is_archived
        };
        let others = self.engine.functions()?.into_iter().filter(is_other);
        let mut specs: Vec<FunctionSpec> = others.map(|record| record.spec).collect();
        specs.push(spec);
        if specs.iter().any(|spec| spec.endpoint.is_none()) {
            return Err(taken(&app));
        }
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        self.engine.register(&app, specs)?;
        state.learn(&self.engine.functions()?);
        self.serve(&mut state, &app, names)
    }

    /// Where nobody is left who answers for an application that dials in, its runs wait until somebody says again what
    /// it has.
    pub(crate) fn rest(&self, app: &str, is_left: &dyn Fn() -> bool) -> Result<()> {
        let mut state = self.state.lock(); // whoever comes now says what it has after this
        let is_called = |said: &Registration| !is_dialled(&said.url);
        if is_left() || state.said.get(app).is_some_and(is_called) {
            return Ok(());
        }
        state.resting.insert(app.to_owned());
        self.serve(&mut state, app, Vec::new())
    }

    /// Whether functions of this application live in this process.
    fn is_local(&self, app: &str) -> Result<bool> {
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
            let app = record.spec.app.clone();
            self.callees.insert(id, Arc::new(Callee { name, app, endpoint, max_attempts }));
        }
    }
}

fn taken(app: &str) -> Error {
    let text =
        format!("an application '{app}' has its functions in this process: choose another id");
    Error::new(Kind::Invalid, text)
}

/// It can be called: who dials in is not there yet.
fn is_elsewhere(record: &FunctionRecord) -> bool {
    let endpoint = record.spec.endpoint.as_deref();
    endpoint.is_some_and(|endpoint| !is_dialled(endpoint)) && !record.is_archived
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Apps {
        let engine = Engine::open(&durable_runtime::Config::new("memory:")).unwrap();
        Apps::new(Arc::new(engine), 10)
    }

    fn shop(endpoint: &str) -> Registration {
        let spec = FunctionSpec {
            triggers: vec!["order".to_owned()],
            endpoint: Some(endpoint.to_owned()),
            ..FunctionSpec::new("shop", "shop-f")
        };
        Registration { app: "shop".to_owned(), url: endpoint.to_owned(), functions: vec![spec] }
    }

    #[test]
    fn what_was_said_before_changes_nothing() {
        let apps = apps();
        assert_eq!(apps.sync(shop("http://a/")).unwrap(), Synced::Modified);
        assert_eq!(apps.sync(shop("http://a/")).unwrap(), Synced::Same);
        assert_eq!(apps.sync(shop("http://b/")).unwrap(), Synced::Modified);
        assert_eq!(apps.callee(FunctionId(0)).unwrap().endpoint, "http://b/");
    }

    #[test]
    fn who_is_refused_while_nobody_answers_may_say_again_what_it_has() {
        let apps = apps();
        apps.sync(shop("wss://connect")).unwrap();
        apps.rest("shop", &|| false).unwrap();
        let mut wrong = shop("wss://connect");
        wrong.functions.push(wrong.functions[0].clone());
        apps.sync(wrong).unwrap_err();
        assert!(apps.state.lock().resting.contains("shop"));
        assert_eq!(apps.sync(shop("wss://connect")).unwrap(), Synced::Same);
        assert!(apps.state.lock().resting.is_empty());
    }

    #[test]
    fn the_runs_of_who_dials_in_wait_only_where_nobody_is_left() {
        let apps = apps();
        let is_resting = |is_left| {
            apps.rest("shop", &|| is_left).unwrap();
            apps.state.lock().resting.contains("shop")
        };
        apps.sync(shop("wss://connect")).unwrap();
        assert!(!is_resting(true), "another has come meanwhile");
        assert!(is_resting(false));
        assert_eq!(apps.sync(shop("wss://connect")).unwrap(), Synced::Same);
        assert!(apps.state.lock().resting.is_empty());
        apps.sync(shop("http://a/")).unwrap();
        assert!(!is_resting(false), "it is called by now");
    }

    #[test]
    fn functions_of_this_process_are_not_taken_from_it() {
        let apps = apps();
        let own = FunctionSpec { endpoint: None, ..shop("http://a/").functions.remove(0) };
        apps.engine.register("shop", vec![own.clone()]).unwrap();
        for endpoint in ["http://a/", "wss://connect"] {
            let refused = apps.sync(shop(endpoint)).unwrap_err();
            assert_eq!(refused.kind, Kind::Invalid);
            assert!(refused.text.contains("'shop' has its functions in this process"), "{refused}");
        }
        assert_eq!(apps.engine.functions().unwrap()[0].spec, own);
    }
}
