//! What really happened outside of the engine: calls of user code. No crash takes it back.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use durable_core::{Epoch, Retry, RunId, Timestamp};

use crate::chance::Chance;
use crate::mix::Mix;
use crate::program::Program;

/// One call of user code: a step's function, or a place in the code between steps that raised or
/// returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The run.
    pub run: RunId,
    /// The step; `None` for the code between steps.
    pub step: Option<String>,
    /// Under which work.
    pub epoch: Epoch,
    /// When it began, in the world's time.
    pub at: Timestamp,
    /// Whether its result is an error, and what that says about trying again.
    pub error: Option<Retry>,
    /// Its result or its error, JSON.
    pub bytes: Bytes,
}

/// All that happened outside.
#[derive(Debug)]
pub struct Outside {
    mix: Rc<Mix>,
    seed: u64,
    programs: BTreeMap<RunId, Rc<Program>>,
    depths: BTreeMap<RunId, u32>,
    calls: Vec<Call>,
    step_calls: BTreeMap<(RunId, String), u32>,
    place_calls: BTreeMap<(RunId, u32), u32>,
    first_asked: BTreeMap<(RunId, String), Timestamp>,
    /// Calls that nobody has looked at yet.
    pub fresh: Vec<usize>,
}

impl Outside {
    /// Nothing has happened.
    pub const fn new(mix: Rc<Mix>, seed: u64) -> Self {
        Self {
            mix,
            seed,
            programs: BTreeMap::new(),
            depths: BTreeMap::new(),
            calls: Vec::new(),
            step_calls: BTreeMap::new(),
            place_calls: BTreeMap::new(),
            first_asked: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }

    /// The handler of a run: the same whenever it is asked for.
    pub fn program(&mut self, run: RunId) -> Rc<Program> {
        let (seed, mix) = (self.seed, &self.mix);
        let depth = self.depths.get(&run).copied().unwrap_or(0);
        let made = self.programs.entry(run).or_insert_with(|| {
            let bytes = run.as_bytes().iter();
            let mixed = bytes.fold(seed, |sum, byte| sum.rotate_left(9) ^ u64::from(*byte));
            Rc::new(Program::draw(&mut Chance::new(mixed), mix, depth))
        });
        Rc::clone(made)
    }

    /// So many invokes, or something else that must come to an end, led to a run.
    pub fn deepen(&mut self, run: RunId, depth: u32) {
        let known = self.depths.entry(run).or_default();
        *known = depth.max(*known);
    }

    /// A run repeats another: it has the same handler.
    pub fn repeat(&mut self, run: RunId, by: RunId) {
        let program = self.program(run);
        self.programs.insert(by, program);
    }

    /// A step's function is called. The result is settled at once, however long the call takes.
    pub fn call_step(&mut self, run: RunId, name: &str, epoch: Epoch, at: Timestamp) -> usize {
        let program = self.program(run);
        let count = self.step_calls.entry((run, name.to_owned())).or_default();
        *count = count.saturating_add(1);
        let plan = program.steps.get(name);
        let error = plan.filter(|plan| *count <= plan.failures).map(|plan| plan.retry);
        let size = plan.map_or(0, |plan| plan.size);
        self.keep((run, Some(name)), epoch, at, (error, size))
    }

    /// Code between steps is come upon: the call that raised, if it did.
    pub fn call_code(
        &mut self,
        run: RunId,
        place: u32,
        epoch: Epoch,
        at: Timestamp,
    ) -> Option<usize> {
        let program = self.program(run);
        let count = self.place_calls.entry((run, place)).or_default();
        *count = count.saturating_add(1);
        let plan = program.places.get(&place).filter(|plan| *count <= plan.failures)?;
        Some(self.keep((run, None), epoch, at, (Some(plan.retry), 0)))
    }

    /// The handler returns.
    pub fn call_return(&mut self, run: RunId, epoch: Epoch, at: Timestamp) -> usize {
        self.keep((run, None), epoch, at, (None, 0))
    }

    /// A call has no reply that comes back: an error in its place.
    pub fn lose_reply(
        &mut self,
        run: RunId,
        step: Option<&str>,
        epoch: Epoch,
        at: Timestamp,
    ) -> usize {
        self.keep((run, step), epoch, at, (Some(Retry::Backoff), 0))
    }

    /// When a sleep to a moment was first asked for: the moment counts from there.
    pub fn first_asked(&mut self, run: RunId, name: &str, now: Timestamp) -> Timestamp {
        *self.first_asked.entry((run, name.to_owned())).or_insert(now)
    }

    /// A call by its number.
    pub fn call(&self, number: usize) -> Option<&Call> {
        self.calls.get(number)
    }

    /// The call that gave these bytes.
    pub fn call_of(&self, bytes: &[u8]) -> Option<&Call> {
        let digits = bytes.split(|byte| !byte.is_ascii_digit()).find(|part| !part.is_empty())?;
        let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.calls.get(number).filter(|call| call.bytes == bytes)
    }

    /// How often a step's function was called.
    pub fn count(&self, run: RunId, name: &str) -> u32 {
        self.step_calls.get(&(run, name.to_owned())).copied().unwrap_or(0)
    }

    /// All calls of user code.
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    fn keep(
        &mut self,
        (run, step): (RunId, Option<&str>),
        epoch: Epoch,
        at: Timestamp,
        (error, size): (Option<Retry>, usize),
    ) -> usize {
        let number = self.calls.len();
        let bytes = match error {
            Some(_) => format!("{{\"name\":\"Oops\",\"message\":\"{number}\",\"stack\":\"\"}}"),
            None => format!("[{number},\"{}\"]", "x".repeat(size)),
        };
        let (step, bytes) = (step.map(str::to_owned), Bytes::from(bytes));
        self.calls.push(Call { run, step, epoch, at, error, bytes });
        self.fresh.push(number);
        number
    }
}
