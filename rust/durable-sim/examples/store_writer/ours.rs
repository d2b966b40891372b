//! Our own store behind the writer's two verbs, driven as the runtime drives it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use durable_store::{
    Change, Checkpointer, Frozen, ImageKind, KeyRange, Log, Options, Store, View, batch,
};

use crate::model::{Change as Modelled, State};
use crate::victim::{Failure, Victim};

/// Everything is small, so that a short run passes through each of the store's files and phases.
pub(crate) fn options(folder: &Path, image: ImageKind) -> Options {
    Options {
        checkpoint_bytes: 16 << 10,
        segment_bytes: 128 << 10,
        grow_bytes: 32 << 10,
        snapshot_bytes: 96 << 10,
        reserve_bytes: 256 << 10,
        page_bytes: 8 << 20,
        ..Options::folder(folder, image)
    }
}

/// The store, with its checkpointer on a thread of its own.
pub(crate) struct Ours {
    log: Box<dyn Log>,
    view: Arc<View>,
    checkpoint_bytes: usize,
    frozen: Option<Sender<Frozen>>,
    results: Receiver<Result<(), Failure>>,
    thread: Option<JoinHandle<()>>,
    stopped: Option<String>,
}

impl Ours {
    /// Opens the store whose image has that name.
    pub(crate) fn open(image: &str, folder: &Path) -> Result<Self, Failure> {
        let image = match image {
            "sled" => ImageKind::Sled,
            "redb" => ImageKind::Redb,
            "memory" => ImageKind::Memory,
            other => return Err(format!("no such image: {other}").into()),
        };
        let options = options(folder, image);
        let checkpoint_bytes = options.checkpoint_bytes;
        let opened = Store::open(options)?;
        let (frozen, work) = channel();
        let (done, results) = channel();
        let checkpointer = opened.checkpointer;
        let thread = std::thread::spawn(move || apply(checkpointer, &work, &done));
        Ok(Self {
            log: opened.log,
            view: opened.view,
            checkpoint_bytes,
            frozen: Some(frozen),
            results,
            thread: Some(thread),
            stopped: None,
        })
    }

    /// The first failure of the checkpointer stops the store, as it stops an engine.
    fn checkpointed(&mut self) -> Result<(), Failure> {
        let failed = self.results.try_iter().find_map(Result::err);
        self.stopped = self.stopped.take().or_else(|| failed.map(|failure| failure.to_string()));
        self.stopped.clone().map_or(Ok(()), |why| Err(why.into()))
    }
}

fn apply(
    mut checkpointer: Checkpointer,
    work: &Receiver<Frozen>,
    done: &Sender<Result<(), Failure>>,
) {
    for frozen in work {
        let result = checkpointer.run(frozen).and_then(|_applied| checkpointer.spares().prepare());
        let goes_on = result.is_ok();
        if done.send(result.map_err(Failure::from)).is_err() || !goes_on {
            return;
        }
    }
}

impl Victim for Ours {
    fn append(&mut self, batches: Vec<Vec<Modelled>>) -> Result<(), Failure> {
        self.checkpointed()?;
        let mut group = Vec::with_capacity(batches.len());
        for (seq, changes) in (self.log.next_seq()..).zip(batches) {
            let changes = changes
                .into_iter()
                .map(|(key, value)| {
                    let is_new = value.is_some() && self.view.get(&key)?.is_none();
                    Ok(Change { key: key.into(), value: value.map(Bytes::from), is_new })
                })
                .collect::<Result<Vec<_>, Failure>>()?;
            self.view.stage(seq, &changes)?;
            group.push((seq, batch::encode(&changes)));
        }
        self.log.append(&group)?;
        if self.view.staged_bytes() > self.checkpoint_bytes
            && let (Some(frozen), Some(work)) = (self.view.freeze(), &self.frozen)
        {
            work.send(frozen).map_err(|_gone| "the checkpointer has stopped")?;
        }
        Ok(())
    }

    fn dump(&self) -> Result<State, Failure> {
        self.view
            .scan(KeyRange::all())
            .map(|pair| Ok(pair.map(|(key, value)| (key.to_vec(), value.to_vec()))?))
            .collect()
    }

    fn close(mut self: Box<Self>) -> Result<(), Failure> {
        self.frozen = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            return Err("the checkpointer panicked".into());
        }
        self.checkpointed()?;
        Ok(self.log.close()?)
    }
}
