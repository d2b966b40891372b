//! Events: what comes in, what is kept of it, and what is refused.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::expr::EventView;
use crate::id::{EventId, FunctionId, RunId};
use crate::time::Timestamp;

/// The most bytes an event's data may have.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes the events of one send may have together.
pub(crate) const MAX_SEND_BYTES: usize = 64 * MAX_EVENT_BYTES;
/// How deep an event's data may nest.
pub const MAX_EVENT_DEPTH: u32 = 64;
/// The most bytes an event's name, or the id its sender gave, may have.
pub const MAX_NAME_BYTES: usize = 256;
/// Names that only the engine may send.
pub(crate) const RESERVED_PREFIXES: [&str; 2] = ["durable/", "inngest/"];

/// An event as its sender hands it in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewEvent {
    /// What happened, as in `shop/order.placed`.
    pub name: String,
    /// A JSON object, as bytes. The core never looks inside but to count its depth.
    pub data: Bytes,
    /// The sender's own id. For a day, and while its runs live, it starts no second run of a function.
    pub user_id: Option<String>,
    /// When it happened, if not now. In the future: its runs start then.
    pub ts: Option<Timestamp>,
    /// When its runs start, where that is another moment than `ts`: time here may be ahead of the sender's.
    pub starts_at: Option<Timestamp>,
    /// The version of its shape, opaque.
    pub version: Option<String>,
    /// Who it is about, JSON, opaque.
    pub user: Option<Bytes>,
}

/// Why an event started no run of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skip {
    /// The function's rate limit let no more through.
    RateLimit,
    /// Another event of the same idempotency key came within 24 hours before.
    Idempotency,
    /// The function is a singleton and has a run.
    Singleton,
    /// The function is paused.
    Paused,
}

impl Skip {
    /// The reason in words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::RateLimit => "its rate_limit let no more through",
            Self::Idempotency => "its idempotency let no more through",
            Self::Singleton => "it is a singleton and has a run",
            Self::Paused => "it is paused",
        }
    }

    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Idempotency => "idempotency",
            Self::Singleton => "singleton",
            Self::Paused => "paused",
        }
    }
}

/// An event on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What happened.
    pub name: String,
    /// The sender's own id.
    pub user_id: Option<String>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When it happened; the moment of acceptance where the sender did not say.
    pub ts: Timestamp,
    /// The version of its shape.
    pub version: Option<String>,
    /// Who it is about, JSON.
    pub user: Option<Bytes>,
    /// What it started, in the order of the functions' numbers.
    pub runs: Vec<(FunctionId, RunId)>,
    /// Which functions it would have started, and why it did not.
    pub skips: Vec<(FunctionId, Skip)>,
    /// The event with the same sender's id that came first and whose runs count for this one too.
    pub duplicate_of: Option<EventId>,
    /// The run that was repeated with these data, in the place of its own event's: nobody sent this one, and no wait
    /// sees it.
    pub made_for: Option<RunId>,
    /// A JSON object.
    pub data: Bytes,
}

impl EventRecord {
    /// Bytes of its data and of what is said of it beside.
    pub fn size(&self) -> usize {
        let user = self.user.as_ref().map_or(0, Bytes::len);
        let version = self.version.as_ref().map_or(0, String::len);
        self.data.len().saturating_add(user).saturating_add(version)
    }

    /// The latest run that repeats this one of its function.
    pub fn repeats_of(&self, function: FunctionId, run: RunId) -> Option<RunId> {
        let own = self.runs.iter().filter(|(of, _)| *of == function).map(|(_, run)| *run);
        own.max().filter(|last| *last > run)
    }

    /// The event as it was handed in, with this data.
    pub(crate) fn with_data(&self, data: Bytes) -> NewEvent {
        NewEvent {
            name: self.name.clone(),
            data,
            user_id: self.user_id.clone(),
            ts: Some(self.ts),
            starts_at: None,
            version: self.version.clone(),
            user: self.user.clone(),
        }
    }
}

