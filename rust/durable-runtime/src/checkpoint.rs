//! Moving what is durable into the image, in the background, so that memory and the log stay small.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};

use durable_store::{Checkpointer, Frozen, Spares, View};
use parking_lot::{Condvar, Mutex};

use crate::error::Result;
use crate::pipeline::Sealed;
use crate::shared::Shared;

/// The shard waits for a checkpoint when this many times the limit has gathered: memory is bounded.
const MOST_BEHIND: usize = 4;

/// Whether a layer is on its way into the image.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    moving: Mutex<Moving>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Moving {
    #[default]
    Nothing,
    Layer,
    /// The engine is poisoned: no layer arrives any more, whoever still hands one over.
    Never,
}

impl Busy {
    /// True: the next layer may be handed over.
    fn begin(&self) -> bool {
        let mut moving = self.moving.lock();
        let is_free = *moving == Moving::Nothing;
        if is_free {
            *moving = Moving::Layer;
        }
        is_free
    }

    /// The layer has arrived, or there was none.
    fn finish(&self) {
        let mut moving = self.moving.lock();
        if *moving == Moving::Layer {
            *moving = Moving::Nothing;
        }
        self.changed.notify_all();
    }

    /// Nobody waits any more, now or later.
    pub(crate) fn end(&self) {
        *self.moving.lock() = Moving::Never;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut moving = self.moving.lock();
        while *moving == Moving::Layer {
            self.changed.wait(&mut moving);
        }
    }
}

/// The shard's side: says when a layer is full.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    tasks: Sender<Frozen>,
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

/// Ends when the shard's thread has ended.
fn run(
    shared: &Shared,
    mut checkpointer: Checkpointer,
    tasks: &Receiver<Frozen>,
) -> Result<Checkpointer> {
    while let Ok(layer) = tasks.recv() {
        shared.synced.wait(layer.upto)?;
        let done = checkpointer.run(layer)?;
        if let Some(snapshot) = done.snapshot {
            let below = snapshot.min(done.applied).saturating_add(1);
            shared.trim_below.fetch_max(below, Ordering::AcqRel);
        }
        shared.busy.finish();
    }
    Ok(checkpointer)
}

/// Makes room in the log whenever it is asked for. Ends when the committer's thread has ended.
pub(crate) fn make_room(mut spares: Spares, asked: &Receiver<()>) -> Result<()> {
    while asked.recv().is_ok() {
        spares.prepare()?;
    }
    Ok(())
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

    /// The last one: the next start has nothing to replay, nor to hold in memory.
    pub(crate) fn begin_at_close(&self, shared: &Shared) {
        shared.busy.wait();
        self.begin(shared);
    }

    fn begin(&self, shared: &Shared) {
        if !shared.busy.begin() {
            return;
        }
        let sent = self.view.freeze().is_some_and(|layer| self.tasks.send(layer).is_ok());
        if sent {
            let (batch, leaving) = (None, Vec::new());
            shared.pipeline.put(Sealed { batch, leaving, is_urgent: true });
        } else {
            shared.busy.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committer failed first; the shard, which has not looked yet, hands one more layer over.
    #[test]
    fn nobody_waits_for_a_layer_that_a_poisoned_engine_will_not_move() {
        let busy = Busy::default();
        assert!(busy.begin());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| busy.wait());
            busy.end();
            waiting.join().unwrap();
        });
        busy.finish();
        assert!(!busy.begin(), "a layer more");
        busy.wait();
    }

    #[test]
    fn one_layer_is_moved_at_a_time() {
        let busy = Busy::default();
        busy.wait();
        assert!(busy.begin());
        assert!(!busy.begin());
        busy.finish();
        assert!(busy.begin());
    }
}
