//! Schedules as callers ask for them: made, changed and read. What is read is durable before it is told.

use bytes::Bytes;
use durable_core::{Answer, Command, RunId, ScheduleChange, ScheduleRecord, ScheduleSpec, write};
use durable_store::{KeyRange, View};

use crate::engine::{Engine, unexpected};
use crate::error::Result;

/// Which schedules, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct ScheduleFilter {
    /// Of this function.
    pub function: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Behind this one: the last of the page before.
    pub cursor: Option<String>,
}

/// A page of schedules, each with its function's name, and the cursor of the next where there may be more.
type SchedulePage = (Vec<(String, ScheduleRecord)>, Option<String>);

impl Engine {
    /// Makes a schedule or replaces it; durable when it returns.
    pub fn put_schedule(
        &self,
        (id, function): (&str, &str),
        spec: ScheduleSpec,
        data: Bytes,
    ) -> Result<()> {
        let (id, function) = (id.to_owned(), function.to_owned());
        let answer =
            self.ask(|ticket| Command::PutSchedule { ticket, id, function, spec, data })?;
        let Answer::Scheduled = answer else { return Err(unexpected(&answer)) };
        Ok(())
    }

    /// Does something with a schedule; durable when it returns. The run's id where that makes one.
    pub fn change_schedule(&self, id: &str, change: ScheduleChange) -> Result<Option<RunId>> {
        let id = id.to_owned();
        match self.ask(|ticket| Command::ChangeSchedule { ticket, id, change })? {
            Answer::Scheduled => Ok(None),
            Answer::Started(run, _) => Ok(Some(run)),
            other @ (Answer::Accepted(_)
            | Answer::Registered(_)
            | Answer::StartedBefore(..)
            | Answer::Paused
            | Answer::Cancelled(_)
            | Answer::EventCancelled(_)
            | Answer::Published(_)
            | Answer::Signalled(_)
            | Answer::Refused(_)) => Err(unexpected(&other)),
        }
    }

    /// A schedule that a caller made, with its function's name; `None` where there is none of this id.
    pub fn schedule(&self, id: &str) -> Result<Option<(String, ScheduleRecord)>> {
        self.shared().read(|view| {
            let key = write::schedule_key(id);
            if key.len() > durable_store::MAX_KEY_BYTES {
                return Ok(None);
            }
            let Some(value) = view.get(&key)? else { return Ok(None) };
            let record: ScheduleRecord = write::decode("a schedule", &value)?;
            Ok(Some((name_of(view, &record)?, record)))
        })
    }

    /// Schedules that callers made, by their ids.
    pub fn schedules(&self, filter: &ScheduleFilter) -> Result<SchedulePage> {
        self.shared().read(|view| page(view, filter))
    }

    /// The schedules that are functions' triggers, by the numbers of the functions.
    pub fn crons(&self) -> Result<Vec<ScheduleRecord>> {
        self.shared().read(|view| {
            let records = view.scan(KeyRange::prefix(&write::all_trigger_keys()));
            records.map(|item| Ok(write::decode("a schedule", &item?.1)?)).collect()
        })
    }
}

fn page(view: &View, filter: &ScheduleFilter) -> Result<SchedulePage> {
    let mut range = KeyRange::prefix(&write::schedule_key(""));
    if let Some(cursor) = &filter.cursor {
        range.start = Bytes::from([&write::schedule_key(cursor)[..], b"\0"].concat());
    }
    let names = names(view)?;
    let mut found = Vec::new();
    for item in view.scan(range) {
        let record: ScheduleRecord = write::decode("a schedule", &item?.1)?;
        let name = names.get(record.function.index()).cloned().unwrap_or_default();
        let is_wanted = filter.function.as_ref().is_none_or(|wanted| *wanted == name);
        found.extend(is_wanted.then_some((name, record)));
        if found.len() >= filter.limit {
            let last = found.last().and_then(|(_, record)| record.id.clone());
            return Ok((found, last));
        }
    }
    Ok((found, None))
}

fn name_of(view: &View, record: &ScheduleRecord) -> Result<String> {
    let names = names(view)?;
    Ok(names.get(record.function.index()).cloned().unwrap_or_default())
}

fn names(view: &View) -> Result<Vec<String>> {
    Ok(crate::query::functions(view)?.into_iter().map(|record| record.spec.name).collect())
}
