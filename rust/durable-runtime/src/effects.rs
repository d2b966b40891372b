//! What a turn's effects become: items for the executor's side, answers, and reads answered at once.

use bytes::Bytes;
use durable_core::{
    Command, Effect, Ending, ExecutorId, History, Outcome, Record, RunEnd, RunId, Work, write,
};
use durable_store::KeyRange;
use rustc_hash::FxHashSet;

use crate::committer;
use crate::error::Result;
use crate::executor::remote;
use crate::outbox::Item;
use crate::pipeline::Leaving;
use crate::shard_loop::ShardLoop;

/// However few they are, records of so many bytes together are a page.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Without what is for the executor: another has taken its place.
pub(crate) fn forget_executor(effects: &mut Vec<Effect>) {
    effects.retain(|effect| match effect {
        Effect::OfferWork(Work { executor, .. })
        | Effect::DeliverMemo { executor, .. }
        | Effect::ConfirmReport { executor, .. } => *executor != ExecutorId::LOCAL,
        Effect::AbandonWork { .. } => false,
        Effect::Answer { .. }
        | Effect::AnnounceEnd { .. }
        | Effect::LoadTimers { .. }
        | Effect::LookBack { .. }
        | Effect::FindEnd { .. }
        | Effect::FindExpired { .. } => true,
    });
}

