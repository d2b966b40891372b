//! System events: what the engine itself tells of a run's end, and which ends it tells of.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::event::{EventRecord, NewEvent};
use crate::expr::EventView;
use crate::id::{EventId, RunId};
use crate::run::{Ending, RunEnd, json_text, put_json_text};
use crate::step::Outcome;

/// A system event has no more data, about: an expression looks through 6 MB at most, and one that is larger would
/// be heard by nobody who has a condition. The largest event and an error are less.
const MOST_BYTES: usize = 5 * 1024 * 1024;

/// What the engine tells when a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SystemEvent {
    /// A run has failed.
    Failed,
    /// A run was called off.
    Cancelled,
    /// A run has ended, in whatever way.
    Finished,
}

impl SystemEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Cancelled, Self::Finished];

    /// The event's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "durable/function.failed",
            Self::Cancelled => "durable/function.cancelled",
            Self::Finished => "durable/function.finished",
        }
    }

    /// What an end is told as, in order.
    pub const fn of(ending: Ending) -> &'static [Self] {
        match ending {
            Ending::Completed => &[Self::Finished],
            Ending::Failed => &[Self::Failed, Self::Finished],
            Ending::Cancelled => &[Self::Cancelled, Self::Finished],
        }
    }

    /// Its id is that of the run: an end is told in one of these at most.
    const fn has_id_of_run(self) -> bool {
        match self {
            Self::Failed | Self::Cancelled => true,
            Self::Finished => false,
        }
    }
}

/// What started a run, as far as it decides what is told of its own end: ends that tell of ends tell of no
/// further ones, or two functions could keep each other busy for ever. The silent ones come last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StartedBy {
    /// Anything else.
    #[default]
    Elsewhere,
    /// The end of a run that was called off: it is not told that this one was.
    Cancelled,
    /// The end of a run, told as failed or finished: nothing is told.
    Ended,
}

impl StartedBy {
    /// Of a run that an event of this name starts.
    pub fn of(event: &str) -> Self {
        let is = |kind: &SystemEvent| kind.name() == event;
        match SystemEvent::ALL.into_iter().find(is) {
            None => Self::Elsewhere,
            Some(SystemEvent::Cancelled) => Self::Cancelled,
            Some(SystemEvent::Failed | SystemEvent::Finished) => Self::Ended,
        }
    }

    /// Whether a run that this started has its end told in this way.
    pub fn tells(self, event: SystemEvent) -> bool {
        match self {
            Self::Elsewhere => true,
            Self::Cancelled => event != SystemEvent::Cancelled,
            Self::Ended => false,
        }
    }
}

/// An end that is still to be told, on disk from the turn of the end to that in which it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// In which ways.
    pub as_what: Vec<SystemEvent>,
    /// The events that started the run: they are kept as long.
    pub events: Vec<EventId>,
}

/// The system event that tells of a run's end. `function` is its function's name, `events` what started it.
pub(crate) fn compose(
    kind: SystemEvent,
    (run, function): (RunId, &str),
    end: &RunEnd,
    events: &[(EventId, EventRecord)],
) -> NewEvent {
    let (word, outcome) = outcome(end);
    let (first, all) = envelopes(events, outcome.len());
    let mut json = BytesMut::with_capacity(outcome.len().saturating_add(length(&first, &all)));
    // The function's name comes first: conditions ask for it.
    let head = format!("{{\"function_id\":{},\"run_id\":\"{run}\"", json_text(function));
    json.put_slice(head.as_bytes());
    json.put_slice(b",\"event\":");
    json.put_slice(&first);
    json.put_slice(b",\"events\":[");
    json.put_slice(&all.join(&b","[..]));
    json.put_slice(b"],\"");
    json.put_slice(word);
    json.put_slice(b"\":");
    json.put_slice(&outcome);
    json.put_slice(b"}");
    NewEvent {
        name: kind.name().to_owned(),
        data: json.freeze(),
        user_id: kind.has_id_of_run().then(|| run.to_string()),
        ts: Some(end.ended_at),
        ..NewEvent::default()
    }
}

