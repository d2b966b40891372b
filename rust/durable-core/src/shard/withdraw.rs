//! Calling off an event: its runs that have not started never do. Those that have are left alone.

use super::{Shard, Turn};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::EventRecord;
use crate::id::{EventId, RunId, Ticket};

impl Shard {
    pub(super) fn withdraw(
        &mut self,
        ticket: Ticket,
        event: EventId,
        record: Option<&EventRecord>,
        turn: &mut Turn,
    ) {
        if !turn.writes.is_empty() {
            super::broken("an event is to be called off in a turn that has changed something");
        }
        let answer = match record {
            None => Answer::Refused(Refusal::NotFound(format!(
                "there is no event {event} in this store"
            ))),
            Some(record) => {
                let size = u64::try_from(record.size()).unwrap_or(u64::MAX);
                let runs = record.runs.iter();
                let called_off = runs.filter(|(_, run)| self.leave_out(*run, (event, size), turn));
                Answer::EventCancelled(u32::try_from(called_off.count()).unwrap_or(u32::MAX))
            }
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// A run that has not started goes on without one event of its batch, or is cancelled where it has no other.
    /// A debounced one has only the event that came last.
    fn leave_out(&mut self, id: RunId, (event, size): (EventId, u64), turn: &mut Turn) -> bool {
        let Some(run) = self.open(id).filter(|run| run.started_at.is_none()) else { return false };
        let place = run.rest.iter().position(|other| *other == event);
        match place {
            Some(place) => drop(run.rest.remove(place)),
            None if run.event != event => return false, // a debounce dropped it for a later one
            None if run.rest.is_empty() => {
                self.cancel_run(id, "its event was called off", turn);
                return true;
            }
            None => run.event = run.rest.remove(0),
        }
        if let Some(gathering) = &mut run.gathering {
            gathering.bytes = gathering.bytes.saturating_sub(size);
        }
        self.keep_event_until_expired(event, turn);
        self.tell_called_off(id, event, turn);
        true
    }
}
