//! What the engine's threads and its callers share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use durable_core::Counts;
use durable_store::View;
use parking_lot::Mutex;

use crate::checkpoint::Busy;
use crate::clock::Clock;
use crate::commit_times::CommitTimes;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::pipeline::Pipeline;
use crate::poison::Poison;
use crate::waiters::Waiters;
use crate::watermark::Watermark;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// For reads from any thread; gone when the engine is closed, and the store's lock with it.
    pub(crate) view: Mutex<Option<Arc<View>>>,
    pub(crate) mailbox: Mailbox,
    /// Towards the executor in this process, and whoever asks there.
    pub(crate) outbox: Outbox,
    /// Towards all other executors.
    pub(crate) remote: Outbox,
    pub(crate) pipeline: Pipeline,
    pub(crate) waiters: Waiters,
    /// How far effects may leave: synced, or with `sync="50ms"` written.
    pub(crate) committed: Watermark,
    /// How far the log is on the disk, whatever the setting: the image may not get ahead of it.
    pub(crate) synced: Watermark,
    pub(crate) poison: Poison,
    /// A layer is on its way into the image.
    pub(crate) busy: Busy,
    /// Turns below this one need not be in the log any more.
    pub(crate) trim_below: AtomicU64,
    /// What the shard's thread last said of itself.
    pub(crate) counts: Mutex<Counts>,
    pub(crate) commits: Mutex<CommitTimes>,
}

impl Shared {
    /// Something that was read, once all that it can have seen is durable.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&View) -> Result<T>) -> Result<T> {
        let view = self.view.lock().clone();
        let view = view.ok_or_else(|| self.poison.check().err().unwrap_or_else(Error::closed))?;
        let seen = look(&view)?;
        self.committed.wait(view.staged())?;
        Ok(seen)
    }

    /// Neither mark will rise any more.
    pub(crate) fn fail_marks(&self, why: &Error) {
        self.committed.fail(why.clone());
        self.synced.fail(why.clone());
    }
}
