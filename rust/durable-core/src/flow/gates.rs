//! Gates: throttles and rate limits with their keys, and which queues wait until one opens.
//!
//! A gate that nobody waits before is a name and a moment, and is in one bundle of gates that are forgotten
//! together. One that is waited for has a line as well, and one alarm however many stand in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::gcra::Rate;
use super::names::{Named, Number};
use super::ready_queue::Item;
use super::slots::QueueNumber;
use super::sorted::Sorted;
use crate::time::Timestamp;

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GateId(Number);

#[derive(Clone, Debug, Default)]
struct Gate {
    /// See [`Rate::ask`]: the zero moment where it is as new. Otherwise it is in a bundle.
    arrival: Timestamp,
    /// Queues that pass through it, whether they wait or not.
    holder_count: u32,
    line: Option<Box<Line>>,
}

/// The queues that wait before a gate.
#[derive(Clone, Debug, Default)]
struct Line {
    /// By the first start of each.
    queues: Sorted<(Item, QueueNumber)>,
    /// When the first of them is called, unless one was and has not asked yet.
    alarm: Option<Timestamp>,
}

/// All gates.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    named: Named<Gate>,
    /// When which of those that are waited for may open.
    alarms: BTreeSet<(Timestamp, Number)>,
    /// When which of those that were passed may be forgotten.
    bundles: BTreeMap<Timestamp, Vec<Number>>,
}

/// Gates are forgotten in bundles: nothing waits for it.
const BUNDLE: Duration = Duration::from_mins(1);

/// A turn does not stop for all the gates of a bundle.
const LOOKED_AT_ONCE: usize = 10_000;

impl Gates {
    pub(crate) fn new(secret: u64) -> Self {
        Self { named: Named::new(secret), alarms: BTreeSet::new(), bundles: BTreeMap::new() }
    }

    /// The gate of this name, used by one more queue.
    pub(crate) fn hold(&mut self, name: &[u8]) -> GateId {
        let number = self.named.find_or_add(name, Gate::default);
        if let Some(gate) = self.named.get_mut(number) {
            gate.holder_count = gate.holder_count.saturating_add(1);
        }
        GateId(number)
    }

    /// One queue less uses it; once its moment has passed as well, it is forgotten.
    pub(crate) fn let_go(&mut self, id: GateId) {
        let Some(gate) = self.named.get_mut(id.0) else { return };
        gate.holder_count = gate.holder_count.saturating_sub(1);
        self.remove_if_new(id.0);
    }

    /// One asks to pass a gate that nobody waits before: its arrival time afterwards, to be written down, or
    /// `None` where it may not.
    pub(crate) fn try_pass(
        &mut self,
        name: &[u8],
        rate: Rate,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (number, gate) = self.named.entry(name, Gate::default)?;
        let arrival = rate.ask(gate.arrival, now).ok()?;
        let before = std::mem::replace(&mut gate.arrival, arrival);
        self.bundle(number, before, arrival);
        Some(arrival)
    }

    /// What a store says of a gate.
    pub(crate) fn restore(&mut self, name: &[u8], arrival: Timestamp) {
        let number = self.named.find_or_add(name, Gate::default);
        self.pass(GateId(number), arrival);
    }

    /// Whether one may pass now, else from when on.
    pub(crate) fn ask(
        &self,
        id: GateId,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Timestamp, Timestamp> {
        let arrival = self.named.get(id.0).map_or(Timestamp::default(), |gate| gate.arrival);
        rate.ask(arrival, now)
    }

    /// One passes: this is the gate's arrival time from now on, to be written down.
    pub(crate) fn pass(&mut self, id: GateId, arrival: Timestamp) {
        let Some(gate) = self.named.get_mut(id.0) else { return };
        let before = std::mem::replace(&mut gate.arrival, arrival);
        self.bundle(id.0, before, arrival);
    }

    /// A gate that was as new will be forgotten with others that were passed about now.
    fn bundle(&mut self, number: Number, before: Timestamp, arrival: Timestamp) {
        if before == Timestamp::default() {
            self.bundles.entry(in_bundle(arrival)).or_default().push(number);
        }
    }

    pub(crate) fn name(&self, id: GateId) -> &[u8] {
        self.named.name(id.0).unwrap_or_default()
    }

    /// A queue whose first start is this waits; the gate is looked at again at `until`.
    pub(crate) fn wait(&mut self, id: GateId, queue: QueueNumber, first: Item, until: Timestamp) {
        let Some(gate) = self.named.get_mut(id.0) else { return };
        let line = gate.line.get_or_insert_default();
        line.queues.insert((first, queue));
        self.set_alarm(id, Some(until));
    }

    /// A queue that waits has an older start now.
    pub(crate) fn move_up(&mut self, id: GateId, queue: QueueNumber, from: Item, to: Item) {
        if let Some(line) = self.line(id)
            && line.queues.remove((from, queue))
        {
            line.queues.insert((to, queue));
        }
    }

    pub(crate) fn leave(&mut self, id: GateId, queue: QueueNumber, first: Item) {
        if let Some(line) = self.line(id) {
            line.queues.remove((first, queue));
        }
        self.close_line_if_empty(id);
    }

    /// The queue whose first start is the oldest of those that wait. It no longer does then.
    pub(crate) fn next_waiting(&mut self, id: GateId) -> Option<QueueNumber> {
        let (_, queue) = self.line(id)?.queues.pop_first()?;
        self.close_line_if_empty(id);
        Some(queue)
    }

    /// Whether a queue waits with this start: for audits.
    pub(crate) fn is_waiting(&self, id: GateId, queue: QueueNumber, first: Item) -> bool {
        let line = self.named.get(id.0).and_then(|gate| gate.line.as_ref());
        line.is_some_and(|line| line.queues.first_from((first, queue)) == Some((first, queue)))
    }

    /// When something is to be done: a gate may open, or be forgotten.
    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        let opens = self.alarms.first().map(|(at, _)| *at);
        let forgets = self.bundles.first_key_value().map(|(at, _)| *at);
        opens.into_iter().chain(forgets).min()
    }

