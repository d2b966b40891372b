//! Gates: throttles with their keys, and which queues wait until one opens.
//!
//! One alarm for each gate that is shut, however many wait before it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::gcra::Rate;
use super::names::Named;
use super::ready_queue::Item;
use super::slots::QueueNumber;
use crate::time::Timestamp;

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GateId(u32);

#[derive(Clone, Debug, Default)]
struct Gate {
    arrival: Timestamp,
    /// Queues that pass through it, whether they wait or not.
    holder_count: u32,
    /// Those that wait, by the first start of each.
    line: BTreeSet<(Item, QueueNumber)>,
    /// When it is looked at again.
    alarm: Option<Timestamp>,
}

/// All gates.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    gates: Named<Gate>,
    alarms: BTreeSet<(Timestamp, u32)>,
}

/// What an alarm was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The first of those that wait may try again.
    Opens(QueueNumber),
    /// Nobody has passed for so long that the gate is as new: its record may go.
    Forgotten(Box<[u8]>),
}

/// Gates are forgotten in bundles: nothing waits for it.
const BUNDLE: Duration = Duration::from_mins(1);

impl Gates {
    pub(crate) fn new(secret: u64) -> Self {
        Self { gates: Named::new(secret), alarms: BTreeSet::new() }
    }

    /// The gate of this name, used by one more queue.
    pub(crate) fn hold(&mut self, name: &[u8]) -> GateId {
        let number = self.gates.find_or_add(name, Gate::default);
        if let Some(gate) = self.gates.get_mut(number) {
            gate.holder_count = gate.holder_count.saturating_add(1);
        }
        GateId(number)
    }

    /// One queue less uses it; once its moment has passed as well, it is forgotten.
    pub(crate) fn let_go(&mut self, id: GateId) {
        let Some(gate) = self.gates.get_mut(id.0) else { return };
        gate.holder_count = gate.holder_count.saturating_sub(1);
        if gate.holder_count == 0 && gate.arrival == Timestamp::default() {
            self.set_alarm(id, None);
            self.gates.remove(id.0);
        }
    }

    /// One asks to pass a gate that nobody waits before: its arrival time afterwards, to be written down, or
    /// `None` where it may not.
    pub(crate) fn try_pass(
        &mut self,
        name: &[u8],
        rate: Rate,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let number = self.gates.find_or_add(name, Gate::default);
        let id = GateId(number);
        let arrival = self.ask(id, rate, now).ok();
        arrival.inspect(|arrival| self.set_arrival(id, *arrival))
    }

    /// What a store says of a gate.
    pub(crate) fn restore(&mut self, name: &[u8], arrival: Timestamp) {
        let number = self.gates.find_or_add(name, Gate::default);
        self.set_arrival(GateId(number), arrival);
    }

    /// Whether one may pass now, else from when on.
    pub(crate) fn ask(
        &self,
        id: GateId,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Timestamp, Timestamp> {
        let arrival = self.gates.get(id.0).map_or(Timestamp::default(), |gate| gate.arrival);
        rate.ask(arrival, now)
    }

    /// One passes: the gate's name and its arrival time from now on, to be written down.
    pub(crate) fn pass(&mut self, id: GateId, arrival: Timestamp) -> Box<[u8]> {
        self.set_arrival(id, arrival);
        self.gates.name(id.0).unwrap_or_default().into()
    }

    /// A queue whose first start is this waits; the gate is looked at again at `until`.
    pub(crate) fn wait(&mut self, id: GateId, queue: QueueNumber, first: Item, until: Timestamp) {
        if let Some(gate) = self.gates.get_mut(id.0) {
            gate.line.insert((first, queue));
        }
        self.set_alarm(id, Some(until));
    }

    /// A queue that waits has an older start now.
    pub(crate) fn move_up(&mut self, id: GateId, queue: QueueNumber, from: Item, to: Item) {
        if let Some(gate) = self.gates.get_mut(id.0)
            && gate.line.remove(&(from, queue))
        {
            gate.line.insert((to, queue));
        }
    }

    pub(crate) fn leave(&mut self, id: GateId, queue: QueueNumber, first: Item) {
        if let Some(gate) = self.gates.get_mut(id.0) {
            gate.line.remove(&(first, queue));
        }
    }

    /// The queue whose first start is the oldest of those that wait. It no longer does then.
    pub(crate) fn next_waiting(&mut self, id: GateId) -> Option<QueueNumber> {
        self.gates.get_mut(id.0)?.line.pop_first().map(|(_, queue)| queue)
    }

    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// What the next alarm that is due by now is for.
    pub(crate) fn pop_alarm(&mut self, now: Timestamp) -> Option<Alarm> {
        while let Some((at, number)) = self.alarms.first().copied() {
            if at > now {
                return None;
            }
            let id = GateId(number);
            self.set_alarm(id, None);
            if let Some(queue) = self.next_waiting(id) {
                return Some(Alarm::Opens(queue));
            }
            let Some(gate) = self.gates.get_mut(number) else { continue };
            if gate.arrival > now {
                let later = in_bundle(gate.arrival);
                self.set_alarm(id, Some(later));
            } else if gate.arrival > Timestamp::default() {
                return Some(Alarm::Forgotten(self.forget(id)));
            }
        }
        None
    }

    /// A gate's name and its arrival time.
    pub(crate) fn state(&self, id: GateId) -> (&[u8], Timestamp) {
        let arrival = self.gates.get(id.0).map(|gate| gate.arrival);
        (self.gates.name(id.0).unwrap_or_default(), arrival.unwrap_or_default())
    }

    /// All gates by name, with their arrival times: for audits.
    pub(crate) fn arrivals(&self) -> Vec<(Box<[u8]>, Timestamp)> {
        let known = self.gates.all().filter(|(_, _, gate)| gate.arrival > Timestamp::default());
        let mut arrivals: Vec<_> =
            known.map(|(_, name, gate)| (name.into(), gate.arrival)).collect();
        arrivals.sort_unstable();
        arrivals
    }

    /// A gate is as new again, and goes where no queue uses it; its name.
    fn forget(&mut self, id: GateId) -> Box<[u8]> {
        let name = self.gates.name(id.0).unwrap_or_default().into();
        if let Some(gate) = self.gates.get_mut(id.0) {
            gate.arrival = Timestamp::default();
            if gate.holder_count == 0 {
                self.gates.remove(id.0);
            }
        }
        name
    }

    /// A gate that was passed is looked at again, to be forgotten when its moment is over.
    fn set_arrival(&mut self, id: GateId, arrival: Timestamp) {
        let Some(gate) = self.gates.get_mut(id.0) else { return };
        gate.arrival = arrival;
        if gate.alarm.is_none() {
            self.set_alarm(id, Some(in_bundle(arrival)));
        }
    }

    fn set_alarm(&mut self, id: GateId, at: Option<Timestamp>) {
        let Some(gate) = self.gates.get_mut(id.0) else { return };
        if let Some(before) = std::mem::replace(&mut gate.alarm, at) {
            self.alarms.remove(&(before, id.0));
        }
        if let Some(at) = at {
            self.alarms.insert((at, id.0));
        }
    }
}

/// The end of the bundle in which a moment falls.
fn in_bundle(moment: Timestamp) -> Timestamp {
    let bundle = u64::try_from(BUNDLE.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(moment.as_nanos().next_multiple_of(bundle))
}
