//! Group commit: all turns that wait become durable with one sync, then what they hold back leaves, in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use durable_store::{Log, Seq};

use crate::config::Sync;
use crate::error::Result;
use crate::outbox::Item;
use crate::pipeline::{Leaving, Sealed};
use crate::shared::Shared;
use crate::waiters::Waiters;

pub(crate) struct Committer {
    shared: Arc<Shared>,
    log: Box<dyn Log>,
    sync: Sync,
    /// When what is written but not synced was written first.
    unsynced_since: Option<Instant>,
    preparing: Sender<()>,
    /// Bytes written since room was last asked for.
    unprepared: usize,
}

/// After so many bytes the log is given room ahead, on another thread.
const PREPARE_EVERY: usize = 256 << 10;
/// So many bytes go to the log at a time.
const BYTES_PER_WRITE: usize = 256 << 20;

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: Box<dyn Log>,
        sync: Sync,
        preparing: Sender<()>,
    ) -> Self {
        Self { shared, log, sync, unsynced_since: None, preparing, unprepared: 0 }
    }

    /// Ends when the pipeline is closed and empty; gives the log back.
    pub(crate) fn run(mut self) -> Result<Box<dyn Log>> {
        while let Some(turns) = self.shared.pipeline.take(self.time_to_sync()) {
            let mut batches: Vec<(Seq, Bytes)> = Vec::with_capacity(turns.len());
            let mut leaving = Vec::with_capacity(turns.len());
            let mut is_urgent = false;
            for Sealed { batch, leaving: held, is_urgent: urgent } in turns {
                is_urgent |= urgent;
                batches.extend(batch);
                leaving.extend(held);
            }
            self.commit(&batches)?;
            if is_urgent || self.time_to_sync() == Some(Duration::ZERO) {
                self.sync()?;
            }
            self.shared.poison.check()?;
            self.release(leaving);
            self.tend()?;
        }
        self.shared.poison.check()?;
        self.sync()?;
        Ok(self.log)
    }

    /// In pieces that the log takes, however large the turns that wait are together.
    fn write(&mut self, batches: &[(Seq, Bytes)]) -> Result<()> {
        let mut rest = batches;
        while !rest.is_empty() {
            let mut size = 0_usize;
            let fitting = rest.iter().take_while(|(_, bytes)| {
                size = size.saturating_add(bytes.len());
                size <= BYTES_PER_WRITE
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            self.log.write(now)?;
            rest = later;
        }
        Ok(())
    }

    fn commit(&mut self, batches: &[(Seq, Bytes)]) -> Result<()> {
        let began = Instant::now();
        if let Some((last, _)) = batches.last() {
            match self.sync {
                Sync::Always => {
                    self.write(batches)?;
                    self.log.sync()?;
                    self.shared.synced.rise(*last);
                }
                Sync::Every(_) => {
                    self.write(batches)?;
                    self.unsynced_since.get_or_insert(began);
                }
            }
            let bytes: usize = batches.iter().map(|(_, bytes)| bytes.len()).sum();
            self.unprepared = self.unprepared.saturating_add(bytes);
            self.shared.commits.lock().add(batches.len(), bytes, began.elapsed());
            self.shared.committed.rise(*last);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if self.unsynced_since.take().is_some() {
            self.log.sync()?;
            self.shared.synced.rise(self.log.durable());
        }
        Ok(())
    }

    /// What may wait until callers have their answers: old files go, new ones are made ready.
    fn tend(&mut self) -> Result<()> {
        let below = self.shared.trim_below.swap(0, Ordering::AcqRel);
        if below > 0 {
            self.log.trim(below)?;
        }
        if self.unprepared > PREPARE_EVERY && self.preparing.send(()).is_ok() {
            self.unprepared = 0;
        }
        Ok(())
    }

    fn time_to_sync(&self) -> Option<Duration> {
        match self.sync {
            Sync::Always => None,
            Sync::Every(interval) => {
                self.unsynced_since.map(|since| interval.saturating_sub(since.elapsed()))
            }
        }
    }

    fn release(&self, leaving: Vec<Leaving>) {
        let mut items: Vec<Item> = Vec::with_capacity(leaving.len());
        let mut remote: Vec<Item> = Vec::new();
        for one in leaving {
            match one {
                Leaving::Item(item) => items.push(item),
                Leaving::Remote(item) => remote.push(item),
                Leaving::Answer(ticket, answer) => self.shared.waiters.answer(ticket, answer),
                Leaving::Connected => {
                    self.shared.outbox.put(items.drain(..));
                    self.shared.outbox.connected();
                }
            }
        }
        if !items.is_empty() {
            self.shared.outbox.put(items);
        }
        if !remote.is_empty() {
            self.shared.remote.put(remote);
        }
        self.shared.pipeline.settle();
        if self.shared.clock.is_virtual() {
            self.shared.mailbox.nudge(); // it may be that nothing is under way any more
        }
    }
}

/// A core's answer goes to whoever has the ticket.
pub(crate) fn answer(ticket: durable_core::Ticket, answer: durable_core::Answer) -> Leaving {
    if Waiters::is_ours(ticket.0) {
        Leaving::Answer(ticket.0, answer)
    } else {
        Leaving::Item(Item::Answer { ticket: ticket.0, answer })
    }
}
