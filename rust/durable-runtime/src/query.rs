//! What is stored, as users ask for it: runs, events, functions. Answers are durable before they are given; how
//! limits are used and what a run waits for is looked up in the scheduler as it stands.

use std::ops::Range;
use std::sync::mpsc;

use bytes::Bytes;
use durable_core::{
    DedupRecord, EventId, EventRecord, Expression, FunctionRecord, Given, LimitView, Memo, RunId,
    RunRecord, RunStatus, RunView, Timestamp, WaitView, write,
};
use durable_store::{KeyRange, View};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::mailbox::Look;

/// Which runs, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// In one of these states; empty: in any.
    pub status: Vec<RunStatus>,
    /// Of this function.
    pub function: Option<String>,
    /// Created then or later.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Older than this one: the last of the page before.
    pub cursor: Option<RunId>,
}

/// Which events, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this name.
    pub name: Option<String>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Older than this one: the last of the page before.
    pub cursor: Option<EventId>,
}

/// Which runs something is done to, oldest first.
#[derive(Debug, Default)]
pub struct Selection {
    /// In one of these states.
    pub status: Vec<RunStatus>,
    /// Of this function.
    pub function: Option<String>,
    /// Created then or later.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// Not younger than this one.
    pub upto: Option<RunId>,
    /// Each of its events meets this. One whose event is no longer kept does not.
    pub condition: Option<Expression>,
    /// No later run of its event repeats it.
    pub is_last: bool,
    /// Younger than this one, the last that was looked at before.
    pub after: Option<RunId>,
}

/// A page, and the cursor of the next one where there may be more.
pub type Page<Id, T> = (Vec<(Id, T)>, Option<Id>);

/// A batch of records looked at in one go; more than this in one stretch of time and it is halved.
const MOST_PER_LOOK: usize = 4_096;

impl Engine {
    /// A run with its steps; `None` where there is none of this id.
    pub fn run(&self, id: RunId) -> Result<Option<RunView>> {
        self.shared().read(|view| {
            if let Some(ended) = view.get(&write::history_key(id))? {
                return Ok(Some(RunView::of_ended(write::read_history(&ended)?)));
            }
            let Some(live) = view.get(&write::run_key(id))? else {
                // It may have ended between the two looks.
                let ended = view.get(&write::history_key(id))?;
                return Ok(match ended {
                    Some(ended) => Some(RunView::of_ended(write::read_history(&ended)?)),
                    None => None,
                });
            };
            let run: RunRecord = write::decode("a live run", &live)?;
            let memos = memos(view, id, run.memo_count)?;
            if memos.len() < usize::try_from(run.memo_count).unwrap_or(usize::MAX)
                && let Some(ended) = view.get(&write::history_key(id))?
            {
                return Ok(Some(RunView::of_ended(write::read_history(&ended)?)));
            }
            Ok(Some(RunView::of_live(run, memos)))
        })
    }

