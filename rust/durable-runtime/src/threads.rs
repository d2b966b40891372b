//! The threads of an engine: the shard's, the committer's, the checkpointer's, and one that makes room in the log.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use durable_core::Shard;
use durable_store::{Checkpointer, Log, View};

use crate::checkpoint;
use crate::committer::Committer;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::executor::local::LocalExecutor;
use crate::mailbox::Message;
use crate::poison;
use crate::shard_loop::ShardLoop;
use crate::shared::Shared;

#[derive(Debug)]
pub(crate) struct Threads {
    shard: JoinHandle<Option<()>>,
    committer: JoinHandle<Option<Box<dyn Log>>>,
    checkpointer: JoinHandle<Option<Checkpointer>>,
    room: JoinHandle<Option<()>>,
}

impl Threads {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        view: &Arc<View>,
        (shard, log, checkpointer): (Shard, Box<dyn Log>, Checkpointer),
        config: &Config,
    ) -> Result<Self> {
        let (asking, asked) = std::sync::mpsc::channel();
        let spares = checkpointer.spares();
        let (checkpoints, checkpointing) = checkpoint::start(
            Arc::clone(shared),
            checkpointer,
            (Arc::clone(view), config.checkpoint_bytes),
        );
        let next_seq = log.next_seq();
        let committer = Committer::new(Arc::clone(shared), log, config.sync, asking);
        let shard_loop = ShardLoop {
            shared: Arc::clone(shared),
            view: Arc::clone(view),
            shard,
            next_seq,
            checkpoints,
            executor: LocalExecutor::default(),
            watched: rustc_hash::FxHashSet::default(),
            subscriptions: crate::subscriptions::Subscriptions::default(),
            remote_subscriptions: crate::subscriptions::Subscriptions::default(),
            joins: Vec::new(),
            served: std::collections::BTreeMap::new(),
            advances: VecDeque::new(),
            settling: Vec::new(),
            backlog: VecDeque::new(),
            answered: Vec::new(),
            leaving: Vec::new(),
            counted_at: Instant::now(),
            is_closing: false,
        };
        Ok(Self {
            checkpointer: start("durable-image", shared, checkpointing)?,
            room: start("durable-room", shared, move || checkpoint::make_room(spares, &asked))?,
            committer: start("durable-commit", shared, || committer.run())?,
            shard: start("durable-shard", shared, || shard_loop.run())?,
        })
    }

    /// Lets each finish what it has, in the order in which they feed each other.
    pub(crate) fn stop(self, shared: &Shared) -> Result<()> {
        // A mailbox that is closed already belongs to an engine that is poisoned.
        let _taken = shared.mailbox.put([Message::Close], []).ok();
        shared.mailbox.close();
        let _shard = self.shard.join().ok();
        shared.pipeline.close();
        let log = self.committer.join().ok().flatten();
        let _checkpointer = self.checkpointer.join().ok();
        let _room = self.room.join().ok();
        shared.poison.check()?;
        if let Some(mut log) = log {
            log.close()?;
        }
        Ok(())
    }
}

/// A thread whose failure, or panic, stops the engine.
fn start<T: Send + 'static>(
    name: &'static str,
    shared: &Arc<Shared>,
    body: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Option<T>>> {
    let shared = Arc::clone(shared);
    let run = move || {
        let error = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error,
            Err(panic) => poison::of_panic(name, panic.as_ref()),
        };
        shared.poison(&error);
        None
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
        Error::new(Kind::Io, format!("the thread {name} could not be started: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Item};
    use std::time::Duration;

    #[test]
    fn a_panic_stops_the_engine_and_everyone_hears_why() {
        let engine = Engine::open(&Config::new("memory:")).unwrap();
        let thread = start::<()>("test", engine.shared_arc(), || panic!("seven is not eight"));
        assert!(thread.unwrap().join().unwrap().is_none());
        let error = engine.register("app", Vec::new()).unwrap_err();
        assert_eq!(error.kind, Kind::Broken);
        assert!(error.text.contains("seven is not eight"), "{error}");
        let items = engine.receive(Duration::from_secs(30));
        assert_eq!(items, [Item::Poisoned(error.clone())]);
        assert_eq!(engine.close(Duration::ZERO), Err(error));
    }
}
