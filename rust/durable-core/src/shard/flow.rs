//! What a run's work needs before it may execute, and the queue in which it waits for that.

use std::time::Duration;

use bytes::BufMut;
use serde::Deserialize;

use super::enqueue::STRETCH;
use super::program::MISSING;
use super::{Function, Shard, Standings, Turn};
use crate::flow::gcra::Rate;
use crate::flow::policy::{Concurrency, Keys, Policies, Scope, Throttle};
use crate::flow::ready_queue::{Item, MAX_LIMITS, Needs};
use crate::id::{FunctionId, RunId};
use crate::run::{RunRecord, Stretch};
use crate::step::PendingState;
use crate::time::Timestamp;
use crate::write::{Write, gate_key};

impl Shard {
    /// Puts a run's code, or one of its steps, into its queue.
    pub(super) fn queue_up(&mut self, id: RunId, number: u32) {
        let run = self.opened(id);
        let (name, item, is_start) =
            (queue_name(run), item(id, run, number), is_start(run, number));
        let function = run.function;
        let policies = policies_of(&self.functions, function);
        self.queues.push((function, &name), item, is_start, || needs(policies, &name));
    }

    /// What was to execute is not to any more.
    pub(super) fn leave_queue(&mut self, id: RunId, number: u32) {
        let run = self.opened(id);
        let (name, item) = (queue_name(run), item(id, run, number));
        self.queues.remove(&name, item);
    }

    /// Something of a run no longer executes.
    pub(super) fn release_slots(&mut self, id: RunId) {
        let name = queue_name(self.opened(id));
        self.queues.release_slots(&name);
    }

    /// Limits that a deploy changed apply at once, to what waits and to what executes.
    pub(super) fn apply_policies(&mut self, id: FunctionId, before: &Policies, turn: &mut Turn) {
        let policies = policies_of(&self.functions, id);
        if policies == before {
            return;
        }
        let has_new_timeouts = policies.timeouts != before.timeouts;
        self.queues.change_needs(id, |name| needs(policies, name));
        self.take_run_slots(id);
        self.gather_anew(id, turn);
        if has_new_timeouts {
            self.set_deadlines(id, turn);
            self.serve(id);
        }
    }

    /// False where a function surely has no live run. Those of this turn are not counted yet.
    pub(super) fn may_have_runs(&self, id: FunctionId) -> bool {
        !self.turn.touched.is_empty() || self.function(id).standings != Standings::default()
    }

    /// The slots for whole runs of all of a function's runs that have started.
    fn take_run_slots(&mut self, id: FunctionId) {
        if self.may_have_runs(id) && policies_of(&self.functions, id).run_concurrency.is_some() {
            let all = self.runs.sorted().into_iter().map(|(_, slot)| slot.unpack());
            let own: Vec<RunRecord> = all.filter(|run| run.function == id).collect();
            for run in own {
                self.take_run_slot(&run);
            }
        }
    }

    /// The slot that a run which has started holds to its end.
    pub(super) fn take_run_slot(&mut self, run: &RunRecord) {
        let policies = policies_of(&self.functions, run.function);
        if run.started_at.is_some() && policies.run_concurrency.is_some() {
            let name = queue_name(run);
            self.queues.take_run_slot((run.function, &name), || needs(policies, &name));
        }
    }

    /// A run ends: so does what it held from its start.
    pub(super) fn release_run_slot(&mut self, id: RunId) {
        let run = self.opened(id);
        let (function, has_started) = (run.function, run.started_at.is_some());
        if has_started && policies_of(&self.functions, function).run_concurrency.is_some() {
            let name = queue_name(self.opened(id));
            self.queues.release_run_slot(&name);
        }
    }

    /// Opens the gates that are due.
    pub(super) fn open_gates(&mut self, turn: &mut Turn) {
        let now = self.now();
        for name in self.queues.tick(now) {
            turn.writes.push(Write::Delete { key: gate_key(&name) });
        }
    }
}