    /// Runs without their steps, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Page<RunId, RunView>> {
        self.shared().read(|view| {
            let functions = functions(view)?;
            let wanted = |run: &RunView| {
                let name = functions.get(run.function.index()).map(|f| f.spec.name.as_str());
                (filter.status.is_empty() || filter.status.contains(&run.status))
                    && filter.function.as_deref().is_none_or(|wanted| name == Some(wanted))
            };
            let place = Place {
                since: number(RunId::earliest(filter.since.unwrap_or_default()).as_bytes()),
                before: filter.cursor.map_or(u128::MAX, |id| number(id.as_bytes())),
                limit: filter.limit,
            };
            newest(view, &prefixes(&filter.status), &place, |key, value| {
                let run = run_without_steps(key, value)?;
                Ok(wanted(&run).then_some(run))
            })
        })
    }

    /// The runs of a selection among the next so many, and the last of those where there are more.
    pub fn select(
        &self,
        selection: &Selection,
        most: usize,
    ) -> Result<(Vec<RunId>, Option<RunId>)> {
        let now = self.now();
        self.shared().read(|view| {
            let functions = functions(view)?;
            let since = number(RunId::earliest(selection.since.unwrap_or_default()).as_bytes());
            let after = selection.after.map_or(0, |id| number(id.as_bytes()).saturating_add(1));
            let until = selection.until.map(|at| number(RunId::earliest(at).as_bytes()));
            let upto = selection.upto.map(|id| number(id.as_bytes()).saturating_add(1));
            let end = until.into_iter().chain(upto).min();
            let place = since.max(after)..end.unwrap_or(u128::MAX);
            let (records, last) = oldest(view, &prefixes(&selection.status), place, most)?;
            let is_of = |run: &RunView| {
                let name = functions.get(run.function.index()).map(|f| f.spec.name.as_str());
                selection.function.as_deref().is_none_or(|wanted| name == Some(wanted))
                    && selection.status.contains(&run.status)
            };
            let mut found = Vec::new();
            for (number, key, value) in records {
                let (id, run) = (RunId::from_number(number), run_without_steps(&key, &value)?);
                let is_wanted = is_of(&run) && is_selected(view, (selection, now), (id, &run))?;
                found.extend(is_wanted.then_some(id));
            }
            Ok((found, last.map(RunId::from_number)))
        })
    }

    /// An event as it was accepted; `None` where there is none of this id.
    pub fn event(&self, id: EventId) -> Result<Option<EventRecord>> {
        self.shared().read(|view| match view.get(&write::event_key(id))? {
            Some(record) => Ok(Some(write::decode("an event", &record)?)),
            None => Ok(None),
        })
    }

    /// The first event that was sent with this id, for so long as that is remembered.
    pub fn event_sent_as(&self, id: &str) -> Result<Option<EventId>> {
        let key = write::dedup_key(id);
        if key.len() > durable_store::MAX_KEY_BYTES {
            return Ok(None);
        }
        self.shared().read(|view| match view.get(&key)? {
            Some(record) => {
                let known: DedupRecord = write::decode("a sender's event id", &record)?;
                Ok(Some(known.event))
            }
            None => Ok(None),
        })
    }

    /// Events, newest first.
    pub fn events(&self, filter: &EventFilter) -> Result<Page<EventId, EventRecord>> {
        self.shared().read(|view| {
            let place = Place {
                since: number(EventId::earliest(filter.since.unwrap_or_default()).as_bytes()),
                before: filter.cursor.map_or(u128::MAX, |id| number(id.as_bytes())),
                limit: filter.limit,
            };
            newest(view, &[write::EVENT], &place, |_, value| {
                let event: EventRecord = write::decode("an event", value)?;
                let is_wanted = filter.name.as_ref().is_none_or(|name| *name == event.name);
                Ok(is_wanted.then_some(event))
            })
        })
    }

    /// The functions by number, as last registered.
    pub fn functions(&self) -> Result<Vec<FunctionRecord>> {
        self.shared().read(functions)
    }

    /// How a function's limits are used, the busiest values first, so many of each at most; `None` where there
    /// is no such function.
    pub fn limits(&self, function: &str, most: usize) -> Result<Option<Vec<LimitView>>> {
        let (seen, answer) = mpsc::channel();
        self.look(Look::Limits(function.to_owned(), most, seen))?;
        answer.recv().map_err(|_gone| Error::closed())
    }

    /// What a run waits for; `None` where no such run lives.
    pub fn waiting_on(&self, run: RunId) -> Result<Option<Vec<WaitView>>> {
        let (seen, answer) = mpsc::channel();
        self.look(Look::WaitingOn(run, seen))?;
        answer.recv().map_err(|_gone| Error::closed())
    }

    /// How far a source of events has got: the position of its last accepted batch.
    pub fn source_position(&self, source: &str) -> Result<Option<u64>> {
        self.shared().read(|view| match view.get(&write::inbox_key(source))? {
            Some(record) => Ok(Some(write::decode("a source of events", &record)?)),
            None => Ok(None),
        })
    }
}

