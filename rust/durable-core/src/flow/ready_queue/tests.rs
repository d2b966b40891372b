//! Random work under random limits, against what is promised of every order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::id::{ExecutorId, RunId};

/// What a case does next.
#[derive(Clone, Debug)]
enum Move {
    Push { queue: usize, is_start: bool, score: u64 },
    Release(usize),
    End(usize),
    Remove(usize),
    Pass(u64),
    Deploy { limits: [u32; 3] },
    Serve { function: u32, is_served: bool },
    Capacity(u32, u32),
    Execute { function: u32, executor: u32 },
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0..QUEUES, any::<bool>(), 0..50_u64)
            .prop_map(|(queue, is_start, score)| Move::Push { queue, is_start, score }),
        6 => (0..64_usize).prop_map(Move::Release),
        4 => (0..64_usize).prop_map(Move::End),
        1 => (0..64_usize).prop_map(Move::Remove),
        2 => (0..3_000_u64).prop_map(Move::Pass),
        1 => (1..4_u32, 1..4_u32, 1..4_u32).prop_map(|(a, b, c)| Move::Deploy { limits: [a, b, c] }),
        2 => (0..2_u32, 0..9_u32).prop_map(|(executor, capacity)| Move::Capacity(executor, capacity)),
        1 => (0..3_u32, 0..2_u32)
            .prop_map(|(function, executor)| Move::Execute { function, executor }),
        1 => (0..3_u32, any::<bool>())
            .prop_map(|(function, is_served)| Move::Serve { function, is_served }),
    ]
}

const QUEUES: usize = 9;

/// Three functions with three queues each. All count against `all`; two of each function's also against a
/// group that they share with the others' queues of the same number; the first and the third pass a gate of their
/// function's, and whole runs of theirs count against a group of their own.
fn needs(queue: usize, limits: [u32; 3]) -> Needs {
    let (function, key) = (queue / 3, queue % 3);
    let shared = (key > 0).then(|| (format!("key {key}").into_bytes().into(), limits[function]));
    let slots = [Some(((*b"all").into(), limits[0] + 1)), shared];
    let rate = Rate::new(2, Duration::from_secs(1), 1);
    let gate = (key != 1).then(|| (format!("gate {function}").into_bytes().into(), rate));
    let run_slot = (key != 1).then(|| ((*b"runs").into(), limits[function] + 1));
    Needs { slots, run_slot, gate, is_lasting: key == 0 }
}

fn name(queue: usize) -> [u8; 1] {
    [u8::try_from(queue).unwrap()]
}

struct World {
    queues: ReadyQueues,
    limits: [u32; 3],
    now: Timestamp,
    next: u32,
    /// All that is queued, by queue: whether it is a start.
    queued: BTreeMap<(usize, Item), bool>,
    executing: Vec<usize>,
    /// Runs that have started and not ended, by queue.
    running: Vec<usize>,
    served: [bool; 3],
    executors: [u32; 3],
    capacities: [u32; 2],
    started_at: BTreeMap<usize, Vec<Timestamp>>,
}

impl World {
    fn new() -> Self {
        let mut queues = ReadyQueues::new(7);
        (0..3).for_each(|_| queues.add_function());
        (0..2).for_each(|executor| queues.set_capacity(ExecutorId(executor), 100));
        (0..3).for_each(|function| {
            queues.set_executor(FunctionId(function), ExecutorId::LOCAL);
            queues.set_served(FunctionId(function), true);
        });
        Self {
            queues,
            limits: [2, 1, 3],
            now: Timestamp::from_millis(1_000_000),
            next: 0,
            queued: BTreeMap::new(),
            executing: Vec::new(),
            running: Vec::new(),
            served: [true; 3],
            executors: [0; 3],
            capacities: [100; 2],
            started_at: BTreeMap::new(),
        }
    }

