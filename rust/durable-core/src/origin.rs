//! What the store has of a run that is to be repeated: the core reads no store, so it is handed in.

use bytes::Bytes;

use crate::command::Rerun;
use crate::event::EventRecord;
use crate::id::{EventId, FunctionId, RunId};
use crate::run::{History, RunRecord};
use crate::step::{Memo, Pending, StepKind};
use crate::time::Timestamp;
use crate::write::{Unreadable, decode, event_key, history_key, memo_key, read_history, run_key};

/// A run as it stands in the store, with its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its function.
    pub function: FunctionId,
    /// Its events, in order; `None` where one of them is no longer kept.
    pub events: Option<Vec<(EventId, EventRecord)>>,
    /// When its event wants it to start, where that is another moment than the event's: time here may be ahead
    /// of the sender's.
    pub starts_at: Option<Timestamp>,
    /// Its memos, in the order in which they were recorded; none where nothing is taken over.
    pub memos: Vec<Memo>,
    /// Its steps without a memo, now or when it ended.
    pub pending: Vec<(String, StepKind)>,
}

impl Origin {
    /// The run that is to be repeated, from a store that has all turns before this one; `None` where there is no
    /// such run. `get` reads one record.
    pub fn read<E: From<Unreadable>>(
        rerun: &Rerun,
        get: impl Fn(&Bytes) -> Result<Option<Bytes>, E>,
    ) -> Result<Option<Self>, E> {
        let run = rerun.run;
        if let Some(bytes) = get(&history_key(run))? {
            let History { end, memos } = read_history(&bytes)?;
            let events = read_events(std::iter::once(end.event).chain(end.rest), get)?;
            let (function, pending) = (end.function, end.unrecorded);
            return Ok(Some(Self { function, events, starts_at: None, memos, pending }));
        }
        let Some(bytes) = get(&run_key(run))? else { return Ok(None) };
        let record: RunRecord = decode("a live run", &bytes)?;
        let count = if rerun.from.is_some() { record.memo_count } else { 0 };
        let memos = read_memos(run, count, &get)?;
        let events = read_events(std::iter::once(record.event).chain(record.rest), get)?;
        let pending = record.pending.into_iter().map(Pending::into_named).collect();
        let function = record.function;
        Ok(Some(Self { function, events, starts_at: None, memos, pending }))
    }

    /// The run that repeats this one, where there is one: of a function an event starts one run, and each later
    /// one repeats another.
    pub fn repeated_by(&self, run: RunId) -> Option<RunId> {
        let (_, event) = self.events.as_ref()?.first()?;
        event.repeats_of(self.function, run)
    }
}

fn read_memos<E: From<Unreadable>>(
    run: RunId,
    count: u32,
    get: &impl Fn(&Bytes) -> Result<Option<Bytes>, E>,
) -> Result<Vec<Memo>, E> {
    let mut memos = Vec::new();
    for number in 0..count {
        let bytes = get(&memo_key(run, number))?.ok_or_else(|| Unreadable {
            what: "a memo",
            why: format!("run {run} lives, and its memo number {number} is not in the store"),
        })?;
        memos.push(decode("a memo", &bytes)?);
    }
    Ok(memos)
}

type Events = Vec<(EventId, EventRecord)>;

fn read_events<E: From<Unreadable>>(
    ids: impl Iterator<Item = EventId>,
    get: impl Fn(&Bytes) -> Result<Option<Bytes>, E>,
) -> Result<Option<Events>, E> {
    let mut events = Vec::new();
    for id in ids {
        let Some(bytes) = get(&event_key(id))? else { return Ok(None) };
        events.push((id, decode("an event", &bytes)?));
    }
    Ok(Some(events))
}
