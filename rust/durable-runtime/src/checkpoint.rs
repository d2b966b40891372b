//! Moving what is durable into the image, in the background, so that memory and the log stay small.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};

use durable_store::{Checkpointer, Frozen, View};
use parking_lot::{Condvar, Mutex};

use crate::error::Result;
use crate::pipeline::Sealed;
use crate::shared::Shared;

/// The shard waits for a checkpoint when this many times the limit has gathered: memory is bounded.
const MOST_BEHIND: usize = 4;
/// On closing so many bytes still are moved: the next start then has less to replay.
const AT_CLOSE_BYTES: usize = 4 * 1024 * 1024;

/// Whether a layer is on its way into the image.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    is_busy: Mutex<bool>,
    done: Condvar,
}

impl Busy {
    fn begin(&self) -> bool {
        !std::mem::replace(&mut *self.is_busy.lock(), true)
    }

    pub(crate) fn end(&self) {
        *self.is_busy.lock() = false;
        self.done.notify_all();
    }

    fn wait(&self) {
        let mut is_busy = self.is_busy.lock();
        while *is_busy {
            self.done.wait(&mut is_busy);
        }
    }
}

/// What the thread is to do.
pub(crate) enum Task {
    /// Move this layer into the image.
    Apply(Frozen),
    /// Make room in the log before it is needed.
    Prepare,
}

/// The shard's side: says when a layer is full.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    tasks: Sender<Task>,
    view: Arc<View>,
    limit: usize,
}

/// A thread's body and the shard's side of it.
pub(crate) fn start(
    shared: Arc<Shared>,
    checkpointer: Checkpointer,
    (view, limit): (Arc<View>, usize),
) -> (Checkpoints, impl FnOnce() -> Result<Checkpointer>) {
    let (sender, tasks) = channel();
    (Checkpoints { tasks: sender, view, limit }, move || run(&shared, checkpointer, &tasks))
}

/// Ends when the shard's thread and the committer's have ended.
fn run(
    shared: &Shared,
    mut checkpointer: Checkpointer,
    tasks: &Receiver<Task>,
) -> Result<Checkpointer> {
    while let Ok(task) = tasks.recv() {
        match task {
            Task::Apply(layer) => {
                shared.synced.wait(layer.upto)?;
                let done = checkpointer.run(layer)?;
                if let Some(snapshot) = done.snapshot {
                    let below = snapshot.min(done.applied).saturating_add(1);
                    shared.trim_below.fetch_max(below, Ordering::AcqRel);
                }
                shared.busy.end();
            }
            Task::Prepare => checkpointer.prepare()?,
        }
    }
    Ok(checkpointer)
}

impl Checkpoints {
    pub(crate) fn begin_if_due(&self, shared: &Shared) {
        let staged = self.view.staged_bytes();
        if staged > self.limit {
            self.begin(shared);
        }
        if staged > self.limit.saturating_mul(MOST_BEHIND) {
            shared.busy.wait();
        }
    }

    /// The last one, where it is cheap.
    pub(crate) fn begin_at_close(&self, shared: &Shared) {
        if self.view.staged_bytes() <= AT_CLOSE_BYTES {
            shared.busy.wait();
            self.begin(shared);
        }
    }

    pub(crate) fn tasks(&self) -> Sender<Task> {
        self.tasks.clone()
    }

    fn begin(&self, shared: &Shared) {
        if !shared.busy.begin() {
            return;
        }
        let sent =
            self.view.freeze().is_some_and(|layer| self.tasks.send(Task::Apply(layer)).is_ok());
        if sent {
            let (batch, leaving) = (None, Vec::new());
            shared.pipeline.put(Sealed { batch, leaving, is_urgent: true });
        } else {
            shared.busy.end();
        }
    }
}