/// Where runs in these states lie; none: in any.
fn prefixes(status: &[RunStatus]) -> Vec<u8> {
    let is_live =
        |s: &RunStatus| matches!(s, RunStatus::Queued | RunStatus::Running | RunStatus::Parked);
    let mut prefixes = Vec::new();
    if status.is_empty() || status.iter().any(is_live) {
        prefixes.push(write::RUN);
    }
    if status.is_empty() || !status.iter().all(is_live) {
        prefixes.push(write::HISTORY);
    }
    prefixes
}

/// What a selection asks of a run's events.
fn is_selected(
    view: &View,
    (selection, now): (&Selection, Timestamp),
    (id, run): (RunId, &RunView),
) -> Result<bool> {
    if selection.condition.is_none() && !selection.is_last {
        return Ok(true);
    }
    for event_id in &run.events {
        let record = view.get(&write::event_key(*event_id))?;
        let record: Option<EventRecord> =
            record.map(|bytes| write::decode("an event", &bytes)).transpose()?;
        let is_met = match (&record, &selection.condition) {
            (Some(event), Some(condition)) => meets(condition, (*event_id, event), now),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        let is_repeated = record.is_some_and(|it| it.repeats_of(run.function, id).is_some());
        if !is_met || (selection.is_last && is_repeated) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn meets(condition: &Expression, (id, event): (EventId, &EventRecord), now: Timestamp) -> bool {
    let text = id.to_string();
    condition.matches(&Given { event: event.view(&text), other: None, now })
}

fn run_without_steps(key: &[u8], value: &[u8]) -> Result<RunView> {
    if key.first() == Some(&write::RUN) {
        return Ok(RunView::of_live(write::decode("a live run", value)?, Vec::new()));
    }
    let mut history = write::read_history(value)?;
    history.memos.clear();
    Ok(RunView::of_ended(history))
}

pub(crate) fn functions(view: &View) -> Result<Vec<FunctionRecord>> {
    let mut functions = Vec::new();
    for record in view.scan(KeyRange::prefix(&[write::FUNCTION])) {
        functions.push(write::decode("a function", &record?.1)?);
    }
    Ok(functions)
}

fn memos(view: &View, run: RunId, count: u32) -> Result<Vec<Memo>> {
    let mut memos = Vec::new();
    for number in 0..count {
        let Some(record) = view.get(&write::memo_key(run, number))? else { break };
        memos.push(write::decode("a memo", &record)?);
    }
    Ok(memos)
}

fn number(id: &[u8; 16]) -> u128 {
    u128::from_be_bytes(*id)
}

/// An id as the number it is in keys.
trait FromNumber {
    fn from_number(number: u128) -> Self;
}

impl FromNumber for RunId {
    fn from_number(number: u128) -> Self {
        Self::from_bytes(number.to_be_bytes())
    }
}

impl FromNumber for EventId {
    fn from_number(number: u128) -> Self {
        Self::from_bytes(number.to_be_bytes())
    }
}

/// Where a page lies.
struct Place {
    since: u128,
    before: u128,
    limit: usize,
}

/// A second of the time that ids begin with.
const SECOND: u128 = 1000 << 80;

/// Looks backwards in time, in stretches that grow while they are empty and shrink where they are crowded,
/// so that a page costs about as much as it holds.
fn newest<Id: FromNumber, T>(
    view: &View,
    prefixes: &[u8],
    place: &Place,
    read: impl Fn(&[u8], &[u8]) -> Result<Option<T>>,
) -> Result<Page<Id, T>> {
    let mut found: Vec<(Id, T)> = Vec::new();
    let Some((oldest, newest)) = bounds(view, prefixes)? else { return Ok((found, None)) };
    let first = oldest.max(place.since);
    let mut end = place.before.min(newest.saturating_add(1));
    let mut span = SECOND;
    let mut last = None;
    while end > first && found.len() < place.limit {
        let start = end.saturating_sub(span).max(first);
        let Some(records) = look(view, prefixes, start..end)? else {
            span = (end.saturating_sub(start) / 2).max(1);
            continue;
        };
        if records.len() < MOST_PER_LOOK / 4 {
            span = span.saturating_mul(4);
        }
        for (number, key, value) in records {
            if found.len() == place.limit {
                break;
            }
            if let Some(item) = read(&key, &value)? {
                found.push((Id::from_number(number), item));
                last = Some(number);
            }
        }
        end = start;
    }
    let next = last.filter(|_| found.len() == place.limit);
    Ok((found, next.map(|number| Id::from_number(number))))
}

/// The numbers of the oldest record and of one not older than the newest.
fn bounds(view: &View, prefixes: &[u8]) -> Result<Option<(u128, u128)>> {
    let mut oldest = None;
    for prefix in prefixes {
        let first = view.scan(KeyRange::prefix(&[*prefix])).next().transpose()?;
        let number = first.and_then(|(key, _)| number_in(&key));
        oldest = number.into_iter().chain(oldest).min();
    }
    let Some(oldest) = oldest else { return Ok(None) };
    // Ids begin with their moment: twice as far each time, until nothing lies beyond.
    let mut reach = SECOND;
    let mut beyond = oldest;
    while has_any(view, prefixes, beyond.saturating_add(1)..u128::MAX)? {
        beyond = oldest.saturating_add(reach);
        reach = reach.saturating_mul(2);
    }
    Ok(Some((oldest, beyond)))
}

fn has_any(view: &View, prefixes: &[u8], numbers: Range<u128>) -> Result<bool> {
    for prefix in prefixes {
        if view.scan(keys(*prefix, &numbers)).next().transpose()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

type Records = Vec<(u128, Bytes, Bytes)>;

/// The first records of a stretch of ids, about so many, oldest first; and the last number among them where there
/// are more.
fn oldest(
    view: &View,
    prefixes: &[u8],
    numbers: Range<u128>,
    most: usize,
) -> Result<(Records, Option<u128>)> {
    let mut records = Vec::new();
    let mut end = numbers.end;
    let prefixes = if numbers.is_empty() { &[] } else { prefixes };
    for prefix in prefixes {
        let mut count = 0_usize;
        for record in view.scan(keys(*prefix, &numbers)) {
            let (key, value) = record?;
            let Some(number) = number_in(&key) else { continue };
            if count == most {
                end = end.min(number);
                break;
            }
            count = count.saturating_add(1);
            records.push((number, key, value));
        }
    }
    records.retain(|(number, ..)| *number < end);
    records.sort_unstable_by_key(|(number, ..)| *number);
    records.dedup_by_key(|(number, ..)| *number);
    let last = records.last().map(|(number, ..)| *number);
    Ok((records, last.filter(|_| end < numbers.end)))
}

/// The records of a stretch of ids, newest first; `None`: too many for one look.
fn look(view: &View, prefixes: &[u8], numbers: Range<u128>) -> Result<Option<Records>> {
    let mut records = Vec::new();
    for prefix in prefixes {
        for record in view.scan(keys(*prefix, &numbers)) {
            let (key, value) = record?;
            let Some(number) = number_in(&key) else { continue };
            records.push((number, key, value));
            if records.len() > MOST_PER_LOOK && numbers.end.saturating_sub(numbers.start) > 1 {
                return Ok(None);
            }
        }
    }
    records.sort_unstable_by(|(a, ..), (b, ..)| b.cmp(a));
    // A run that ends between the looks at the live and at the ended is seen twice.
    records.dedup_by_key(|(number, ..)| *number);
    Ok(Some(records))
}

fn keys(prefix: u8, numbers: &Range<u128>) -> KeyRange {
    let key = |number: u128| Bytes::from([&[prefix][..], &number.to_be_bytes()].concat());
    KeyRange { start: key(numbers.start), end: Some(key(numbers.end)) }
}

fn number_in(key: &[u8]) -> Option<u128> {
    write::id_in_key(key).map(u128::from_be_bytes)
}