    /// The next gate before which the first may try again.
    pub(crate) fn next_open(&mut self, now: Timestamp) -> Option<GateId> {
        let (_, number) = self.alarms.first().filter(|(at, _)| *at <= now).copied()?;
        self.set_alarm(GateId(number), None);
        Some(GateId(number))
    }

    /// Forgets gates that nobody has passed for so long that they are as new: their names, for their records to
    /// go. Looks at some only; the alarm says where more are to be looked at.
    pub(crate) fn forget(&mut self, now: Timestamp) -> Vec<Box<[u8]>> {
        let mut forgotten = Vec::new();
        for _ in 0..LOOKED_AT_ONCE {
            let bundle = self.bundles.first_entry().filter(|bundle| *bundle.key() <= now);
            let Some(mut bundle) = bundle else { break };
            let Some(number) = bundle.get_mut().pop() else {
                bundle.remove();
                continue;
            };
            let Some(gate) = self.named.get_mut(number) else { continue };
            if gate.arrival > now {
                let later = in_bundle(gate.arrival);
                self.bundles.entry(later).or_default().push(number);
            } else {
                gate.arrival = Timestamp::default();
                forgotten.push(self.name(GateId(number)).into());
                self.remove_if_new(number);
            }
        }
        forgotten
    }

    /// A gate's name and its arrival time.
    pub(crate) fn state(&self, id: GateId) -> (&[u8], Timestamp) {
        let arrival = self.named.get(id.0).map(|gate| gate.arrival);
        (self.named.name(id.0).unwrap_or_default(), arrival.unwrap_or_default())
    }

    /// All gates by name, with their arrival times: for audits.
    pub(crate) fn arrivals(&self) -> Vec<(Box<[u8]>, Timestamp)> {
        let mut arrivals: Vec<_> = self.arrivals_of(|_| true).collect();
        arrivals.sort_unstable();
        arrivals
    }

    /// The gates whose names are wanted, with their arrival times, in no order.
    pub(crate) fn arrivals_of(
        &self,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = (Box<[u8]>, Timestamp)> {
        let known = self
            .named
            .all()
            .filter(move |(_, name, gate)| gate.arrival > Timestamp::default() && is_wanted(name));
        known.map(|(_, name, gate)| (name.into(), gate.arrival))
    }

    pub(crate) fn len(&self) -> usize {
        self.named.len()
    }

    fn line(&mut self, id: GateId) -> Option<&mut Line> {
        self.named.get_mut(id.0)?.line.as_deref_mut()
    }

    fn close_line_if_empty(&mut self, id: GateId) {
        if self.line(id).is_some_and(|line| line.queues.is_empty()) {
            self.set_alarm(id, None);
            if let Some(gate) = self.named.get_mut(id.0) {
                gate.line = None;
            }
        }
    }

    fn set_alarm(&mut self, id: GateId, at: Option<Timestamp>) {
        let Some(line) = self.line(id) else { return };
        if let Some(before) = std::mem::replace(&mut line.alarm, at) {
            self.alarms.remove(&(before, id.0));
        }
        if let Some(at) = at {
            self.alarms.insert((at, id.0));
        }
    }

    fn remove_if_new(&mut self, number: Number) {
        let gate = self.named.get(number);
        let is_new = |gate: &Gate| gate.holder_count == 0 && gate.arrival == Timestamp::default();
        if gate.is_some_and(is_new) {
            self.named.remove(number);
        }
    }
}

/// The end of the bundle in which a moment falls.
fn in_bundle(moment: Timestamp) -> Timestamp {
    let bundle = u64::try_from(BUNDLE.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(moment.as_nanos().next_multiple_of(bundle))
}
