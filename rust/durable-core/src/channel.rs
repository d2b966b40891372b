//! Channels: what is published is kept for a while, so that who comes late or comes back misses nothing.
//!
//! A channel's messages are a ring that is cut off in blocks: its record knows of each block how much it
//! holds, so that the oldest can go without being read.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

use crate::event::MAX_NAME_BYTES;
use crate::time::Timestamp;

/// A ring is cut off by so much of what it may hold.
const BLOCKS: u32 = 16;
/// Topics that begin with this are the engine's own.
const RESERVED: char = '$';

/// A message as its sender hands it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Where it is published.
    pub channel: String,
    /// What it is about.
    pub topic: String,
    /// JSON, opaque.
    pub data: Bytes,
}

/// A message on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// What it is about.
    pub topic: String,
    /// When it was published.
    pub at: Timestamp,
    /// JSON.
    pub data: Bytes,
}

/// How much of each channel is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Messages at most.
    pub messages: u32,
    /// Bytes of their topics and data at most.
    pub bytes: u64,
    /// For so long, and by a sixteenth longer at most.
    pub age: Duration,
    /// Bytes of one message at most.
    pub message_bytes: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            messages: 1_024,
            bytes: 4 * 1024 * 1024,
            age: Duration::from_hours(1),
            message_bytes: 512 * 1024,
        }
    }
}

/// A channel on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Its name.
    pub name: String,
    /// The number of its first message since it was last forgotten.
    pub born: u64,
    /// The number of its next message.
    pub next: u64,
    blocks: VecDeque<Block>,
}

/// Messages that follow each other and go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    count: u32,
    bytes: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl NewMessage {
    /// Why this message cannot be published, in words for its sender; whether it is its size.
    pub(crate) fn refusal(&self, ring: &Ring) -> Option<(bool, String)> {
        let (channel, topic, size) = (&self.channel, &self.topic, self.size());
        for (what, name) in [("channel", channel), ("topic", topic)] {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                let text = format!("a {what}'s name has 1 to {MAX_NAME_BYTES} bytes: '{name}'");
                return Some((false, text));
            }
        }
        if topic.starts_with(RESERVED) {
            let text = format!("topic '{topic}': those that begin with '$' are the engine's own");
            return Some((false, text));
        }
        (size > ring.message_bytes).then(|| {
            let most = ring.message_bytes;
            let text = format!(
                "a message to '{channel}' has {size} bytes; the limit is {most}: publish a reference to it"
            );
            (true, text)
        })
    }

    fn size(&self) -> usize {
        self.topic.len().saturating_add(self.data.len())
    }

    /// What it takes of the ring.
    pub(crate) fn weight(&self) -> u64 {
        u64::try_from(self.size()).unwrap_or(u64::MAX)
    }
}

impl ChannelRecord {
    /// A channel that nobody has published on for a while, or ever. Its numbers go on from the microsecond,
    /// so that none is given twice although nothing is remembered of what was before.
    pub(crate) fn new(name: &str, now: Timestamp) -> Self {
        let born = now.as_nanos() / 1_000;
        Self { name: name.to_owned(), born, next: born, blocks: VecDeque::new() }
    }

    /// The number of the oldest message that is kept.
    pub fn first(&self) -> u64 {
        let count = self.blocks.iter().fold(0_u64, |sum, b| sum.saturating_add(b.count.into()));
        self.next.saturating_sub(count)
    }

    /// Takes a message of this weight in; its number.
    pub(crate) fn append(&mut self, weight: u64, now: Timestamp, ring: &Ring) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        if let Some(block) = self.blocks.back_mut().filter(|block| !block.is_full(now, ring)) {
            block.count = block.count.saturating_add(1);
            block.bytes = block.bytes.saturating_add(weight);
            block.last_at = now;
        } else {
            let block = Block { count: 1, bytes: weight, first_at: now, last_at: now };
            self.blocks.push_back(block);
        }
        number
    }

    /// Drops what is too much or too old; the numbers of what goes.
    pub(crate) fn trim(&mut self, now: Timestamp, ring: &Ring) -> Range<u64> {
        let first = self.first();
        let mut count = self.next.saturating_sub(first);
        let mut bytes = self.blocks.iter().fold(0_u64, |sum, b| sum.saturating_add(b.bytes));
        while let Some(block) = self.blocks.front().copied() {
            let is_old = block.last_at.plus(ring.age) <= now;
            if !is_old && count <= ring.messages.into() && bytes <= ring.bytes {
                break;
            }
            self.blocks.pop_front();
            count = count.saturating_sub(block.count.into());
            bytes = bytes.saturating_sub(block.bytes);
        }
        first..self.first()
    }

    /// When its youngest message is too old to be kept; `None` where none is kept.
    pub(crate) fn forgotten_at(&self, ring: &Ring) -> Option<Timestamp> {
        self.blocks.back().map(|block| block.last_at.plus(ring.age))
    }
}

impl Block {
    fn is_full(&self, now: Timestamp, ring: &Ring) -> bool {
        self.count.saturating_mul(BLOCKS) >= ring.messages
            || self.bytes.saturating_mul(BLOCKS.into()) >= ring.bytes
            || now.since(self.first_at).saturating_mul(BLOCKS) >= ring.age
    }
}

/// What stands for a channel's name in keys: `SipHash` 2-4 of 128 bits (Aumasson, Bernstein, 2012), the same in
/// each process.
pub fn channel_id(name: &str) -> [u8; 16] {
    let mut hasher = SipHasher24::new();
    hasher.write(name.as_bytes());
    hasher.finish128().as_u128().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RING: Ring =
        Ring { messages: 32, bytes: 160, age: Duration::from_secs(160), message_bytes: 40 };

    fn channel() -> ChannelRecord {
        ChannelRecord::new("a", Timestamp::from_millis(1))
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_too_much_or_too_old() {
        for (weight, pause, kept) in
            [(1, Duration::ZERO, 32), (10, Duration::ZERO, 16), (0, SECOND * 10, 16)]
        {
            let (mut channel, mut now) = (channel(), Timestamp::from_millis(1));
            for number in 0..100_u64 {
                assert_eq!(channel.append(weight, now, &RING), channel.born + number);
                let gone = channel.trim(now, &RING);
                assert_eq!(gone.end, channel.first(), "what is kept begins behind what went");
                let count = channel.next - channel.first();
                assert!(count <= kept, "{count} are kept of weight {weight}");
                assert!(count >= (number + 1).min(kept - 2), "{count} after {number}");
                now = now.plus(pause);
            }
        }
    }

    #[test]
    fn a_channel_that_comes_again_gives_no_number_twice() {
        let mut first = channel();
        for _ in 0..1_000 {
            first.append(1, Timestamp::from_millis(1), &RING);
        }
        assert!(ChannelRecord::new("a", Timestamp::from_millis(3)).born > first.next);
    }

    #[test]
    fn all_of_it_goes_with_its_last_message() {
        let (mut channel, now) = (channel(), Timestamp::from_millis(1));
        assert_eq!(channel.forgotten_at(&RING), None);
        channel.append(1, now, &RING);
        let due = channel.forgotten_at(&RING).unwrap();
        assert!(channel.trim(due.minus(SECOND), &RING).is_empty());
        assert_eq!(channel.trim(due, &RING), channel.born..channel.next);
        assert_eq!(channel.forgotten_at(&RING), None);
    }
}
