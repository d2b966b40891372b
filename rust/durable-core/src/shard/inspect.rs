//! What users see of flow control: how much of each limit is used, and what one run waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::arrive::rate_of;
use super::enqueue::STRETCH;
use super::flow::{groups_of, is_name_of, is_start, item, policies_of, queue_name};
use super::program::{MISSING, SHORTENED};
use super::{Shard, Slot};
use crate::flow::gcra::Rate;
use crate::flow::policy::{Policies, Scope};
use crate::flow::ready_queue::{GateUsage, Item, QueueUsage, Usage};
use crate::id::{FunctionId, RunId};
use crate::run::{RunRecord, Stretch};
use crate::step::{Awaits, PendingState};
use crate::time::Timestamp;

/// One value of one policy's key: what is used of it, and what waits for it. What does not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitView {
    /// The policy, by the decorator's word.
    pub policy: &'static str,
    /// Its key, as it is written.
    pub key: Option<String>,
    /// The key's value; absent for all events without one together.
    pub value: Option<String>,
    /// Who shares it.
    pub scope: Option<Scope>,
    /// How many there may be: at one instant, in a period, or in a batch.
    pub limit: Option<u32>,
    /// Slots that are taken.
    pub taken: Option<u32>,
    /// How much waits that counts against it.
    pub waiting: usize,
    /// How many may still come at this moment.
    pub left: Option<u32>,
    /// When the next may come, or what is gathered starts; ms since the epoch.
    pub next_at_ms: Option<u64>,
    /// The run that gathers, or that is the singleton's.
    pub run: Option<String>,
}

/// One thing that a run waits for. What does not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaitView {
    /// A policy by the decorator's word, or `sleep`, `signal`, `wait_for_event`, `invoke`, `retry`, `event`, `executor`, `paused`, `capacity`,
    /// `turn`.
    pub on: &'static str,
    /// The step that waits; absent for the code between steps.
    pub step: Option<String>,
    /// The policy's key, as it is written, or what an event must meet.
    pub key: Option<String>,
    /// The key's value for this run, or the name of the signal, the event or the run.
    pub value: Option<String>,
    /// Who shares it.
    pub scope: Option<Scope>,
    /// Its number.
    pub limit: Option<u32>,
    /// Slots that are taken.
    pub taken: Option<u32>,
    /// How many go before this.
    pub ahead: Option<usize>,
    /// When it goes on, or can at the earliest; ms since the epoch.
    pub at_ms: Option<u64>,
}

