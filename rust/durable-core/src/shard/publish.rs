//! Messages: kept in their channel's ring for whoever comes late; the oldest go, and in time the channel does.

use std::ops::Range;

use bytes::Bytes;

use super::expire::EXPIRE_CHANNEL;
use super::{Shard, Turn, read};
use crate::channel::{ChannelRecord, MessageRecord, NewMessage, channel_id};
use crate::effect::{Answer, Effect, Refusal};
use crate::flow::timer_wheel::Timer;
use crate::id::Ticket;
use crate::write::{Write, channel_key, encode, message_key};

impl Shard {
    /// Somebody publishes. `known`: the channel's record, where the store has one.
    pub(super) fn publish(
        &mut self,
        ticket: Ticket,
        message: NewMessage,
        known: Option<&Bytes>,
        turn: &mut Turn,
    ) {
        let ring = self.settings.limits.ring;
        let answer = match message.refusal(&ring) {
            Some((true, why)) => Answer::Refused(Refusal::TooLarge(why)),
            Some((false, why)) => Answer::Refused(Refusal::Invalid(why)),
            None => Answer::Published(self.keep_message(message, known, turn)),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    fn keep_message(&mut self, message: NewMessage, known: Option<&Bytes>, turn: &mut Turn) -> u64 {
        let (now, ring) = (self.now(), self.settings.limits.ring);
        let id = channel_id(&message.channel);
        let known = match self.turn.channels.remove(&id) {
            Some(channel) => channel,
            None => known.map(|bytes| read::<ChannelRecord>("a channel", bytes)),
        };
        let mut channel = known.unwrap_or_else(|| {
            self.start_timer(Timer { due: now.plus(ring.age), id, number: EXPIRE_CHANNEL }, turn);
            ChannelRecord::new(&message.channel, now)
        });
        let number = channel.append(message.weight(), now, &ring);
        let NewMessage { topic, data, .. } = message;
        let value = encode(&MessageRecord { topic, at: now, data });
        turn.writes.push(Write::Insert { key: message_key(&id, number), value });
        forget_messages(&id, channel.trim(now, &ring), turn);
        self.turn.channels.insert(id, Some(channel));
        number
    }

    /// A channel's timer has fired: it goes, unless something was published since.
    pub(super) fn expire_channel(&mut self, value: &Bytes, turn: &mut Turn) {
        let (now, ring) = (self.now(), self.settings.limits.ring);
        let stored = read::<ChannelRecord>("a channel", value);
        let id = channel_id(&stored.name);
        let Some(mut channel) = self.turn.channels.remove(&id).unwrap_or(Some(stored)) else {
            self.turn.channels.insert(id, None);
            return; // its timer fired twice, and it went with the first
        };
        forget_messages(&id, channel.trim(now, &ring), turn);
        let due = channel.forgotten_at(&ring);
        if let Some(due) = due {
            self.start_timer(Timer { due, id, number: EXPIRE_CHANNEL }, turn);
        }
        self.turn.channels.insert(id, due.map(|_| channel));
    }

    /// Writes the channels that this turn has changed.
    pub(super) fn close_channels(&mut self, turn: &mut Turn) {
        for (id, channel) in std::mem::take(&mut self.turn.channels) {
            let key = channel_key(&id);
            turn.writes.push(match channel {
                Some(channel) => Write::Put { key, value: encode(&channel) },
                None => Write::Delete { key },
            });
        }
    }
}

fn forget_messages(id: &[u8; 16], numbers: Range<u64>, turn: &mut Turn) {
    let keys = numbers.map(|number| message_key(id, number));
    turn.writes.extend(keys.map(|key| Write::Delete { key }));
}