/// What came of a run, and under which key that is told.
fn outcome(end: &RunEnd) -> (&'static [u8], Bytes) {
    match (end.ending, &end.outcome) {
        (Ending::Cancelled, Outcome::Data(why) | Outcome::Error(why)) => {
            let reason = message_of(why).unwrap_or_default();
            (b"reason", Bytes::from(json_text(&reason)))
        }
        (Ending::Completed | Ending::Failed, Outcome::Data(result)) => (b"result", result.clone()),
        (Ending::Completed | Ending::Failed, Outcome::Error(error)) => (b"error", error.clone()),
    }
}

/// The first event, and all of them: without the data of all, or of any, where that is too much.
fn envelopes(events: &[(EventId, EventRecord)], more: usize) -> (Bytes, Vec<Bytes>) {
    let with = |write: fn(EventView<'_>) -> Bytes| {
        let one = |(id, event): &(EventId, EventRecord)| write(event.view(&id.to_string()));
        let all = events.iter().map(one).collect::<Vec<Bytes>>();
        (all.first().cloned().unwrap_or_else(|| Bytes::from_static(b"null")), all)
    };
    let fits = |first: &Bytes, all: &[Bytes]| length(first, all).saturating_add(more) <= MOST_BYTES;
    let (first, all) = with(envelope);
    if fits(&first, &all) {
        return (first, all);
    }
    let (short, all) = with(without_data);
    (if fits(&first, &all) { first } else { short }, all)
}

fn length(first: &Bytes, all: &[Bytes]) -> usize {
    all.iter().fold(first.len(), |sum, one| sum.saturating_add(one.len()))
}

/// An event as JSON, as its handler sees it.
pub(crate) fn envelope(event: EventView<'_>) -> Bytes {
    let mut json = brief(event, event.data.len());
    if let Some(version) = event.version {
        json.extend_from_slice(b",\"v\":");
        json.extend_from_slice(json_text(version).as_bytes());
    }
    if let Some(user) = event.user {
        json.extend_from_slice(b",\"user\":");
        json.extend_from_slice(user);
    }
    json.extend_from_slice(b",\"data\":");
    json.extend_from_slice(if event.data.is_empty() { b"{}" } else { event.data });
    json.push(b'}');
    Bytes::from(json)
}

/// The same without its data.
fn without_data(event: EventView<'_>) -> Bytes {
    let mut json = brief(event, 0);
    json.extend_from_slice(b",\"data\":null}");
    Bytes::from(json)
}

/// What every event has, with room for so many bytes more.
fn brief(event: EventView<'_>, more: usize) -> Vec<u8> {
    let room = event.name.len().saturating_add(event.id.len()).saturating_add(more);
    let mut json = String::with_capacity(room.saturating_add(64));
    json.push_str("{\"name\":");
    put_json_text(&mut json, event.name);
    json.push_str(",\"id\":");
    put_json_text(&mut json, event.id);
    let _written = write!(json, ",\"ts\":{}", event.ts_ms).is_ok();
    json.into_bytes()
}

