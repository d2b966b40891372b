//! A store in memory: what is staged, and what is durable of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_core::write::{
    EVENT, LOADED_PREFIXES, MEMO, RUN, event_key, history, history_key, id_in_key, memo_key,
    run_key,
};
use durable_core::{
    Command, Effect, EventId, EventRecord, FunctionId, Memo, Record, RunId, RunRecord, Timestamp,
    Write, write,
};

use super::Past;

/// So few records are read at once that look-backs go on for several turns.
const PAGE: usize = 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    staged: BTreeMap<Bytes, Bytes>,
    durable: BTreeMap<Bytes, Bytes>,
}

impl Store {
    pub(super) fn commit(&mut self) {
        self.durable = self.staged.clone();
    }

    pub(super) fn roll_back(&mut self) {
        self.staged = self.durable.clone();
    }

    /// What the shard is made of, functions before runs.
    pub(super) fn records(&self) -> Vec<Record> {
        LOADED_PREFIXES.iter().flat_map(|prefix| self.of(*prefix)).collect()
    }

    fn of(&self, prefix: u8) -> impl Iterator<Item = Record> {
        let (from, before) = (Bytes::copy_from_slice(&[prefix]), Bytes::from(vec![prefix + 1]));
        self.staged.range(from..before).map(|(key, value)| (key.clone(), value.clone()))
    }

    pub(super) fn live(&self) -> Vec<RunId> {
        self.of(RUN).filter_map(|(key, _)| id_in_key(&key).map(RunId::from_bytes)).collect()
    }

    pub(super) fn event(&self, id: EventId) -> Option<Record> {
        let key = event_key(id);
        self.staged.get(&key).map(|value| (key.clone(), value.clone()))
    }

    pub(super) fn function(&self, run: RunId) -> FunctionId {
        let record = self.staged.get(&run_key(run)).and_then(|bytes| read::<RunRecord>(bytes));
        record.map(|record| record.function).unwrap_or_default()
    }

    pub(super) fn memos(&self, run: RunId) -> Vec<Memo> {
        (0..).map_while(|number| read(self.staged.get(&memo_key(run, number))?)).collect()
    }

    pub(super) fn answer(&self, ask: &Effect) -> Option<Command> {
        match ask {
            Effect::LoadTimers { from, before, limit } => {
                let (timers, is_complete) = self.page(from, before, *limit);
                Some(Command::LoadTimers { timers, is_complete })
            }
            Effect::FindExpired { from, before, limit } => {
                let (records, is_complete) = self.page(from, before, *limit);
                let (from, before) = (from.clone(), before.clone());
                Some(Command::Expire { from, before, records, is_complete })
            }
            Effect::LookBack { run, number, from, before, .. } => {
                let (records, is_complete) = self.page(from, before, PAGE);
                let (run, number, before) = (*run, *number, before.clone());
                Some(Command::LookBack { run, number, before, records, is_complete })
            }
            Effect::Answer { .. }
            | Effect::OfferWork(_)
            | Effect::DeliverMemo { .. }
            | Effect::ConfirmReport { .. }
            | Effect::AbandonWork { .. }
            | Effect::AnnounceEnd { .. }
            | Effect::FindEnd { .. } => None,
        }
    }

    fn page(&self, from: &Bytes, before: &Bytes, limit: usize) -> (Vec<Record>, bool) {
        let mut found: Vec<Record> = self
            .staged
            .range(from.clone()..before.clone())
            .take(limit.saturating_add(1))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let is_complete = found.len() <= limit;
        found.truncate(limit);
        (found, is_complete)
    }

    /// Takes a turn in; what of it the oracle looks at.
    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        writes: Vec<Write>,
        effects: &[Effect],
    ) -> Result<Past, String> {
        let mut past = Past { now, ..Past::default() };
        for write in writes {
            self.carry_out(write, &mut past)?;
        }
        let offers = effects.iter().filter_map(|effect| {
            let Effect::OfferWork(work) = effect else { return None };
            work.step.is_none().then_some(work.run)
        });
        past.offers = offers.collect();
        Ok(past)
    }
}

impl Store {
    fn carry_out(&mut self, write: Write, past: &mut Past) -> Result<(), String> {
        match write {
            Write::Insert { key, .. } if self.staged.contains_key(&key) => {
                return Err(format!("{key:?} is inserted and was there"));
            }
            Write::Insert { key, value } | Write::Put { key, value } => {
                note(past, &key, &value);
                self.staged.insert(key, value);
            }
            Write::Delete { key } => drop(self.staged.remove(&key)),
            Write::Archive { run, end, memo_count } => {
                let memos = self.memos(run);
                if memos.len() != usize::try_from(memo_count).unwrap_or(usize::MAX) {
                    return Err(format!("run {run} ends with {memos:?}, not {memo_count}"));
                }
                (0..memo_count).for_each(|n| drop(self.staged.remove(&memo_key(run, n))));
                self.staged.remove(&run_key(run));
                self.staged.insert(history_key(run), history(end.clone(), memos));
                past.ends.push((run, end));
            }
        }
        Ok(())
    }
}

fn note(past: &mut Past, key: &[u8], value: &[u8]) {
    let Some(id) = id_in_key(key) else { return };
    match key.first() {
        Some(&EVENT) => {
            let record: Option<EventRecord> = read(value);
            past.events.extend(record.map(|record| (EventId::from_bytes(id), record)));
        }
        Some(&MEMO) => {
            let memo: Option<Memo> = read(value);
            past.memos.extend(memo.map(|memo| (RunId::from_bytes(id), memo)));
        }
        Some(&RUN) => {
            let record: Option<RunRecord> = read(value);
            past.pending.extend(record.map(|record| (RunId::from_bytes(id), record.pending)));
        }
        Some(_) | None => {}
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    write::decode("a record", bytes).ok()
}
