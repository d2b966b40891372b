//! After a restart: the shard as it was, out of its records.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::expire::Expiry;
use super::tick::NO_TIMERS;
use super::{Meta, Settings, Shard, Slot, TurnState};
use crate::flow::ready_queue::{Item, ReadyQueues};
use crate::flow::timer_wheel::TimerWheel;
use crate::function::FunctionRecord;
use crate::id::{FunctionId, RunId};
use crate::map::Map;
use crate::run::{RunRecord, Standing, Stretch};
use crate::step::PendingState;
use crate::time::Timestamp;
use crate::write::{
    FUNCTION, INBOX, META, RUN, Record, Unreadable, decode, function_key, id_in_key,
};

impl Shard {
    /// The shard whose records these are: all whose prefix is among
    /// [`crate::write::LOADED_PREFIXES`], functions before runs. None: a new shard.
    ///
    /// What was executing still is, until [`crate::Command::ConnectExecutor`] says that it is lost.
    pub fn load(
        settings: Settings,
        now: Timestamp,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, Unreadable> {
        let mut shard = Self {
            chance: settings.seed,
            settings,
            meta: Meta::default(),
            functions: Vec::new(),
            names: BTreeMap::new(),
            routes: BTreeMap::new(),
            inbox: BTreeMap::new(),
            runs: Map::default(),
            queues: ReadyQueues::default(),
            executing: BTreeSet::new(),
            capacity: 0,
            wheel: TimerWheel::new(now),
            timers_loaded: Bytes::from_static(NO_TIMERS),
            timers_asked: None,
            expiry: Expiry::default(),
            stale_report_count: 0,
            turn: TurnState::default(),
        };
        for (key, value) in records {
            shard.take_in(&key, &value)?;
        }
        shard.rebuild_routes();
        shard.advance_clock(now);
        shard.wheel = TimerWheel::new(shard.meta.now);
        Ok(shard)
    }

    fn take_in(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match key.first() {
            Some(&META) => self.meta = decode("the shard's own state", value)?,
            Some(&FUNCTION) => {
                let record: FunctionRecord = decode("a function", value)?;
                let id = self.keep_function(record);
                if function_key(id) != key {
                    return Err(unreadable("a function", "one before it is missing"));
                }
            }
            Some(&INBOX) => {
                let name = std::str::from_utf8(key.get(1..).unwrap_or_default());
                let name =
                    name.map_err(|error| unreadable("a source of events", &error.to_string()))?;
                self.inbox.insert(name.to_owned(), decode("a source of events", value)?);
            }
            Some(&RUN) => {
                let id = id_in_key(key).map(RunId::from_bytes);
                let id = id.ok_or_else(|| unreadable("a live run", "its key is cut short"))?;
                self.take_in_run(id, value)?;
            }
            Some(_) | None => return Err(unreadable("a record to load", "it is of another kind")),
        }
        Ok(())
    }

    fn take_in_run(&mut self, id: RunId, value: &[u8]) -> Result<(), Unreadable> {
        let run: RunRecord = decode("a live run", value)?;
        if self.queues.queue(run.function).is_none() {
            return Err(unreadable("a live run", "its function is missing"));
        }
        let (function, score) = (run.function, run.created_at);
        let queue = |number| Item { score, run: id, number };
        match run.stretch {
            Stretch::Queued => self.queues.push(function, queue(super::enqueue::STRETCH)),
            Stretch::Executing(_) => self.queues.take_slot(function),
            Stretch::BackingOff(_) | Stretch::Parked => {}
        }
        for step in &run.pending {
            match step.state {
                PendingState::Queued => self.queues.push(function, queue(step.number)),
                PendingState::Executing(_) => self.queues.take_slot(function),
                PendingState::BackingOff(_) | PendingState::Sleeping(_) => {}
            }
        }
        let standing = run.standing();
        self.count(function, standing, 1);
        let slot = if standing == Standing::Running {
            self.executing.insert(id);
            Slot::Open(Box::new(run))
        } else {
            Slot::Packed(value.into())
        };
        self.runs.insert(id, slot);
        Ok(())
    }
}

fn unreadable(what: &'static str, why: &str) -> Unreadable {
    Unreadable { what, why: why.to_owned() }
}

impl FunctionId {
    /// Its place in the order of registration.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}