    fn make(&mut self, one: &Move) {
        match *one {
            Move::Push { queue, is_start, score } => {
                self.next += 1;
                let score = Timestamp::from_millis(score);
                let item = Item { score, run: RunId::default(), number: self.next };
                let function = FunctionId(u32::try_from(queue / 3).unwrap());
                let limits = self.limits;
                self.queues.push((function, &name(queue)), item, is_start, || needs(queue, limits));
                self.queued.insert((queue, item), is_start);
            }
            Move::Release(which) if !self.executing.is_empty() => {
                let queue = self.executing.remove(which % self.executing.len());
                self.queues.release_slots(&name(queue));
            }
            Move::Remove(which) if !self.queued.is_empty() => {
                let (queue, item) = *self.queued.keys().nth(which % self.queued.len()).unwrap();
                self.queues.remove(&name(queue), item);
                self.queued.remove(&(queue, item));
            }
            Move::End(which) if !self.running.is_empty() => {
                let queue = self.running.remove(which % self.running.len());
                self.queues.release_run_slot(&name(queue));
            }
            Move::Release(_) | Move::Remove(_) | Move::End(_) => {}
            Move::Pass(ms) => self.now = self.now.plus(Duration::from_millis(ms)),
            Move::Deploy { limits } => {
                self.limits = limits;
                (0..3).for_each(|function| self.deploy(function));
            }
            Move::Capacity(executor, capacity) => {
                self.capacities[usize::try_from(executor).unwrap()] = capacity;
                self.queues.set_capacity(ExecutorId(executor), capacity);
            }
            Move::Execute { function, executor } => {
                self.executors[usize::try_from(function).unwrap()] = executor;
                self.queues.set_executor(FunctionId(function), ExecutorId(executor));
            }
            Move::Serve { function, is_served } => {
                self.served[usize::try_from(function).unwrap()] = is_served;
                self.queues.set_served(FunctionId(function), is_served);
            }
        }
        self.queues.tick(self.now);
    }

    fn deploy(&mut self, function: u32) {
        let (limits, id) = (self.limits, FunctionId(function));
        self.queues.change_needs(id, |name: &[u8]| needs(usize::from(name[0]), limits));
        let own = self.running.iter().filter(|queue| **queue / 3 == id.index());
        for queue in own {
            self.queues.take_run_slot((id, &name(*queue)), || needs(*queue, limits));
        }
    }

    fn count(&self, group: &[u8]) -> u32 {
        let counts = |queue: &&usize| {
            needs(**queue, self.limits).slots.iter().flatten().any(|(name, _)| **name == *group)
        };
        u32::try_from(self.executing.iter().filter(counts).count()).unwrap()
    }

    fn has_room_for_run(&self, queue: usize) -> bool {
        let counts = |queue: &&usize| needs(**queue, self.limits).run_slot.is_some();
        let count = u32::try_from(self.running.iter().filter(counts).count()).unwrap();
        needs(queue, self.limits).run_slot.is_none_or(|(_, limit)| count < limit)
    }

    /// Whether whoever executes the function of a queue takes more.
    fn is_taken(&self, queue: usize) -> bool {
        let executor = self.executors[queue / 3];
        let own = self.executing.iter().filter(|one| self.executors[**one / 3] == executor);
        u32::try_from(own.count()).unwrap() < self.capacities[usize::try_from(executor).unwrap()]
    }

    fn has_room(&self, queue: usize) -> bool {
        needs(queue, self.limits)
            .slots
            .iter()
            .flatten()
            .all(|(group, limit)| self.count(group) < *limit)
    }