/// Why a run was called off, out of its error.
fn message_of(error: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    serde_json::from_slice(error).ok().map(|Said { message }| message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FunctionId;
    use crate::time::Timestamp;

    fn end(ending: Ending, outcome: Outcome) -> RunEnd {
        RunEnd {
            rerun_of: None,
            function: FunctionId(0),
            event: EventId::default(),
            rest: Vec::new(),
            ending,
            outcome,
            created_at: Timestamp::default(),
            started_at: None,
            ended_at: Timestamp::from_millis(7),
            unrecorded: Vec::new(),
        }
    }

    fn told(kind: SystemEvent, end: &RunEnd) -> NewEvent {
        let event = EventRecord {
            name: "shop/\"odd\"".to_owned(),
            user_id: Some("o1".to_owned()),
            received_at: Timestamp::from_millis(3),
            ts: Timestamp::from_millis(2),
            version: Some("v2".to_owned()),
            user: Some(Bytes::from_static(b"{\"id\":1}")),
            runs: Vec::new(),
            skips: Vec::new(),
            duplicate_of: None,
            made_for: None,
            data: Bytes::from_static(b"{\"n\":1}"),
        };
        compose(kind, (RunId::default(), "ship"), end, &[(EventId::default(), event)])
    }

    #[test]
    fn it_says_who_ended_why_and_how() {
        let error = Outcome::Error(Bytes::from_static(b"{\"name\":\"Oops\"}"));
        let failed = told(SystemEvent::Failed, &end(Ending::Failed, error));
        let run = RunId::default();
        let envelope = "{\"name\":\"shop/\\\"odd\\\"\",\"id\":\"o1\",\"ts\":2,\"v\":\"v2\",\"user\":{\"id\":1},\
                        \"data\":{\"n\":1}}";
        let head = format!("{{\"function_id\":\"ship\",\"run_id\":\"{run}\"");
        let events = format!("\"event\":{envelope},\"events\":[{envelope}]");
        assert_eq!(failed.data, format!("{head},{events},\"error\":{{\"name\":\"Oops\"}}}}"));
        assert_eq!(
            (failed.user_id, failed.ts),
            (Some(run.to_string()), Some(Timestamp::from_millis(7)))
        );

        let result = Outcome::Data(Bytes::from_static(b"[1]"));
        let finished = told(SystemEvent::Finished, &end(Ending::Completed, result));
        assert_eq!(finished.data, format!("{head},{events},\"result\":[1]}}"));
        assert_eq!(finished.user_id, None);

        let why = crate::run::engine_error("RunCancelled", "it was called off");
        let cancelled = told(SystemEvent::Cancelled, &end(Ending::Cancelled, Outcome::Error(why)));
        assert_eq!(cancelled.data, format!("{head},{events},\"reason\":\"it was called off\"}}"));
        assert_eq!(cancelled.user_id, Some(run.to_string()));
    }

    const MEGABYTE: usize = 1024 * 1024;

    #[test]
    fn what_would_be_too_much_is_told_without_the_events_data() {
        let event = |size: usize| EventRecord {
            name: "a".to_owned(),
            user_id: None,
            received_at: Timestamp::default(),
            ts: Timestamp::default(),
            version: None,
            user: None,
            runs: Vec::new(),
            skips: Vec::new(),
            duplicate_of: None,
            made_for: None,
            data: Bytes::from(format!("[{}]", "1".repeat(size))),
        };
        let told = |sizes: &[usize], result: usize| {
            let events: Vec<_> =
                sizes.iter().map(|size| (EventId::default(), event(*size))).collect();
            let result = Outcome::Data(Bytes::from("2".repeat(result)));
            let end = end(Ending::Completed, result);
            let run = (RunId::default(), "f");
            let data = compose(SystemEvent::Finished, run, &end, &events).data;
            let text = String::from_utf8(data.to_vec()).unwrap();
            assert!(text.len() < 6_000_000, "{}", text.len());
            let count = |part: &str| text.matches(part).count();
            assert_eq!(count("\"name\":\"a\""), sizes.len() + 1);
            (count("[1"), count("\"data\":null"), count(":22") == 1)
        };
        assert_eq!(told(&[MEGABYTE, MEGABYTE], MEGABYTE), (3, 0, true));
        assert_eq!(told(&[4 * MEGABYTE], 9), (1, 1, true));
        assert_eq!(told(&[4 * MEGABYTE, 4 * MEGABYTE], 9), (1, 2, true));
        assert_eq!(told(&[4 * MEGABYTE], 4 * MEGABYTE), (0, 2, true));
    }

    #[test]
    fn ends_that_tell_of_ends_tell_of_no_further_ones() {
        let told = |event: &str| {
            let tells = |kind: &SystemEvent| StartedBy::of(event).tells(*kind);
            SystemEvent::ALL.into_iter().filter(tells).collect::<Vec<_>>()
        };
        assert_eq!(told("shop/order.placed"), SystemEvent::ALL);
        assert_eq!(told("durable/function.invoked"), SystemEvent::ALL);
        assert_eq!(told("durable/function.failed"), []);
        assert_eq!(told("durable/function.finished"), []);
        let of_cancelled = [SystemEvent::Failed, SystemEvent::Finished];
        assert_eq!(told("durable/function.cancelled"), of_cancelled);
    }
}
