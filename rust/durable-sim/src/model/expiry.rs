//! What may go, and when.

use bytes::Bytes;
use durable_core::{EventId, RunId};

use super::admission::is_fresh;
use super::{Model, require};
use crate::driver::Sealed;
use crate::tally::Tally;

impl Model {
    /// An event goes when it is old and none of its runs lives.
    pub(super) fn expire_event(
        &mut self,
        turn: &Sealed,
        id: EventId,
        tally: &mut Tally,
    ) -> Result<(), String> {
        tally.note("event deleted");
        let Some(record) = self.events.remove(&id) else { return Ok(()) };
        let keeps = |run: RunId| {
            let life = self.runs.get(run).filter(|life| life.end.is_none());
            life.is_some_and(|life| life.events.contains(&id))
        };
        let live = record.runs.iter().find(|(_, run)| keeps(*run));
        require(live.is_none(), || format!("event {id} goes, its run {live:?} lives"))?;
        require(!self.is_untold_of(id), || {
            format!("event {id} goes before it is told with an end")
        })?;
        let due = id.made_at().plus(self.settings.retention);
        require(due <= turn.latest, || format!("event {id} goes too early"))
    }

    /// An ended run goes when its end is old.
    pub(super) fn expire_run(
        &mut self,
        turn: &Sealed,
        run: RunId,
        tally: &mut Tally,
    ) -> Result<(), String> {
        tally.note("history deleted");
        require(!self.is_untold(run), || {
            format!("the history of run {run} goes before it is told")
        })?;
        let end = self.runs.get(run).and_then(|life| life.end.as_ref());
        let end = end.ok_or_else(|| format!("the history of run {run} goes, it has no end"))?;
        let due = end.ended_at.plus(self.settings.retention);
        require(due <= turn.latest, || format!("the history of run {run} goes too early"))?;
        if let Some(life) = self.runs.get_mut(run) {
            life.is_forgotten = true;
        }
        Ok(())
    }

    /// A sender's id goes when nothing of it counts any more.
    pub(super) fn expire_sender(&mut self, turn: &Sealed, key: &Bytes) -> Result<(), String> {
        let name = std::str::from_utf8(key.get(1..).unwrap_or_default()).unwrap_or_default();
        let is_renewed = turn.changes.iter().any(|c| c.key == *key && c.value.is_some());
        let Some(sender) = self.senders.get(name).filter(|_| !is_renewed) else { return Ok(()) };
        let counts = is_fresh(sender.first.made_at(), turn.now)
            || sender
                .runs
                .iter()
                .any(|(_, run)| is_fresh(run.made_at(), turn.now) || self.is_live(*run));
        require(!counts, || format!("the sender's id '{name}' goes while it counts"))?;
        self.senders.remove(name);
        Ok(())
    }

    /// Whether a run has not ended.
    pub fn is_live(&self, run: RunId) -> bool {
        self.runs.is_live(run)
    }
}