    /// Pops all that can go, each of it the oldest of its queue and within its limits.
    fn dispatch(&mut self) -> Result<(), String> {
        while let Some(popped) = self.queues.pop(self.now) {
            let found = self.queued.iter().find(|((_, item), _)| *item == popped.item);
            let Some((&(queue, item), &is_start)) = found else {
                return Err(format!("{popped:?} was not queued"));
            };
            self.queued.remove(&(queue, item));
            if !self.has_room(queue) {
                return Err(format!("queue {queue} goes beyond a limit"));
            }
            if !self.is_taken(queue) {
                return Err(format!("queue {queue} goes beyond its executor's capacity"));
            }
            if is_start && !self.has_room_for_run(queue) {
                return Err(format!("queue {queue} starts a run beyond a limit"));
            }
            if !self.served[queue / 3] {
                return Err(format!("queue {queue} is not served"));
            }
            let mut rest =
                self.queued.range((queue, item)..).chain(self.queued.range(..(queue, item)));
            let is_passed_over = |((other, older), other_starts): (&(usize, Item), &bool)| {
                *other == queue && *older < item && *other_starts == is_start
            };
            if rest.any(is_passed_over) {
                return Err(format!("queue {queue}: {item:?} goes before older work"));
            }
            if is_start && queue % 3 != 1 {
                self.started_at.entry(queue / 3).or_default().push(self.now);
            }
            self.executing.push(queue);
            if is_start {
                self.running.push(queue);
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        self.queues.audit()?;
        let is_kept = self.queues.queues.all().any(|(_, _, queue)| queue.reserved.is_some());
        for ((queue, _), is_start) in &self.queued {
            let is_gated = *is_start && queue % 3 != 1;
            let has_room = self.has_room(*queue) && (!is_start || self.has_room_for_run(*queue));
            let goes = self.served[queue / 3] && self.is_taken(*queue);
            if goes && has_room && !is_gated && !is_kept {
                return Err(format!("queue {queue} could go and does not"));
            }
        }
        // 3 at once, and 2 a second: never more than 5 in less than a second
        let is_too_fast = |six: &[Timestamp]| six[5].since(six[0]) < Duration::from_secs(1);
        if self.started_at.values().any(|times| times.windows(6).any(is_too_fast)) {
            return Err("a gate let too many through".to_owned());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_exceeded_and_none_left_unused(moves in prop::collection::vec(moves(), 1..120)) {
        let mut world = World::new();
        for one in moves {
            world.make(&one);
            world.dispatch().map_err(TestCaseError::fail)?;
        }
        (0..2).for_each(|executor| world.make(&Move::Capacity(executor, 100)));
        // all that is left goes once everything is served and what executes ends
        (0..3).for_each(|function| world.make(&Move::Serve { function, is_served: true }));
        for _ in 0..2_000 {
            world.make(&Move::Release(0));
            world.make(&Move::End(0));
            world.make(&Move::Pass(600));
            world.dispatch().map_err(TestCaseError::fail)?;
        }
        prop_assert!(world.queued.is_empty() && world.running.is_empty(), "{:?}", world.queued);
        prop_assert_eq!(world.queues.contents(), BTreeMap::new());
    }
}

/// A queue that needs two limits, each of which others keep busy, gets its turn.
#[test]
fn a_queue_that_needs_two_limits_does_not_starve() {
    let mut queues = ReadyQueues::new(1);
    queues.add_function();
    serve(&mut queues);
    let slot = |name: &str| Some((Box::<[u8]>::from(name.as_bytes()), 1_u32));
    let needs = |name: &[u8]| Needs {
        slots: match name {
            b"a" => [slot("A"), None],
            b"b" => [slot("B"), None],
            _ => [slot("A"), slot("B")],
        },
        ..Needs::default()
    };
    let item = |score, number| Item {
        score: Timestamp::from_millis(score),
        run: RunId::default(),
        number,
    };
    let mut executing: Vec<(u32, &[u8])> = Vec::new();
    let push = |queues: &mut ReadyQueues, name: &'static [u8], number| {
        queues.push((FunctionId(0), name), item(5, number), false, || needs(name));
    };
    (1..=2).for_each(|number| push(&mut queues, b"a", number));
    (11..=12).for_each(|number| push(&mut queues, b"b", number));
    let mut waited = 0;
    for number in 100.. {
        while let Some(popped) = queues.pop(Timestamp::default()) {
            let number = popped.item.number;
            if number == 7 {
                assert!(waited < 100, "it waited for {waited} others");
                return;
            }
            executing.push((number, if number % 2 == 0 { b"b" } else { b"a" }));
        }
        if number == 102 {
            push(&mut queues, b"ab", 7);
        }
        // the two limits are never free at the same moment
        waited += 1;
        assert!(waited < 1_000, "it starves");
        if !executing.is_empty() {
            let (_, name) = executing.remove(0);
            queues.release_slots(name);
            let name: &'static [u8] = if name == b"a" { b"a" } else { b"b" };
            push(&mut queues, name, 1_000 + 2 * number + u32::from(name == b"a"));
        }
    }
}

/// Two functions share the slots of `all`; the second has a limit of its own beside.
fn two_functions() -> ReadyQueues {
    let mut queues = ReadyQueues::new(1);
    (0..2).for_each(|_| queues.add_function());
    serve(&mut queues);
    queues.set_executor(FunctionId(1), ExecutorId::LOCAL);
    queues.set_served(FunctionId(1), true);
    queues
}

#[test]
fn what_is_kept_for_a_function_is_free_while_nobody_serves_it() {
    let mut queues = two_functions();
    let all = || Some(((*b"all").into(), 1));
    let own = || Some(((*b"own").into(), 1));
    let push = |queues: &mut ReadyQueues, function, name: &[u8], number| {
        let slots = match name {
            b"a" => [all(), None],
            b"b" => [own(), None],
            _ => [all(), own()],
        };
        let needs = || Needs { slots, ..Needs::default() };
        queues.push((FunctionId(function), name), start(number), false, needs);
    };
    let reserves = |queues: &ReadyQueues| queues.queues.all().any(|it| it.2.reserved.is_some());
    push(&mut queues, 0, b"a", 1);
    push(&mut queues, 0, b"b", 2);
    push(&mut queues, 1, b"ab", 3);
    for number in 4..1_000 {
        while queues.pop(NOW).is_some() {}
        if reserves(&queues) {
            break;
        }
        let name: &[u8] = if number % 2 == 0 { b"a" } else { b"b" };
        queues.release_slots(name);
        push(&mut queues, 0, name, number);
    }
    assert!(reserves(&queues), "it has given way often");
    queues.set_served(FunctionId(1), false);
    assert!(!reserves(&queues));
    while queues.pop(NOW).is_some() {}
    queues.audit().unwrap();
}

/// The slot is free, and the first is called for it, but its executor has no room: the second goes to another.
#[test]
fn a_full_executor_that_was_alone_holds_nobody_up() {
    let mut queues = two_functions();
    queues.set_capacity(ExecutorId::LOCAL, 2);
    let needs = || Needs { slots: [Some(((*b"all").into(), 1)), None], ..Needs::default() };
    let popped = |queues: &mut ReadyQueues| {
        std::iter::from_fn(|| queues.pop(NOW)).map(|it| it.item.number).collect::<Vec<_>>()
    };
    queues.push((FunctionId(0), b"f"), start(1), false, needs);
    queues.push((FunctionId(0), b"other"), start(2), false, Needs::default);
    assert_eq!(popped(&mut queues), [1, 2]);
    queues.push((FunctionId(0), b"f"), start(3), false, needs);
    queues.release_slots(b"other");
    queues.push((FunctionId(1), b"g"), start(4), false, needs);
    queues.push((FunctionId(0), b"other"), start(5), false, Needs::default);
    assert_eq!(popped(&mut queues), [5], "the others stand in the line");
    queues.set_capacity(ExecutorId::LOCAL, 1);
    queues.release_slots(b"f");
    assert_eq!(popped(&mut queues), Vec::<u32>::new(), "there is no room");
    queues.set_executor(FunctionId(1), ExecutorId(1));
    queues.set_capacity(ExecutorId(1), 1);
    queues.set_served(FunctionId(1), true);
    assert_eq!(popped(&mut queues), [4]);
    queues.audit().unwrap();
}

#[test]
fn a_function_that_was_given_to_an_executor_before_that_came_goes_once_it_has() {
    let mut queues = ReadyQueues::new(1);
    queues.add_function();
    queues.set_executor(FunctionId(0), ExecutorId(2));
    queues.set_served(FunctionId(0), true);
    queues.push((FunctionId(0), b"f"), start(1), true, Needs::default);
    assert_eq!(queues.pop(NOW), None, "nobody has come");
    queues.set_capacity(ExecutorId(2), 1);
    queues.set_served(FunctionId(0), true);
    assert_eq!(queues.pop(NOW).map(|popped| popped.item), Some(start(1)));
}

/// Somebody takes all work of the first function.
fn serve(queues: &mut ReadyQueues) {
    queues.set_capacity(ExecutorId::LOCAL, u32::MAX);
    queues.set_executor(FunctionId(0), ExecutorId::LOCAL);
    queues.set_served(FunctionId(0), true);
}

/// Two queues that wait before one gate, with what else they need.
fn two_before_a_gate(needs_of_a: [Option<(Box<[u8]>, u32)>; MAX_LIMITS]) -> ReadyQueues {
    let mut queues = ReadyQueues::new(1);
    queues.add_function();
    serve(&mut queues);
    let gate = Some(((*b"gate").into(), Rate::new(1, Duration::from_secs(1), 0)));
    let needs = |slots| Needs { slots, gate: gate.clone(), ..Needs::default() };
    let a = (FunctionId(0), &b"a"[..]);
    queues.push(a, start(1), true, || needs(needs_of_a.clone()));
    assert_eq!(queues.pop(NOW).map(|popped| popped.item), Some(start(1)), "the gate is new");
    queues.push(a, start(2), true, || needs(needs_of_a));
    queues.push((FunctionId(0), b"b"), start(3), true, || needs([const { None }; MAX_LIMITS]));
    assert_eq!(queues.pop(NOW), None, "the gate is shut");
    queues
}

const NOW: Timestamp = Timestamp::from_millis(1_000);
const OPEN: Timestamp = Timestamp::from_millis(2_000);

fn start(number: u32) -> Item {
    Item { score: Timestamp::default(), run: RunId::default(), number }
}

/// No executor has room when the first is called, and then it is cancelled.
#[test]
fn a_gates_call_is_passed_on_where_the_called_is_cancelled() {
    let mut queues = two_before_a_gate([const { None }; MAX_LIMITS]);
    queues.tick(OPEN);
    queues.remove(b"a", start(2));
    assert_eq!(queues.pop(OPEN).map(|popped| popped.item), Some(start(3)));
}

/// Other work of the first waits for a slot that is taken.
#[test]
fn a_gates_call_is_passed_on_where_the_called_stands_in_a_line() {
    let mut queues = two_before_a_gate([Some(((*b"one").into(), 1)), None]);
    queues.push((FunctionId(0), b"a"), start(4), false, Needs::default);
    assert_eq!(queues.pop(NOW), None, "the slot is taken");
    queues.tick(OPEN);
    assert_eq!(queues.pop(OPEN).map(|popped| popped.item), Some(start(3)));
    queues.release_slots(b"a");
    assert_eq!(queues.pop(OPEN).map(|popped| popped.item), Some(start(4)));
    queues.audit().unwrap();
}
