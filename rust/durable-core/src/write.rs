//! What a turn leaves on disk: keys, records, and how each is written down.
//!
//! One key space, big-endian, a byte of prefix for each kind; a version byte begins each record.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::{EventId, FunctionId, RunId};
use crate::run::{History, RunEnd};
use crate::step::Memo;
use crate::time::Timestamp;

/// One record: its key and its bytes.
pub type Record = (Bytes, Bytes);

/// One change of the store. A turn's writes are applied all or none, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A record that is new: its key has never held one before, or holds none now.
    Insert {
        /// Its key.
        key: Bytes,
        /// Its bytes.
        value: Bytes,
    },
    /// A record that may replace another.
    Put {
        /// Its key.
        key: Bytes,
        /// Its bytes.
        value: Bytes,
    },
    /// A record goes.
    Delete {
        /// Its key.
        key: Bytes,
    },
    /// A run has ended: whoever carries this out reads the run's memos (keys [`memo_key`] from 0 to
    /// `memo_count`), puts [`history`] of them under [`history_key`], and deletes them and the run's
    /// own record ([`run_key`]).
    Archive {
        /// The run.
        run: RunId,
        /// How it ended.
        end: Box<RunEnd>,
        /// How many memos it has.
        memo_count: u32,
    },
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What it should have been.
    pub what: &'static str,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a record that should hold {} cannot be read: {}", self.what, self.why)
    }
}

impl std::error::Error for Unreadable {}

/// The version that begins each record written now.
pub const RECORD_VERSION: u8 = 7;

/// Prefix of the shard's own record.
pub const META: u8 = b'm';
/// Prefix of functions.
pub const FUNCTION: u8 = b'f';
/// Prefix of accepted events.
pub const EVENT: u8 = b'e';
/// Prefix of what is remembered of senders' event ids.
pub const DEDUP: u8 = b'd';
/// Prefix of live runs.
pub const RUN: u8 = b'r';
/// Prefix of memos of live runs.
pub const MEMO: u8 = b's';
/// Prefix of timers, which sort by the moment they are due.
pub const TIMER: u8 = b't';
/// Prefix of ended runs.
pub const HISTORY: u8 = b'h';
/// Prefix of how far each source of events has got.
pub const INBOX: u8 = b'i';

/// Prefix of ends of runs that are still to be told.
pub const UNTOLD: u8 = b'o';

/// Prefix of gates: throttles with their keys, and the arrival time of each.
pub const GATE: u8 = b'g';

/// Prefix of channels that have messages.
pub const CHANNEL: u8 = b'k';
/// Prefix of messages, by channel and number.
pub const MESSAGE: u8 = b'p';
/// Prefix of schedules: those that callers made by their ids, and those that are functions' triggers.
pub const SCHEDULE: u8 = b'c';

/// The prefixes that [`crate::Shard::load`] wants; a shard's timers it asks for window by window.
pub const LOADED_PREFIXES: [u8; 7] = [META, FUNCTION, INBOX, GATE, SCHEDULE, UNTOLD, RUN];

/// The key of the shard's own record.
pub const META_KEY: &[u8] = &[META];

fn key(prefix: u8, parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    bytes.push(prefix);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Bytes::from(bytes)
}

/// The key of a function.
pub fn function_key(id: FunctionId) -> Bytes {
    key(FUNCTION, &[&id.0.to_be_bytes()])
}

/// The key of an event.
pub fn event_key(id: EventId) -> Bytes {
    key(EVENT, &[id.as_bytes()])
}

/// The key of what is remembered of a sender's event id.
pub fn dedup_key(user_id: &str) -> Bytes {
    key(DEDUP, &[user_id.as_bytes()])
}

/// The key of a gate.
pub(crate) fn gate_key(name: &[u8]) -> Bytes {
    key(GATE, &[name])
}

/// The key of a live run.
pub fn run_key(id: RunId) -> Bytes {
    key(RUN, &[id.as_bytes()])
}

/// The key of a live run's memo.
pub fn memo_key(run: RunId, number: u32) -> Bytes {
    key(MEMO, &[run.as_bytes(), &number.to_be_bytes()])
}

/// The key of an ended run.
pub fn history_key(run: RunId) -> Bytes {
    key(HISTORY, &[run.as_bytes()])
}

/// The key of an end that is still to be told.
pub fn untold_key(run: RunId) -> Bytes {
    key(UNTOLD, &[run.as_bytes()])
}

