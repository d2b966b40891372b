//! Small handlers: what a run's code does, as a tree that is gone through from the top each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use durable_core::{Outcome, Retry, Since};

use crate::chance::Chance;
use crate::mix::Mix;
use crate::model::says::MATCHES;

/// A piece of a handler.
#[derive(Clone, Debug)]
pub enum Node {
    /// A step whose function is called.
    Step(Step),
    /// A sleep.
    Sleep(Sleep),
    /// A wait for a signal.
    Wait(Wait),
    /// A wait for an event.
    Hear(Hear),
    /// A run of another function.
    Invoke(Invoke),
    /// Code between steps that may raise.
    Code(Code),
    /// One after the other.
    Sequence(Vec<Self>),
    /// All at once; the first error ends it.
    Parallel(Vec<Self>),
    /// All at once; the first that is done ends it, and the others go on by themselves.
    Race(Vec<Self>),
}

/// A step whose function is called.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its id with its counter.
    pub name: String,
    /// So many calls raise, then one returns.
    pub failures: u32,
    /// What the errors say about trying again.
    pub retry: Retry,
    /// The handler catches its final error.
    pub is_caught: bool,
    /// Bytes of its result, about.
    pub size: usize,
}

/// A sleep.
#[derive(Clone, Debug)]
pub struct Sleep {
    /// Its id with its counter.
    pub name: String,
    /// How long, or until when after the run's code first says so.
    pub length: Duration,
    /// It names a moment rather than a length.
    pub is_moment: bool,
}

/// A wait for a signal.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Its id with its counter.
    pub name: String,
    /// What it waits for.
    pub signal: String,
    /// For so long at most.
    pub length: Duration,
    /// It takes the place of one that waits.
    pub replaces: bool,
}

/// A wait for an event.
#[derive(Clone, Debug)]
pub struct Hear {
    /// Its id with its counter.
    pub name: String,
    /// The event's name.
    pub event: String,
    /// What it must meet.
    pub expression: Option<String>,
    /// From where on events count.
    pub since: Since,
    /// For so long at most.
    pub length: Duration,
    /// The wait for an event behind which the code goes on that came to this one.
    pub behind: Option<String>,
}

/// A run of another function.
#[derive(Clone, Debug)]
pub struct Invoke {
    /// Its id with its counter.
    pub name: String,
    /// Which.
    pub function: String,
    /// What it is given.
    pub data: Bytes,
    /// For so long at most its end is waited for.
    pub length: Duration,
    /// The handler catches its error.
    pub is_caught: bool,
}

/// Code between steps.
#[derive(Clone, Debug)]
pub struct Code {
    /// Which place it is.
    pub place: u32,
    /// It raises so many times before it passes.
    pub failures: u32,
    /// What the error says about trying again.
    pub retry: Retry,
}

/// What the handler asks for and has no memo of.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A call.
    Step(Step),
    /// A sleep.
    Sleep(Sleep),
    /// A wait for a signal.
    Wait(Wait),
    /// A wait for an event.
    Hear(Hear),
    /// A run of another function.
    Invoke(Invoke),
}

impl Asked {
    /// The step's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Step(step) => &step.name,
            Self::Sleep(sleep) => &sleep.name,
            Self::Wait(wait) => &wait.name,
            Self::Hear(hear) => &hear.name,
            Self::Invoke(invoke) => &invoke.name,
        }
    }
}

/// How far a piece of a handler has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Through.
    Done,
    /// It waits for a memo.
    Waiting,
    /// It came to code that may raise, for the first time since the handler was called.
    AtCode(u32),
    /// The error of a step went through it: the memo's bytes.
    Raised(Bytes),
}

/// A handler.
#[derive(Clone, Debug)]
pub struct Program {
    /// All of it.
    pub root: Node,
    /// Its steps that are called.
    pub steps: BTreeMap<String, Step>,
    /// Its sleeps.
    pub sleeps: BTreeMap<String, Sleep>,
    /// Its places that may raise.
    pub places: BTreeMap<u32, Code>,
}

