//! A channel that somebody listens to: who does, and what is new on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use durable_core::{Memo, MessageRecord, Outcome, RunId, RunStatus, RunView, Timestamp};
use durable_runtime::{Engine, Result};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, RwLock};

use super::listener::{Frame, Listener};
use super::message::{self, Message, Origin};
use super::{RUN, STEP};
use crate::names::uuid_of;

/// So many messages are read at a time.
const PAGE: usize = 256;
/// The number behind all that a channel can have.
const EVERYTHING: u64 = u64::MAX >> 1;

/// See the file's first line.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    run: Option<RunId>,
    /// There may be something new.
    pub(super) stirred: Notify,
    /// Held by those who publish over HTTP until [`Self::note`] knows of what they said beside the data.
    pub(super) publishing: RwLock<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How far it has been read; `None`: nobody was let in yet.
    position: Option<Position>,
    members: BTreeMap<u64, Member>,
    /// By the numbers of messages that have not been read yet.
    origins: BTreeMap<u64, Origin>,
    is_over: bool,
}

#[derive(Debug)]
struct Member {
    listener: Arc<Listener>,
    /// From where each of its topics is told.
    topics: BTreeMap<String, Position>,
}

/// How far a channel has been read: its last message's number, and how much of a run's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    number: u64,
    records: usize,
}

/// What one look at a channel found.
#[derive(Debug)]
pub(super) struct Look {
    news: Vec<News>,
    position: Position,
    /// The function of the run that it is the channel of, as SDKs know it.
    function: Option<String>,
    /// Nothing more is there now.
    pub(super) is_whole: bool,
}

#[derive(Debug)]
struct News {
    at: Timestamp,
    what: What,
}

#[derive(Debug)]
enum What {
    /// With its number.
    Message(u64, MessageRecord),
    /// With how many records there are up to this one.
    Step(usize, Memo),
    End(usize, RunStatus, Option<Outcome>),
}

impl Channel {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            run: RunId::parse(name).filter(|run| run.to_string() == name),
            stirred: Notify::new(),
            publishing: RwLock::default(),
            state: Mutex::default(),
        }
    }

    /// Somebody will listen: the channel is kept from now on.
    pub(super) fn enter(&self, id: u64, listener: &Arc<Listener>) {
        let new = || Member { listener: Arc::clone(listener), topics: BTreeMap::new() };
        self.state.lock().members.entry(id).or_insert_with(new);
    }

    /// Tells it of these topics from there on. True: nobody reads the channel yet.
    pub(super) fn admit(&self, id: u64, topics: BTreeSet<String>, from: Position) -> bool {
        let mut state = self.state.lock();
        if let Some(member) = state.members.get_mut(&id) {
            for topic in topics {
                member.topics.entry(topic).or_insert(from);
            }
        }
        let is_first = state.position.is_none();
        state.position.get_or_insert(from);
        is_first
    }

    /// It does not listen to these any more. True: nor to others of this channel.
    pub(super) fn dismiss(&self, id: u64, topics: &BTreeSet<String>) -> bool {
        let mut state = self.state.lock();
        let Some(member) = state.members.get_mut(&id) else { return true };
        member.topics.retain(|topic, _| !topics.contains(topic));
        member.topics.is_empty()
    }

    /// It is gone. True: nobody is left.
    pub(super) fn leave(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        state.members.remove(&id);
        state.is_over = state.members.is_empty();
        state.is_over
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Nothing can be read any more, and that is why.
    pub(super) fn close(&self, why: &'static str) {
        for member in self.state.lock().members.values() {
            member.listener.close(why);
        }
    }

    /// What was said of the message with this number.
    pub(super) fn note(&self, number: u64, origin: Origin) {
        let mut state = self.state.lock();
        if state.position.is_some_and(|position| position.number < number) {
            state.origins.insert(number, origin);
        }
    }

    /// Gives what is kept nowhere to those who listen to this topic.
    pub(super) fn pass_on(&self, topic: &str, frame: &Frame) {
        for member in self.state.lock().members.values() {
            if member.topics.contains_key(topic) {
                member.listener.push(frame);
            }
        }
    }

    /// Behind all that there is. Blocks.
    pub(super) fn newest(&self, engine: &Engine) -> Result<Position> {
        let run = self.run(engine)?;
        let next = engine.messages(&self.name, EVERYTHING, 1)?.next;
        Ok(Position {
            number: next.saturating_sub(1),
            records: run.map_or(0, |run| {
                run.memos.len().saturating_add(usize::from(run.ended_at.is_some()))
            }),
        })
    }

    /// What is new. The run first, so that what was published before its end comes before it. Blocks.
    pub(super) fn look(&self, engine: &Engine) -> Result<Look> {
        let mut position = self.state.lock().position.unwrap_or_default();
        let run = self.run(engine)?;
        let page = engine.messages(&self.name, position.number, PAGE)?;
        let is_whole = page.messages.len() < PAGE;
        let mut news = Vec::new();
        for (number, record) in page.messages {
            position.number = number;
            news.push(News { at: record.at, what: What::Message(number, record) });
        }
        let mut function = None;
        if let Some(run) = run
            && run.memos.len().saturating_add(usize::from(run.ended_at.is_some()))
                > position.records
        {
            let functions = engine.functions()?;
            function = functions.get(run.function.index()).map(|of| uuid_of(&of.spec.name));
            position.records = put_records(run, position.records, is_whole, &mut news);
        }
        news.sort_by_key(|news| news.at); // those of one moment stay as they are
        Ok(Look { news, position, function, is_whole })
    }

    /// Tells those who listen.
    pub(super) fn deliver(&self, look: &Look) {
        let mut state = self.state.lock();
        for news in &look.news {
            let origin = match &news.what {
                What::Message(number, _) => state.origins.remove(number).unwrap_or_default(),
                What::Step(..) | What::End(..) => self.origin_of_records(news),
            };
            for topic in news.topics() {
                let frame = || news.frame((&self.name, topic), &origin, look.function.as_deref());
                state.tell(topic, news, frame);
            }
        }
        state.position = Some(look.position);
        let number = look.position.number.saturating_add(1);
        state.origins = state.origins.split_off(&number);
    }

    fn run(&self, engine: &Engine) -> Result<Option<RunView>> {
        self.run.map_or(Ok(None), |run| engine.run(run))
    }

    /// A record is of the run that the channel is named by.
    fn origin_of_records(&self, news: &News) -> Origin {
        let metadata = match &news.what {
            What::Message(..) => None,
            What::Step(_, memo) => {
                let status = if failed(&memo.outcome) { "failed" } else { "completed" };
                Some(json!({"step": memo.name, "kind": memo.kind.as_str(), "status": status}))
            }
            What::End(_, status, _) => Some(json!({"status": status.as_str()})),
        };
        let metadata = metadata.map(|json| json.to_string().into());
        Origin { run: Some(self.name.clone()), metadata }
    }
}