/// What a function asks of flow control.
pub(super) fn policies_of(functions: &[Function], id: FunctionId) -> &Policies {
    let function = functions.get(id.index());
    let function = function.unwrap_or_else(|| super::broken("a run has no function"));
    &function.record.spec.policies
}

/// The numbers of what is queued of a run, and how much of it executes.
pub(super) fn work_of(run: &RunRecord) -> (Vec<u32>, u32) {
    let (mut queued, mut executing_count) = (Vec::new(), 0_u32);
    match run.stretch {
        Stretch::Queued => queued.push(STRETCH),
        Stretch::Executing(_) => executing_count = 1,
        Stretch::BackingOff(_) | Stretch::Gathering(_) | Stretch::Parked => {}
    }
    for step in &run.pending {
        match step.state {
            PendingState::Queued => queued.push(step.number),
            PendingState::Executing(_) => executing_count = executing_count.saturating_add(1),
            PendingState::BackingOff(_) | PendingState::Sleeping(_) | PendingState::Waiting(_) => {}
        }
    }
    (queued, executing_count)
}

/// A start passes its function's throttle; what goes on later does not.
pub(super) fn is_start(run: &RunRecord, number: u32) -> bool {
    number == STRETCH && run.started_at.is_none()
}

/// The place of a run's work in its queue: the run's age, less its head start.
pub(super) fn item(id: RunId, run: &RunRecord, number: u32) -> Item {
    let shift = Duration::from_secs(run.keys.head_start.unsigned_abs().into());
    let score = if run.keys.head_start < 0 {
        run.created_at.plus(shift)
    } else {
        run.created_at.minus(shift)
    };
    Item { score, run: id, number }
}

/// The queue of a run's work: its function, and all that its work counts against.
pub(super) fn queue_name(run: &RunRecord) -> Vec<u8> {
    let mut name = Vec::with_capacity(USUAL_NAME_BYTES);
    name.put_u32(run.function.0);
    let Keys { limits, throttle, run_limit, .. } = &run.keys;
    if limits.is_empty() && throttle.is_none() && run_limit.is_none() {
        return name;
    }
    let packed = postcard::to_extend(&(limits, throttle, run_limit), name);
    #[expect(clippy::expect_used, reason = "a growing vector refuses nothing")]
    packed.expect("keys serialise into a vector")
}

/// Most names fit: two limits and a throttle with values of a dozen letters.
const USUAL_NAME_BYTES: usize = 80;

/// What a queue's name says behind its function: the keys of what its work counts against.
type Packed<'a> = (Vec<KeyInName<'a>>, Option<&'a str>, Option<KeyInName<'a>>);

/// A [`LimitKey`] as it stands in a name.
#[derive(Deserialize)]
struct KeyInName<'a> {
    scope: Scope,
    expression: u64,
    value: &'a str,
}

fn read_name(queue: &[u8]) -> (&[u8], Packed<'_>) {
    let (function, packed) = queue.split_at_checked(4).unwrap_or((queue, &[]));
    (function, postcard::from_bytes(packed).unwrap_or_default())
}

/// What the work of a queue needs, by the policies as they are now.
pub(super) fn needs(policies: &Policies, queue: &[u8]) -> Needs {
    let (function, (frozen, throttle_key, run_key)) = read_name(queue);
    let one = |limit: &Concurrency| (group_of(limit, function, &frozen), limit.limit);
    let mut limits = policies.concurrency.iter().map(one);
    let slots = one_for_each_group([(); MAX_LIMITS].map(|()| limits.next()));
    let gate = policies.throttle.as_ref().map(|throttle| {
        let key = throttle_key.filter(|_| throttle.key.is_some());
        let name = throttle_name(function, key.unwrap_or_default());
        (name, throttle_rate(throttle))
    });
    let run_slot = policies
        .run_concurrency
        .as_ref()
        .map(|limit| (of_whole_runs(&group_of(limit, function, run_key.as_slice())), limit.limit));
    Needs { slots, run_slot, gate, is_lasting: function == queue }
}

