//! After a restart: the shard as it was, out of its records.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::arrive::singleton_name;
use super::expire::Expiry;
use super::flow::{is_start, item, needs, policies_of, queue_name, work_of};
use super::program::Program;
use super::schedule::Schedules;
use super::tell::Telling;
use super::tick::NO_TIMERS;
use super::wait::{Lately, listen};
use super::{Meta, Settings, Shard, Slot, TurnState};
use crate::flow::ready_queue::ReadyQueues;
use crate::flow::singleton::Holders;
use crate::flow::timer_wheel::TimerWheel;
use crate::function::FunctionRecord;
use crate::id::RunId;
use crate::map::Map;
use crate::run::{RunRecord, Standing};
use crate::time::Timestamp;
use crate::waits::Waits;
use crate::write::{
    FUNCTION, GATE, INBOX, META, RUN, Record, SCHEDULE, UNTOLD, Unreadable, decode, function_key,
    id_in_key,
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
            queues: ReadyQueues::new(settings.secret),
            singletons: Holders::new(settings.secret),
            gatherings: Holders::new(settings.secret),
            signals: Holders::new(settings.secret),
            waits: Waits::new(settings.secret),
            lately: Lately::default(),
            look_backs: BTreeSet::new(),
            settings,
            meta: Meta::default(),
            functions: Vec::new(),
            names: BTreeMap::new(),
            routes: BTreeMap::new(),
            inbox: BTreeMap::new(),
            runs: Map::default(),
            executing: BTreeSet::new(),
            wheel: TimerWheel::new(now),
            timers_loaded: Bytes::from_static(NO_TIMERS),
            timers_asked: None,
            expiry: Expiry::default(),
            telling: Telling::default(),
            schedules: Schedules::default(),
            stale_report_count: 0,
            withheld: BTreeMap::new(),
            is_behind: false,
            turn: TurnState::default(),
        };
        for (key, value) in records {
            shard.take_in(&key, &value)?;
        }
        shard.rebuild_routes();
        shard.advance_clock(now);
        shard.lately = Lately::since(shard.meta.last_event);
        shard.wheel = TimerWheel::new(shard.meta.now);
        Ok(shard)
    }

    fn take_in(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match key.first() {
            Some(&META) => self.meta = decode("the shard's own state", value)?,
            Some(&FUNCTION) => {
                let record: FunctionRecord = decode("a function", value)?;
                let program = Program::compile(&record.spec.policies);
                let program = program.map_err(|why| unreadable("a function", &why))?;
                let id = self.keep_function(record, program);
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
            Some(&GATE) => {
                let name = key.get(1..).unwrap_or_default();
                self.queues.restore_gate(name, decode("when a gate was passed", value)?);
            }
            Some(&UNTOLD) => {
                let id = id_in_key(key).map(RunId::from_bytes);
                let id = id.ok_or_else(|| unreadable("an end to tell", "its key is cut short"))?;
                self.telling.restore(id, decode("an end to tell", value)?);
            }
            Some(&SCHEDULE) => self.take_in_schedule(key, value)?,
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
        if self.functions.get(run.function.index()).is_none() {
            return Err(unreadable("a live run", "its function is missing"));
        }
        let function = run.function;
        let (queued, executing_count) = work_of(&run);
        if !queued.is_empty() || executing_count > 0 {
            let (policies, name) = (policies_of(&self.functions, function), queue_name(&run));
            for number in queued {
                let (item, is_start) = (item(id, &run, number), is_start(&run, number));
                self.queues.push((function, &name), item, is_start, || needs(policies, &name));
            }
            for _ in 0..executing_count {
                self.queues.take_slots((function, &name), || needs(policies, &name));
            }
        }
        self.take_run_slot(&run);
        match (&run.gathering, &run.keys.singleton) {
            (Some(gathering), _) => self.gatherings.take(&gathering.name, id),
            (None, Some(key)) => self.singletons.take(&singleton_name(function, key), id),
            (None, None) => {}
        }
        if run.gathering.is_none() {
            listen(&mut self.waits, id, &run);
        }
        for step in &run.pending {
            self.restore_wait(id, step);
        }
        let standing = run.standing();
        self.count(function, standing, 1);
        let slot = if standing == Standing::Running {
            self.executing.insert(id);
            Slot::open(run, false)
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