impl Program {
    /// A handler of random shape.
    /// `depth`: so many invokes lead to it.
    pub fn draw(chance: &mut Chance, mix: &Mix, depth: u32) -> Self {
        let mut writer = Writer { chance, mix, depth, next: 0, left: mix.program_size };
        let root = writer.node(0);
        let mut program = Self {
            root: root.clone(),
            steps: BTreeMap::new(),
            sleeps: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        program.index(&root);
        program
    }

    fn index(&mut self, node: &Node) {
        match node {
            Node::Step(step) => drop(self.steps.insert(step.name.clone(), step.clone())),
            Node::Sleep(sleep) => drop(self.sleeps.insert(sleep.name.clone(), sleep.clone())),
            Node::Wait(_) | Node::Hear(_) | Node::Invoke(_) => {}
            Node::Code(code) => drop(self.places.insert(code.place, code.clone())),
            Node::Sequence(nodes) | Node::Parallel(nodes) | Node::Race(nodes) => {
                for node in nodes {
                    self.index(node);
                }
            }
        }
    }

    /// Goes through the handler: where it stands, and all that it has asked for without a memo.
    pub fn go(
        &self,
        memos: &BTreeMap<String, Outcome>,
        passed: &BTreeSet<u32>,
    ) -> (Standing, Vec<Asked>) {
        let mut asked = Vec::new();
        let standing = go(&self.root, &Known { memos, passed }, &mut None, &mut asked);
        (standing, asked)
    }
}

/// What there is to go by.
struct Known<'a> {
    memos: &'a BTreeMap<String, Outcome>,
    passed: &'a BTreeSet<u32>,
}

/// `behind`: the wait for an event behind which this piece goes on.
fn go(
    node: &Node,
    known: &Known<'_>,
    behind: &mut Option<String>,
    asked: &mut Vec<Asked>,
) -> Standing {
    let memo = |name: &String| known.memos.get(name);
    let what = match node {
        Node::Step(step) => (memo(&step.name), step.is_caught, Asked::Step(step.clone())),
        Node::Sleep(sleep) => (memo(&sleep.name), true, Asked::Sleep(sleep.clone())),
        Node::Wait(wait) => (memo(&wait.name), true, Asked::Wait(wait.clone())),
        Node::Hear(hear) => {
            let before = if memo(&hear.name).is_some() {
                behind.replace(hear.name.clone())
            } else {
                behind.clone()
            };
            let asked = Hear { behind: before, ..hear.clone() };
            (memo(&hear.name), true, Asked::Hear(asked))
        }
        Node::Invoke(invoke) => {
            (memo(&invoke.name), invoke.is_caught, Asked::Invoke(invoke.clone()))
        }
        Node::Code(code) if known.passed.contains(&code.place) => return Standing::Done,
        Node::Code(code) => return Standing::AtCode(code.place),
        Node::Sequence(nodes) => {
            let mut all = nodes.iter().map(|node| go(node, known, behind, asked));
            return all.find(|standing| *standing != Standing::Done).unwrap_or(Standing::Done);
        }
        Node::Parallel(nodes) => {
            return together(&go_all(nodes, known, behind.as_ref(), asked));
        }
        Node::Race(nodes) => return first_of(&go_all(nodes, known, behind.as_ref(), asked)),
    };
    match what {
        (Some(Outcome::Error(error)), false, _) => Standing::Raised(error.clone()),
        (Some(Outcome::Data(_) | Outcome::Error(_)), _, _) => Standing::Done,
        (None, _, what) => {
            asked.push(what);
            Standing::Waiting
        }
    }
}

/// Pieces that go on beside each other: each behind what they began behind.
fn go_all(
    nodes: &[Node],
    known: &Known<'_>,
    behind: Option<&String>,
    asked: &mut Vec<Asked>,
) -> Vec<Standing> {
    nodes.iter().map(|node| go(node, known, &mut behind.cloned(), asked)).collect()
}

fn together(all: &[Standing]) -> Standing {
    let is_stop = |s: &&Standing| matches!(s, Standing::Raised(_) | Standing::AtCode(_));
    let stop = all.iter().find(is_stop);
    let rest = stop.or_else(|| all.iter().find(|s| **s != Standing::Done));
    rest.cloned().unwrap_or(Standing::Done)
}

fn first_of(all: &[Standing]) -> Standing {
    let at_code = all.iter().find(|s| matches!(s, Standing::AtCode(_)));
    let is_done = all.contains(&Standing::Done) || all.is_empty();
    match at_code {
        Some(standing) => standing.clone(),
        None if is_done => Standing::Done,
        None => Standing::Waiting,
    }
}

/// Few, so that runs are in each other's way.
pub const SIGNALS: [&str; 4] = ["one", "two", "three", "four"];
/// Names of events that are sent.
pub const EVENTS: [&str; 6] = ["app/a", "app/b.c", "app/b.d", "x", "y.z.w", "nobody/listens"];
/// So many invokes lead to a run that invokes no more.
pub const DEEPEST: u32 = 2;

struct Writer<'a> {
    chance: &'a mut Chance,
    mix: &'a Mix,
    depth: u32,
    next: u32,
    left: u32,
}

