//! Between the channels and those who listen: each channel is read once for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use durable_core::NewMessage;
use durable_runtime::{Engine, Error, Kind, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::channel::{Channel, Position};
use super::listener::{Frame, Listener};
use super::message::Origin;
use super::token::{MOST_TOPICS, Topic};

/// More who listen are told to come back.
const MOST_LISTENERS: usize = 5_000;
/// So many channels are read at a time: reading waits for the disk.
const LOOKS: usize = 8;
const CLOSING: &str = "the server is closing: listen again in a moment";
const NO_ENGINE: &str = "the engine is closed";

/// See the file's first line.
#[derive(Debug)]
pub(crate) struct Hub {
    engine: Arc<Engine>,
    state: Mutex<State>,
    looks: Semaphore,
    /// Somebody has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct State {
    listeners: BTreeMap<u64, Arc<Listener>>,
    channels: BTreeMap<String, Arc<Channel>>,
    last: u64,
    is_closing: bool,
}

/// One who listens, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    listener: Arc<Listener>,
    frames: mpsc::UnboundedReceiver<Frame>,
    channels: BTreeMap<String, Arc<Channel>>,
    topics: BTreeSet<Topic>,
}

impl Hub {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let looks = Semaphore::new(LOOKS);
        Self { engine, state: Mutex::default(), looks, gone: Notify::new() }
    }

    /// Somebody comes to listen; `None`: there is no room, or soon nobody who could be listened to.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Subscription> {
        let mut state = self.state.lock();
        if state.is_closing || state.listeners.len() >= MOST_LISTENERS {
            return None;
        }
        let (sender, frames) = mpsc::unbounded_channel();
        let listener = Arc::new(Listener::new(sender));
        state.last = state.last.saturating_add(1);
        let id = state.last;
        state.listeners.insert(id, Arc::clone(&listener));
        Some(Subscription {
            hub: Arc::clone(self),
            id,
            listener,
            frames,
            channels: BTreeMap::new(),
            topics: BTreeSet::new(),
        })
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().listeners.len()
    }

    /// There may be something new on this channel.
    pub(crate) fn stir(&self, channel: &str) {
        if let Some(channel) = self.channel(channel) {
            channel.stirred.notify_one();
        }
    }

    /// Publishes a message and gives its number once it is durable; `None`: there is no room for it at the moment.
    pub(crate) async fn publish(&self, message: NewMessage, origin: Origin) -> Result<Option<u64>> {
        let channel = self.channel(&message.channel).filter(|_| origin != Origin::default());
        let Some(channel) = channel else { return self.engine.try_publish(message).await };
        let _noting = channel.publishing.read().await;
        let number = self.engine.try_publish(message).await?;
        if let Some(number) = number {
            channel.note(number, origin);
        }
        Ok(number)
    }

    /// Gives what is kept nowhere to those who listen there at this moment.
    pub(crate) fn pass_on(&self, channel: &str, topic: &str, frame: &Frame) {
        if let Some(channel) = self.channel(channel) {
            channel.pass_on(topic, frame);
        }
    }

    /// Everybody is told that nothing comes any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closing = true;
        for listener in state.listeners.values() {
            listener.close(CLOSING);
        }
    }

    /// Waits until nobody listens.
    pub(crate) async fn emptied(&self) {
        loop {
            let gone = self.gone.notified();
            let mut gone = std::pin::pin!(gone);
            gone.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            gone.await;
        }
    }

    fn channel(&self, name: &str) -> Option<Arc<Channel>> {
        self.state.lock().channels.get(name).cloned()
    }

    /// Reads a channel for as long as somebody listens to it.
    async fn attend(self: Arc<Self>, channel: Arc<Channel>) {
        while !channel.is_over() {
            let Ok(look) = self.read(&channel, Channel::look).await else {
                return channel.close(NO_ENGINE);
            };
            // What is said of these messages has been noted once all who publish now have done so.
            drop(channel.publishing.write().await);
            channel.deliver(&look);
            if look.is_whole {
                channel.stirred.notified().await;
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        channel: &Arc<Channel>,
        read: impl FnOnce(&Channel, &Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let broken = |why: String| Error::new(Kind::Broken, why);
        let _one = self.looks.acquire().await.map_err(|error| broken(error.to_string()))?;
        let (channel, engine) = (Arc::clone(channel), Arc::clone(&self.engine));
        let done = tokio::task::spawn_blocking(move || read(&channel, &engine)).await;
        done.map_err(|error| broken(error.to_string()))?
    }
}

impl Subscription {
    /// Listens to these topics too, from now on: what is published when this has returned comes.
    pub(crate) async fn listen(&mut self, topics: Vec<Topic>) -> Result<()> {
        let mut all = self.topics.clone();
        all.extend(topics.iter().cloned());
        if all.len() > MOST_TOPICS {
            let text = format!("{} topics; who listens has at most {MOST_TOPICS}", all.len());
            return Err(Error::new(Kind::Invalid, text));
        }
        self.topics = all;
        for (name, topics) in by_channel(topics) {
            let channel = self.enter(&name)?;
            let newest: Position = self.hub.read(&channel, Channel::newest).await?;
            if channel.admit(self.id, topics, newest) {
                tokio::spawn(Arc::clone(&self.hub).attend(channel));
            }
        }
        Ok(())
    }

    /// No longer.
    pub(crate) fn forget(&mut self, topics: Vec<Topic>) {
        self.topics.retain(|topic| !topics.contains(topic));
        for (name, topics) in by_channel(topics) {
            let Some(channel) = self.channels.get(&name) else { continue };
            if channel.dismiss(self.id, &topics) {
                self.channels.remove(&name);
                self.hub.state.lock().leave(&name, self.id, &self.hub.engine);
            }
        }
    }

    /// What is listened to.
    pub(crate) const fn topics(&self) -> &BTreeSet<Topic> {
        &self.topics
    }

    /// The next for it.
    pub(crate) async fn next(&mut self) -> Frame {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Frame> {
        let frame = ready!(self.frames.poll_recv(context)).unwrap_or(Frame::Closing(CLOSING));
        self.listener.taken(&frame);
        Poll::Ready(frame)
    }

    /// A channel that nobody listened to is asked about first: what comes then is told.
    fn enter(&mut self, name: &str) -> Result<Arc<Channel>> {
        let mut state = self.hub.state.lock();
        let channel = if let Some(channel) = state.channels.get(name) {
            Arc::clone(channel)
        } else {
            self.hub.engine.subscribe_remote(name.to_owned())?;
            let channel = Arc::new(Channel::new(name));
            state.channels.insert(name.to_owned(), Arc::clone(&channel));
            channel
        };
        channel.enter(self.id, &self.listener);
        self.channels.insert(name.to_owned(), Arc::clone(&channel));
        Ok(channel)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        for name in self.channels.keys() {
            state.leave(name, self.id, &self.hub.engine);
        }
        state.listeners.remove(&self.id);
        drop(state);
        self.hub.gone.notify_waiters();
    }
}

impl State {
    fn leave(&mut self, name: &str, id: u64, engine: &Engine) {
        let Some(channel) = self.channels.get(name) else { return };
        if channel.leave(id) {
            channel.stirred.notify_one(); // whoever reads it may go
            self.channels.remove(name);
            // An engine that is closed tells nobody anything.
            let _told = engine.unsubscribe_remote(name.to_owned()).is_ok();
        }
    }
}

fn by_channel(topics: Vec<Topic>) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_channel: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for topic in topics {
        by_channel.entry(topic.channel).or_default().insert(topic.name);
    }
    by_channel
}