/// The key of how far a source of events has got.
pub fn inbox_key(source: &str) -> Bytes {
    key(INBOX, &[source.as_bytes()])
}

/// The key of a channel; see [`crate::channel_id`].
pub fn channel_key(id: &[u8; 16]) -> Bytes {
    key(CHANNEL, &[id])
}

/// The key of a message.
pub fn message_key(channel: &[u8; 16], number: u64) -> Bytes {
    key(MESSAGE, &[channel, &number.to_be_bytes()])
}

/// The number of the message whose key this is.
pub fn number_in_key(key: &[u8]) -> Option<u64> {
    key.get(17..25).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

/// The key of a schedule that a caller made.
pub fn schedule_key(id: &str) -> Bytes {
    key(SCHEDULE, &[b"n", id.as_bytes()])
}

/// The beginning of the keys of all schedules that are functions' triggers.
pub fn all_trigger_keys() -> Bytes {
    key(SCHEDULE, &[b"t"])
}

/// The beginning of the keys of a function's own schedules.
pub fn trigger_keys(function: FunctionId) -> Bytes {
    key(SCHEDULE, &[b"t", &function.0.to_be_bytes()])
}

/// The key of a cron that is a function's trigger.
pub(crate) fn trigger_key(function: FunctionId, text: &str, zone: &str) -> Bytes {
    key(SCHEDULE, &[b"t", &function.0.to_be_bytes(), zone.as_bytes(), b"\0", text.as_bytes()])
}

/// The key of a timer: the moment, then what it is for.
pub(crate) fn timer_key(due: Timestamp, what: &[u8]) -> Bytes {
    key(TIMER, &[&due.as_nanos().to_be_bytes(), what])
}

/// The event, run, history or channel whose key this is, as its 16 bytes.
pub fn id_in_key(key: &[u8]) -> Option<[u8; 16]> {
    key.get(1..17).and_then(|bytes| bytes.try_into().ok())
}

/// A record's bytes.
pub fn encode<T: Serialize>(record: &T) -> Bytes {
    let mut room = [0; USUAL_BYTES];
    let [version, body @ ..] = &mut room;
    *version = RECORD_VERSION;
    let length = postcard::to_slice(record, body).map(|body| body.len().saturating_add(1));
    if let Some(bytes) = length.ok().and_then(|length| room.get(..length)) {
        return Bytes::copy_from_slice(bytes);
    }
    let bytes = postcard::to_extend(record, vec![RECORD_VERSION]);
    #[expect(clippy::expect_used, reason = "a growing vector refuses nothing, nor do our records")]
    let bytes = bytes.expect("records serialise into a vector");
    Bytes::from(bytes)
}

/// Longer records are written a second time, into memory that grows.
const USUAL_BYTES: usize = 512;

/// A record out of its bytes. `what` names it in the error.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok(record),
            Ok(_) => Err(Unreadable { what, why: "it is longer than it should be".to_owned() }),
            Err(error) => Err(Unreadable { what, why: error.to_string() }),
        },
        Some((version, _)) => Err(Unreadable {
            what,
            why: format!("it has version {version}, this program reads {RECORD_VERSION}"),
        }),
        None => Err(Unreadable { what, why: "it is empty".to_owned() }),
    }
}

/// Histories longer than this are compressed.
const COMPRESS_FROM: usize = 512;

/// The record of an ended run: one value, compressed where that pays.
pub fn history(end: RunEnd, memos: Vec<Memo>) -> Bytes {
    let plain = encode(&History { end, memos });
    if plain.len() < COMPRESS_FROM {
        return plain;
    }
    let mut packed = vec![COMPRESSED];
    packed.extend_from_slice(&lz4_flex::compress_prepend_size(&plain));
    Bytes::from(packed)
}

/// Begins a compressed record; no record version has this number.
const COMPRESSED: u8 = 0xff;

/// An ended run out of its record.
pub fn read_history(bytes: &[u8]) -> Result<History, Unreadable> {
    const WHAT: &str = "an ended run";
    let Some((&COMPRESSED, packed)) = bytes.split_first() else { return decode(WHAT, bytes) };
    let plain = lz4_flex::decompress_size_prepended(packed)
        .map_err(|error| Unreadable { what: WHAT, why: error.to_string() })?;
    decode(WHAT, &plain)
}