impl Writer<'_> {
    fn node(&mut self, depth: u32) -> Node {
        let shape = self.chance.below(if depth > 2 { 6 } else { 12 });
        if depth > 0 && self.chance.happens(self.mix.awaits) {
            return self.something_awaited();
        }
        match shape {
            3 | 4 if self.chance.happens(700) => self.something_awaited(),
            0..=3 => Node::Step(self.one_step()),
            4 => self.sleep(),
            5 => self.code(),
            6..=8 => Node::Sequence(self.children(depth)),
            9 | 10 => Node::Parallel(self.children(depth)),
            _ => Node::Race(self.racers()),
        }
    }

    fn children(&mut self, depth: u32) -> Vec<Node> {
        let mut nodes = Vec::new();
        for _ in 0..self.chance.small(1, 4) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            nodes.push(self.node(depth.saturating_add(1)));
        }
        nodes
    }

    /// What races raises nothing: which of two errors comes first is not the same each time.
    fn racers(&mut self) -> Vec<Node> {
        let count = self.chance.small(2, 3);
        (0..count).map(|_| self.racer()).collect()
    }

    fn racer(&mut self) -> Node {
        match self.chance.below(10) {
            0 => Node::Hear(self.hear()),
            1 if self.depth < DEEPEST => Node::Invoke(Invoke { is_caught: true, ..self.invoke() }),
            _ => Node::Step(Step { is_caught: true, ..self.one_step() }),
        }
    }

    fn something_awaited(&mut self) -> Node {
        match self.chance.below(10) {
            0 | 1 => self.wait(),
            2..=4 if self.depth < DEEPEST => Node::Invoke(self.invoke()),
            _ => Node::Hear(self.hear()),
        }
    }

    fn hear(&mut self) -> Hear {
        let event = self.chance.pick(&EVENTS).copied().unwrap_or_default().to_owned();
        let expression = self.chance.pick(&MATCHES).copied().unwrap_or_default();
        let expression = if self.chance.happens(8) { "event.data.k ==" } else { expression };
        Hear {
            name: self.name(),
            event,
            expression: Some(expression.to_owned()).filter(|_| self.chance.happens(700)),
            since: if self.chance.happens(300) { Since::Run } else { Since::Stretch },
            length: self.length(),
            behind: None,
        }
    }

    /// Its data say how deep it is, so that invokes come to an end.
    fn invoke(&mut self) -> Invoke {
        let depth = self.depth.saturating_add(1);
        let k = self.chance.pick(&["null", "1", "\"a\"", "\"b\"", "true"]).copied();
        let (k, p) = (k.unwrap_or("null"), self.chance.below(90));
        let number = self.chance.size(0, self.mix.function_count);
        Invoke {
            name: self.name(),
            function: format!("f{number}"),
            data: Bytes::from(format!("{{\"depth\":{depth},\"k\":{k},\"p\":{p}}}")),
            length: self.length() * 2,
            is_caught: self.chance.happens(700),
        }
    }

    /// Some waits are over before the store has been read.
    fn length(&mut self) -> Duration {
        let is_short = self.chance.happens(200);
        self.chance.length(if is_short { self.mix.commit } else { self.mix.sleep })
    }

    fn name(&mut self) -> String {
        self.next = self.next.saturating_add(1);
        match self.next % 5 {
            0 => format!("again:{}", self.next / 5),
            _ => format!("step-{}", self.next),
        }
    }

    fn retry(&mut self) -> Retry {
        match self.chance.below(6) {
            0 => Retry::Never,
            1 => Retry::After(Duration::from_millis(self.chance.within(0, 100_000))),
            _ => Retry::Backoff,
        }
    }

    fn failures(&mut self) -> u32 {
        if self.chance.happens(400) { self.chance.small(1, 6) } else { 0 }
    }

    fn one_step(&mut self) -> Step {
        let is_large = self.chance.happens(60);
        Step {
            name: self.name(),
            failures: self.failures(),
            retry: self.retry(),
            is_caught: self.chance.happens(500),
            size: if is_large { self.chance.size(1, 2_000) } else { self.chance.size(1, 40) },
        }
    }

    fn sleep(&mut self) -> Node {
        let is_long = self.chance.happens(60);
        let most = if is_long { Duration::from_hours(24 * 40) } else { self.mix.sleep };
        Node::Sleep(Sleep {
            name: self.name(),
            length: self.chance.length(most),
            is_moment: self.chance.happens(300),
        })
    }

    fn wait(&mut self) -> Node {
        Node::Wait(Wait {
            name: self.name(),
            signal: self.chance.pick(&SIGNALS).copied().unwrap_or_default().to_owned(),
            length: self.chance.length(self.mix.sleep),
            replaces: self.chance.happens(600),
        })
    }

    fn code(&mut self) -> Node {
        self.next = self.next.saturating_add(1);
        Node::Code(Code { place: self.next, failures: self.failures(), retry: self.retry() })
    }
}