impl ShardLoop {
    /// In order, after the turn's writes can be read. Payloads are read here, once.
    pub(crate) fn resolve_effects(&mut self, effects: Vec<Effect>) -> Result<()> {
        let ended: FxHashSet<RunId> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::AnnounceEnd { run, .. } => Some(*run),
                Effect::Answer { .. }
                | Effect::OfferWork(_)
                | Effect::DeliverMemo { .. }
                | Effect::ConfirmReport { .. }
                | Effect::AbandonWork { .. }
                | Effect::LoadTimers { .. }
                | Effect::LookBack { .. }
                | Effect::FindEnd { .. }
                | Effect::FindExpired { .. } => None,
            })
            .collect();
        for effect in effects {
            self.resolve_effect(effect, &ended)?;
        }
        Ok(())
    }

    fn resolve_effect(&mut self, effect: Effect, ended: &FxHashSet<RunId>) -> Result<()> {
        let view = &self.view;
        match effect {
            Effect::Answer { ticket, answer } => {
                self.leaving.push(committer::answer(ticket, answer));
            }
            Effect::OfferWork(work) if work.executor != ExecutorId::LOCAL => {
                let offer = remote::offer(view, work)?;
                self.leaving.push(Leaving::Remote(Item::Work(Box::new(offer))));
            }
            Effect::OfferWork(work) => {
                let offer = self.executor.offer(view, work)?;
                self.leave(Item::Work(Box::new(offer)));
            }
            // The memos of a run that ended in this turn are in its history by now.
            Effect::DeliverMemo { run, .. } | Effect::ConfirmReport { run, .. }
                if ended.contains(&run) => {}
            // It is told all when it is called again.
            Effect::DeliverMemo { executor, .. } if executor != ExecutorId::LOCAL => {}
            Effect::DeliverMemo { run, epoch, memo_count, .. } => {
                let item = self.executor.deliver(view, (run, epoch), memo_count)?;
                self.leaving.extend(item.map(Leaving::Item));
            }
            Effect::ConfirmReport { executor, run, epoch, number, memo_count } => {
                let item = Item::Confirm { run, epoch, number, memo_count };
                if executor == ExecutorId::LOCAL {
                    self.executor.confirm(run, memo_count);
                    self.leave(item);
                } else {
                    self.leaving.push(Leaving::Remote(item));
                }
            }
            Effect::AbandonWork { run, epoch } => {
                self.leave(Item::Abandon { run, epoch });
                if self.served.len() > 1 {
                    self.leaving.push(Leaving::Remote(Item::Abandon { run, epoch }));
                }
            }
            Effect::AnnounceEnd { run, function: _, event, ending, outcome } => {
                if self.executor.forget(run) {
                    let error = match &outcome {
                        Outcome::Error(error) if ending == Ending::Failed => Some(error.clone()),
                        Outcome::Error(_) | Outcome::Data(_) => None,
                    };
                    self.leave(Item::Finished(run, error));
                }
                if self.watched.remove(&run) {
                    self.leave(Item::Ended { run, event, ending, outcome });
                }
            }
            Effect::LoadTimers { from, before, limit } => {
                let (timers, is_complete) = self.page(from, before, limit)?;
                self.answered.push(Command::LoadTimers { timers, is_complete });
            }
            Effect::LookBack { run, number, from, before, limit } => {
                let (records, is_complete) = self.page(from, before.clone(), limit)?;
                let command = Command::LookBack { run, number, before, records, is_complete };
                self.answered.push(command);
            }
            Effect::FindEnd { run, keys } => {
                let records = self.those_there(keys)?;
                self.answered.push(Command::TellEnd { run, records });
            }
            Effect::FindExpired { from, before, limit } => {
                let (records, is_complete) = self.page(from.clone(), before.clone(), limit)?;
                self.answered.push(Command::Expire { from, before, records, is_complete });
            }
        }
        Ok(())
    }

    fn leave(&mut self, item: Item) {
        self.leaving.push(Leaving::Item(item));
    }

    fn page(&self, from: Bytes, before: Bytes, limit: usize) -> Result<(Vec<Record>, bool)> {
        let range = KeyRange { start: from, end: Some(before) };
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        for record in self.view.scan(range) {
            if records.len() == limit || bytes >= PAGE_BYTES {
                return Ok((records, false));
            }
            let (key, value) = record?;
            bytes = bytes.saturating_add(value.len());
            records.push((key, value));
        }
        Ok((records, true))
    }

    /// The records under these keys, in the same order. Which must be there is for whoever asks.
    fn those_there(&self, keys: Vec<Bytes>) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            records.extend(self.view.get(&key)?.map(|value| (key, value)));
        }
        Ok(records)
    }

    /// Runs that have ended are told of at once, the others when they end.
    pub(crate) fn watch(&mut self, runs: &[RunId]) -> Result<()> {
        for run in runs {
            if let Some(record) = self.view.get(&write::history_key(*run))? {
                let History { end, .. } = write::read_history(&record)?;
                let RunEnd { event, ending, outcome, .. } = end;
                self.leave(Item::Ended { run: *run, event, ending, outcome });
            } else if self.view.get(&write::run_key(*run))?.is_some() {
                self.watched.insert(*run);
            } else {
                self.leave(Item::Unknown(*run));
            }
        }
        Ok(())
    }

    /// True where no run is left that goes on by itself. Runs whose function nobody serves, or which is paused,
    /// do not, nor those that wait for a signal, an event or another run.
    fn is_all_done(&self) -> bool {
        let looks_back = |command: &Command| matches!(command, Command::LookBack { .. });
        if self.shard.untold_count() > 0 || self.answered.iter().any(looks_back) {
            return false; // who is told of an end may start a run
        }
        let is_served = |name| {
            self.served.is_empty() || self.served.values().any(|served| served.contains(name))
        };
        let counts = self.shard.counts();
        let going = counts.functions.iter().filter(|function| is_served(&function.name));
        going.filter(|function| !function.is_paused || function.running > 0).all(|function| {
            function.queued == 0 && function.running == 0 && function.parked.going_on() == 0
        })
    }

    /// Those who wait for the end of all runs hear of it with the turn that brought it.
    pub(crate) fn tell_of_idleness(&mut self) {
        if !self.joins.is_empty() && self.is_all_done() {
            for ticket in std::mem::take(&mut self.joins) {
                self.leave(Item::Idle(ticket));
            }
        }
        if !self.settling.is_empty() && self.shard.counts().executing_count == 0 {
            for settled in std::mem::take(&mut self.settling) {
                let _heard = settled.send(()); // whoever does not wait any more need not know
            }
        }
    }
}