impl State {
    /// Written once for all who listen to the topic, and not at all where nobody does.
    fn tell(&self, topic: &str, news: &News, write: impl FnOnce() -> Frame) {
        let hears =
            |member: &&Member| member.topics.get(topic).is_some_and(|from| news.is_behind(*from));
        let mut members = self.members.values().filter(hears).peekable();
        if members.peek().is_some() {
            let frame = write();
            members.for_each(|member| member.listener.push(&frame));
        }
    }
}

impl News {
    fn is_behind(&self, position: Position) -> bool {
        match self.what {
            What::Message(number, _) => number > position.number,
            What::Step(records, _) | What::End(records, ..) => records > position.records,
        }
    }

    /// A step is told under its own name as well.
    fn topics(&self) -> Vec<&str> {
        match &self.what {
            What::Message(_, record) => vec![&record.topic],
            What::Step(_, memo) => vec![STEP, &memo.name],
            What::End(..) => vec![RUN],
        }
    }

    fn frame(&self, place: (&str, &str), origin: &Origin, function: Option<&str>) -> Frame {
        let (kind, data) = match &self.what {
            What::Message(_, record) => ("data", record.data.clone()),
            What::Step(_, memo) => ("step", outcome(Some(&memo.outcome))),
            What::End(_, _, of_run) => ("run", outcome(of_run.as_ref())),
        };
        Message {
            data: message::json(&data),
            metadata: origin.metadata.as_deref().and_then(message::json),
            run_id: origin.run.as_deref(),
            fn_id: function.filter(|_| kind != "data"),
            ..Message::new(kind, place, self.at)
        }
        .frame()
    }
}

/// What a run has recorded behind so many; how many records there are then. Its end is told last.
fn put_records(run: RunView, seen: usize, is_last: bool, news: &mut Vec<News>) -> usize {
    let mut count = run.memos.len().max(seen);
    for (place, memo) in run.memos.into_iter().enumerate().skip(seen) {
        let what = What::Step(place.saturating_add(1), memo);
        let What::Step(_, memo) = &what else { continue };
        news.push(News { at: memo.recorded_at, what });
    }
    if let Some(at) = run.ended_at.filter(|_| is_last) {
        count = count.saturating_add(1);
        news.push(News { at, what: What::End(count, run.status, run.outcome) });
    }
    count
}

fn failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Data(_) => false,
        Outcome::Error(_) => true,
    }
}

/// What came of it as those who listen see it: of an error its name and its message, and nothing of the code.
fn outcome(of: Option<&Outcome>) -> Bytes {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        name: String,
        message: String,
    }
    match of {
        Some(Outcome::Data(json)) if !json.is_empty() => json.clone(),
        Some(Outcome::Data(_)) | None => Bytes::from_static(b"null"),
        Some(Outcome::Error(error)) => {
            let said: Said = serde_json::from_slice(error).unwrap_or_default();
            json!({"name": said.name, "message": said.message}).to_string().into()
        }
    }
}