/// Two limits on the same slots are the lower of both; others stand by their names, whatever their order.
fn one_for_each_group(mut slots: [Slots; MAX_LIMITS]) -> [Slots; MAX_LIMITS] {
    slots.sort_unstable_by(|one, other| other.is_some().cmp(&one.is_some()).then(one.cmp(other)));
    if let [Some(one), other] = &mut slots
        && other.as_ref().is_some_and(|other| other.0 == one.0)
    {
        *other = None; // the first is the lower
    }
    slots
}

/// A group's name, and how many of its slots may be taken.
type Slots = Option<(Box<[u8]>, u32)>;

/// The slots that work with these keys shares under a limit. Keys that are older than the limit have no value of
/// it, as events that lack the field.
fn group_of(limit: &Concurrency, function: &[u8], frozen: &[KeyInName<'_>]) -> Box<[u8]> {
    let Some(key) = &limit.key else { return group_name(Scope::Fn, function, 0, "") };
    let expression = checksum(key);
    let is_it = |one: &&KeyInName<'_>| one.scope == limit.scope && one.expression == expression;
    let value = frozen.iter().find(is_it).map_or(MISSING, |one| one.value);
    group_name(limit.scope, function, expression, value)
}

/// For each of a function's limits the slots that the work of a queue shares under it.
pub(super) fn groups_of<'a>(
    policies: &'a Policies,
    queue: &[u8],
) -> impl Iterator<Item = (&'a Concurrency, Box<[u8]>)> {
    let (function, (frozen, _, run_key)) = read_name(queue);
    let steps = policies.concurrency.iter().map(|one| (one, group_of(one, function, &frozen)));
    let run = policies.run_concurrency.as_ref();
    let run = run.map(|one| (one, of_whole_runs(&group_of(one, function, run_key.as_slice()))));
    steps.chain(run).collect::<Vec<_>>().into_iter()
}

/// Whole runs have slots of their own.
fn of_whole_runs(group: &[u8]) -> Box<[u8]> {
    [b"R", group].concat().into_boxed_slice()
}

pub(super) fn throttle_rate(throttle: &Throttle) -> Rate {
    Rate::new(throttle.limit, Duration::from_millis(throttle.period_ms), throttle.burst)
}

/// What shares slots: the function, or everything with the same key value.
fn group_name(scope: Scope, function: &[u8], expression: u64, value: &str) -> Box<[u8]> {
    let mut name = Vec::with_capacity(value.len().saturating_add(13));
    match scope {
        Scope::Fn => {
            name.put_u8(b'f');
            name.put_slice(function);
            name.put_u64(expression);
        }
        Scope::Env => name.put_u8(b'e'),
        Scope::Account => name.put_u8(b'a'),
    }
    name.put_slice(value.as_bytes());
    name.into_boxed_slice()
}

/// A throttle of a function, for one key value.
fn throttle_name(function: &[u8], value: &str) -> Box<[u8]> {
    [b"t", function, value.as_bytes()].concat().into_boxed_slice()
}

/// Another policy of a function, for one value of its key's expression: another key has values of its own.
pub(super) fn policy_name(
    kind: u8,
    function: FunctionId,
    expression: u64,
    value: &str,
) -> Box<[u8]> {
    let (function, expression) = (function.0.to_be_bytes(), expression.to_be_bytes());
    [&[kind][..], &function, &expression, value.as_bytes()].concat().into_boxed_slice()
}

/// Whether a throttle's or another policy's name is of this function.
pub(super) fn is_name_of(function: FunctionId, name: &[u8]) -> bool {
    name.get(1..5) == Some(&function.0.to_be_bytes()[..])
}

/// FNV-1a (Fowler, Noll, Vo): an expression's number, the same in each process.
pub(super) fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// When a gate was passed.
pub(super) fn passed(name: &[u8], arrival: Timestamp) -> Write {
    Write::Put { key: gate_key(name), value: crate::write::encode(&arrival) }
}