/// What is remembered of a sender's event id: who came first, and what it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRecord {
    /// The event that came first.
    pub event: EventId,
    /// What the id has started so far.
    pub runs: Vec<(FunctionId, RunId)>,
}

impl EventRecord {
    /// As an expression sees it. `id`: its own, in letters.
    pub fn view<'a>(&'a self, id: &'a str) -> EventView<'a> {
        EventView {
            id: self.user_id.as_deref().unwrap_or(id),
            name: &self.name,
            data: &self.data,
            ts_ms: self.ts.as_millis(),
            user: self.user.as_deref(),
            version: self.version.as_deref(),
        }
    }
}

impl NewEvent {
    /// Why this event cannot be accepted from outside, in words for its sender.
    pub fn refusal(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() {
            return Some("an event has no name: give it one, as in 'shop/order.placed'".to_owned());
        }
        if self.is_reserved() {
            return Some(format!(
                "event '{name}': names beginning with 'durable/' or 'inngest/' are the engine's own; \
                 choose another prefix"
            ));
        }
        self.refusal_of_shape()
    }

    /// Whether only the engine may send it.
    pub(crate) fn is_reserved(&self) -> bool {
        RESERVED_PREFIXES.iter().any(|prefix| starts_with_ignoring_case(&self.name, prefix))
    }

    /// Bytes of its data and of what is said of it beside.
    pub fn size(&self) -> usize {
        let user = self.user.as_ref().map_or(0, Bytes::len);
        let version = self.version.as_ref().map_or(0, String::len);
        self.data.len().saturating_add(user).saturating_add(version)
    }

    /// Why this event cannot be accepted whoever sends it.
    pub(crate) fn refusal_of_shape(&self) -> Option<String> {
        let name = &self.name;
        if name.len() > MAX_NAME_BYTES {
            return Some(format!(
                "an event's name has {} bytes; the limit is {MAX_NAME_BYTES}",
                name.len()
            ));
        }
        if let Some(id) = self.user_id.as_ref().filter(|id| id.len() > MAX_NAME_BYTES) {
            return Some(format!(
                "event '{name}': its id has {} bytes; the limit is {MAX_NAME_BYTES}",
                id.len()
            ));
        }
        let size = self.size();
        if size > MAX_EVENT_BYTES {
            return Some(format!(
                "event '{name}': its data has {size} bytes of JSON; the limit is {MAX_EVENT_BYTES} \
                 (4 MB): store large things elsewhere and send a reference"
            ));
        }
        let depth = json_depth(&self.data).max(self.user.as_deref().map_or(0, json_depth));
        (depth > MAX_EVENT_DEPTH).then(|| {
            format!("event '{name}': its data nests {depth} deep; the limit is {MAX_EVENT_DEPTH}")
        })
    }
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// How deep the arrays and objects of a JSON text nest.
fn json_depth(json: &[u8]) -> u32 {
    let (mut depth, mut deepest) = (0_u32, 0_u32);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &'static str) -> NewEvent {
        NewEvent {
            name: name.to_owned(),
            data: Bytes::from_static(data.as_bytes()),
            ..NewEvent::default()
        }
    }

    #[test]
    fn reserved_names_are_refused_in_any_letter_case() {
        for name in ["durable/x", "Inngest/function.failed", "INNGEST/", "durable/"] {
            assert!(event(name, "{}").refusal().is_some(), "{name}");
        }
        for name in ["durables/x", "shop/durable/x", "d"] {
            assert_eq!(event(name, "{}").refusal(), None, "{name}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_of_texts_only() {
        assert_eq!(json_depth(br#"{"a":[[1],"]]]]{{{{\"[[["]}"#), 3);
        let deep = "[".repeat(65) + &"]".repeat(65);
        let event = NewEvent { name: "a".to_owned(), data: deep.into(), ..NewEvent::default() };
        assert!(event.refusal().is_some_and(|text| text.contains("65") && text.contains("64")));
    }
}