/// A policy's word and a slot group's name.
type Group = (&'static str, Box<[u8]>);

/// A slot group, a gate or a gathering, as its name tells.
struct Named {
    scope: Option<Scope>,
    key: Option<String>,
    value: Option<String>,
}

impl Shard {
    /// What is used of a function's limits, the busiest values first, at most so many for each policy; `None`
    /// where there is no such function.
    pub fn limits(&self, name: &str, most: usize) -> Option<Vec<LimitView>> {
        let id = self.names.get(name).copied()?;
        let mut views = Vec::new();
        let kinds = [
            self.slot_limits(id),
            self.gate_limits(id),
            self.gathering_limits(id),
            self.singleton_limits(id),
        ];
        for mut kind in kinds {
            kind.sort_by(|a, b| {
                let busy = |view: &LimitView| (view.waiting, view.taken);
                a.policy.cmp(b.policy).then(busy(b).cmp(&busy(a))).then(a.value.cmp(&b.value))
            });
            for policy in kind.chunk_by(|a, b| a.policy == b.policy) {
                views.extend(policy.iter().take(most).cloned());
            }
        }
        Some(views)
    }

    /// What a live run waits for, each thing of it that does; `None` where there is no such run.
    pub fn waiting_on(&self, id: RunId) -> Option<Vec<WaitView>> {
        let run = self.runs.get(id).map(Slot::unpack)?;
        let mut waits = Vec::new();
        let at = |on, step: Option<String>, at: Timestamp| WaitView {
            on,
            step,
            at_ms: Some(at.as_millis()),
            ..WaitView::default()
        };
        match run.stretch {
            Stretch::Queued => waits.extend(self.blockers(id, &run, STRETCH)),
            Stretch::BackingOff(due) if run.started_at.is_none() => {
                waits.push(at("event", None, due));
            }
            Stretch::BackingOff(due) => waits.push(at("retry", None, due)),
            Stretch::Gathering(timer_at) => waits.push(self.gathering_wait(&run, timer_at)),
            Stretch::Executing(_) | Stretch::Parked => {}
        }
        for step in &run.pending {
            let name = Some(step.name.clone());
            match step.state {
                PendingState::Queued => {
                    let named = |wait: WaitView| WaitView { step: name.clone(), ..wait };
                    waits.extend(self.blockers(id, &run, step.number).into_iter().map(named));
                }
                PendingState::BackingOff(due) => waits.push(at("retry", name, due)),
                PendingState::Sleeping(due) => waits.push(at("sleep", name, due)),
                PendingState::Waiting(due) => {
                    let (on, key, value) = shown(step.awaits.as_ref());
                    waits.push(WaitView { key, value, ..at(on, name, due) });
                }
                PendingState::Executing(_) => {}
            }
        }
        Some(waits)
    }

    /// Why something that is queued does not execute.
    fn blockers(&self, id: RunId, run: &RunRecord, number: u32) -> Vec<WaitView> {
        let (name, place) = (queue_name(run), item(id, run, number));
        let ahead = Some(self.queues.ahead_in_queue(&name, place));
        let function = self.function(run.function);
        let simple = |on| WaitView { on, ahead, ..WaitView::default() };
        let mut waits = Vec::new();
        if function.record.is_paused {
            waits.push(simple("paused"));
        } else if !function.is_served {
            waits.push(simple("executor"));
        }
        let Some(queue) = self.queues.usage_by_name(&name) else { return waits };
        let policies = &function.record.spec.policies;
        let is_start = is_start(run, number);
        let of_slot = |on, usage: &Usage| {
            let Named { scope, key, value } = read_group(policies, &name, &usage.name);
            let (limit, taken) = (Some(usage.limit), Some(usage.taken));
            let ahead = self.queues.ahead_in_group(&usage.name, place, MOST_COUNTED);
            WaitView { on, key, value, scope, limit, taken, ahead, ..WaitView::default() }
        };
        let full = queue.slots.iter().filter(|usage| usage.is_full());
        let run_slot = queue.run_slot.iter().filter(|usage| is_start && usage.is_full());
        let gate = queue.gate.iter().filter(|_| is_start);
        waits.extend(full.map(|usage| of_slot("concurrency", usage)));
        waits.extend(run_slot.map(|usage| of_slot("run_concurrency", usage)));
        waits.extend(gate.filter_map(|gate| self.throttle_wait(policies, &name, (gate, place))));
        if waits.is_empty() {
            let is_full = self.queues.is_full(run.function);
            waits.push(simple(if is_full { "capacity" } else { "turn" }));
        }
        waits
    }

    fn throttle_wait(
        &self,
        policies: &Policies,
        queue: &[u8],
        (gate, place): (&GateUsage, Item),
    ) -> Option<WaitView> {
        let now = self.now();
        let ahead = self.queues.ahead_before_gate(queue, place, MOST_COUNTED);
        let opens_at = gate.rate.opens_at(gate.arrival, now, ahead.unwrap_or(MOST_COUNTED));
        (opens_at > now).then(|| {
            let throttle = policies.throttle.as_ref();
            let Named { key, value, .. } =
                read_gate(throttle.and_then(|it| it.key.as_ref()), &gate.name);
            WaitView {
                on: "throttle",
                key,
                value,
                limit: throttle.map(|throttle| throttle.limit),
                ahead,
                at_ms: ahead.map(|_| opens_at.as_millis()),
                ..WaitView::default()
            }
        })
    }

    fn gathering_wait(&self, run: &RunRecord, timer_at: Timestamp) -> WaitView {
        let policies = policies_of(&self.functions, run.function);
        let name = run.gathering.as_ref().map(|it| it.name.clone()).unwrap_or_default();
        let (on, key, value) = read_gathering(policies, &name);
        let due = super::gather::due(policies, run).unwrap_or(timer_at);
        WaitView { on, key, value, at_ms: Some(due.as_millis()), ..WaitView::default() }
    }

    fn slot_limits(&self, id: FunctionId) -> Vec<LimitView> {
        let policies = policies_of(&self.functions, id);
        let mut found: BTreeMap<Group, (Usage, usize, Named)> = BTreeMap::new();
        if policies.concurrency.is_empty() && policies.run_concurrency.is_none() {
            return Vec::new();
        }
        for queue in self.queues.usage_of(id) {
            let QueueUsage { name, slots, run_slot, item_count, start_count, .. } = queue;
            let queued = item_count.saturating_add(start_count);
            let steps = slots.into_iter().map(|usage| ("concurrency", usage, queued));
            let runs = run_slot.into_iter().map(|usage| ("run_concurrency", usage, start_count));
            for (policy, usage, waiting) in steps.chain(runs) {
                let named = read_group(policies, &name, &usage.name);
                let place = (policy, usage.name.clone());
                let entry = found.entry(place).or_insert((usage, 0, named));
                entry.1 = entry.1.saturating_add(waiting);
            }
        }
        let view = |((policy, _), (usage, waiting, named)): (Group, (Usage, usize, Named))| {
            let Named { scope, key, value } = named;
            let (limit, taken) = (Some(usage.limit), Some(usage.taken));
            LimitView { policy, key, value, scope, limit, taken, waiting, ..LimitView::default() }
        };
        found.into_iter().map(view).collect()
    }

    fn gate_limits(&self, id: FunctionId) -> Vec<LimitView> {
        let policies = policies_of(&self.functions, id);
        let mut waiting: BTreeMap<Box<[u8]>, usize> = BTreeMap::new();
        let limits_rate = policies.rate_limit.is_some() || policies.idempotency.is_some();
        if policies.throttle.is_none() && !limits_rate {
            return Vec::new();
        }
        for queue in self.queues.usage_of(id) {
            if let Some(gate) = queue.gate {
                let count = waiting.entry(gate.name).or_default();
                *count = count.saturating_add(queue.start_count);
            }
        }
        let own = self.queues.arrivals_of(|name| is_name_of(id, name));
        let arrivals: BTreeMap<Box<[u8]>, Timestamp> = own.collect();
        let known = arrivals.keys().chain(waiting.keys());
        let names: BTreeSet<&[u8]> = known.map(AsRef::as_ref).collect();
        let view = |name: &[u8]| {
            let (policy, key, limit, rate) = gate_policy(policies, name)?;
            let Named { key, value, .. } = read_gate(key, name);
            let arrival = arrivals.get(name).copied().unwrap_or_default();
            let (now, waiting) = (self.now(), waiting.get(name).copied().unwrap_or(0));
            let next_at = rate.opens_at(arrival, now, 0);
            Some(LimitView {
                policy,
                key,
                value,
                limit: Some(limit),
                waiting,
                left: Some(rate.left(arrival, now)),
                next_at_ms: (next_at > now).then(|| next_at.as_millis()),
                ..LimitView::default()
            })
        };
        names.into_iter().filter_map(view).collect()
    }

    fn gathering_limits(&self, id: FunctionId) -> Vec<LimitView> {
        let policies = policies_of(&self.functions, id);
        let own = self.gatherings.those(|name| is_name_of(id, name)).into_iter();
        let view = |(name, id): (Box<[u8]>, RunId)| {
            let run = self.runs.get(id).map(Slot::unpack)?;
            let (policy, key, value) = read_gathering(policies, &name);
            let limit = policies.batch.as_ref().map(|batch| batch.max_size);
            let due = super::gather::due(policies, &run);
            Some(LimitView {
                policy,
                key,
                value,
                limit: limit.filter(|_| policy == "batch"),
                waiting: run.rest.len().saturating_add(1),
                next_at_ms: due.map(Timestamp::as_millis),
                run: Some(id.to_string()),
                ..LimitView::default()
            })
        };
        own.filter_map(view).collect()
    }

    fn singleton_limits(&self, id: FunctionId) -> Vec<LimitView> {
        let policies = policies_of(&self.functions, id);
        let Some(singleton) = &policies.singleton else { return Vec::new() };
        let own = self.singletons.those(|name| is_name_of(id, name));
        own.into_iter()
            .map(|(name, run)| LimitView {
                policy: "singleton",
                key: singleton.key.clone(),
                value: singleton.key.as_ref().and_then(|_| value_in(name.get(13..))),
                limit: Some(1),
                taken: Some(1),
                run: Some(run.to_string()),
                ..LimitView::default()
            })
            .collect()
    }
}

/// What a step waits for: the word for it, the expression that it must meet, and its name.
fn shown(awaits: Option<&Awaits>) -> (&'static str, Option<String>, Option<String>) {
    match awaits {
        Some(Awaits::Signal(signal)) => ("signal", None, Some(signal.clone())),
        Some(Awaits::Event(awaited)) => {
            ("wait_for_event", awaited.expression.clone(), Some(awaited.event.clone()))
        }
        Some(Awaits::Run(run)) => ("invoke", None, Some(run.to_string())),
        None => ("nothing", None, None),
    }
}

/// What a slot group of a queue is of, by the policies as they are now.
fn read_group(policies: &Policies, queue: &[u8], group: &[u8]) -> Named {
    let of = groups_of(policies, queue).find(|(_, name)| **name == *group);
    let Some((limit, _)) = of else { return Named { scope: None, key: None, value: None } };
    let name = group.strip_prefix(b"R").unwrap_or(group);
    let value = match limit.scope {
        Scope::Fn => name.get(13..),
        Scope::Env | Scope::Account => name.get(1..),
    };
    let value = value.filter(|_| limit.key.is_some());
    Named { scope: Some(limit.scope), key: limit.key.clone(), value: value_in(value) }
}

/// Whoever asks how many go before a run is not told more than this: counting holds up the scheduler.
const MOST_COUNTED: usize = 1_000;

fn read_gate(key: Option<&String>, name: &[u8]) -> Named {
    let start = if name.first() == Some(&b't') { 5 } else { 13 };
    Named { scope: None, key: key.cloned(), value: key.and_then(|_| value_in(name.get(start..))) }
}

/// The value at a name's end; none for what has none.
fn value_in(bytes: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(bytes?);
    let shown = text.strip_prefix(SHORTENED).or_else(|| text.strip_prefix('\0')).unwrap_or(&text);
    (text != MISSING).then(|| shown.to_owned())
}

/// The policy that a gate is of: its word, its key, its number and its rate.
fn gate_policy<'a>(
    policies: &'a Policies,
    name: &[u8],
) -> Option<(&'static str, Option<&'a String>, u32, Rate)> {
    match name.first()? {
        b't' => {
            let it = policies.throttle.as_ref()?;
            Some(("throttle", it.key.as_ref(), it.limit, super::flow::throttle_rate(it)))
        }
        b'r' => {
            let it = policies.rate_limit.as_ref()?;
            Some(("rate_limit", it.key.as_ref(), it.limit, rate_of(it)))
        }
        _ => {
            let key = policies.idempotency.as_ref()?;
            Some(("idempotency", Some(key), 1, super::arrive::idempotency_rate()))
        }
    }
}

/// What gathers under a name: its policy, its key, and the key's value.
fn read_gathering(
    policies: &Policies,
    name: &[u8],
) -> (&'static str, Option<String>, Option<String>) {
    let (policy, key) = if name.first() == Some(&b'b') {
        ("batch", policies.batch.as_ref().and_then(|batch| batch.key.clone()))
    } else {
        ("debounce", policies.debounce.as_ref().and_then(|debounce| debounce.key.clone()))
    };
    let value = key.as_ref().and_then(|_| value_in(name.get(13..)));
    (policy, key, value)
}
