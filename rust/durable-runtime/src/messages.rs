//! Messages in and out: published on a channel, read again from wherever a listener left off.

use bytes::Bytes;
use durable_core::{
    Answer, ChannelRecord, Command, MessageRecord, NewMessage, Ticket, channel_id, write,
};
use durable_store::KeyRange;

use crate::engine::{Engine, unexpected};
use crate::error::Result;
use crate::mailbox::{Listener, Message};

/// Some of a channel's messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// Each with its number, in their order.
    pub messages: Vec<(u64, MessageRecord)>,
    /// Messages behind the number that was asked from that are gone; of a channel that was forgotten since
    /// more than there were.
    pub missed: u64,
    /// The number behind the channel's last message; 0 where it has none.
    pub next: u64,
}

impl Engine {
    /// Publishes a message; [`crate::Item::Answer`] comes with its number once it is durable.
    pub fn publish(&self, ticket: u64, message: NewMessage) -> Result<()> {
        self.tell(Command::Publish { ticket: Ticket(ticket), message, known: None })
    }

    /// The same for a thread that may block.
    pub fn publish_wait(&self, message: NewMessage) -> Result<u64> {
        let answer = self.ask(|ticket| Command::Publish { ticket, message, known: None })?;
        let Answer::Published(number) = answer else { return Err(unexpected(&answer)) };
        Ok(number)
    }

    /// Asks for [`crate::Item::Stirred`] now and whenever there is something new on a channel: a message, or
    /// on one named by a run's id, something that the run has recorded.
    pub fn subscribe(&self, channel: String) -> Result<()> {
        self.post(Message::Subscribe(Listener::Local, channel))
    }

    /// No longer.
    pub fn unsubscribe(&self, channel: String) -> Result<()> {
        self.post(Message::Unsubscribe(Listener::Local, channel))
    }

    /// The same for whoever takes from [`Self::remote_outbox`].
    pub fn subscribe_remote(&self, channel: String) -> Result<()> {
        self.post(Message::Subscribe(Listener::Remote, channel))
    }

    /// No longer.
    pub fn unsubscribe_remote(&self, channel: String) -> Result<()> {
        self.post(Message::Unsubscribe(Listener::Remote, channel))
    }

    /// Messages of a channel behind the one of this number, at most so many; behind 0: all that are kept.
    pub fn messages(&self, channel: &str, after: u64, limit: usize) -> Result<MessagePage> {
        let id = channel_id(channel);
        self.shared().read(|view| {
            let Some(record) = view.get(&write::channel_key(&id))? else {
                return Ok(MessagePage::default());
            };
            let record: ChannelRecord = write::decode("a channel", &record)?;
            let mut page = MessagePage { next: record.next, ..MessagePage::default() };
            let range = KeyRange {
                start: write::message_key(&id, after.saturating_add(1)),
                end: Some(after_all(&id)),
            };
            for found in view.scan(range).take(limit) {
                let (key, value) = found?;
                let number = write::number_in_key(&key).unwrap_or_default();
                page.messages.push((number, write::decode("a message", &value)?));
            }
            // What was read is what was there: more may have gone since the channel's record was read.
            let first = page.messages.first().map_or(record.first(), |(number, _)| *number);
            let expected = if after == 0 { record.born } else { after.saturating_add(1) };
            page.missed = first.saturating_sub(expected);
            Ok(page)
        })
    }
}

/// The key behind all messages of a channel.
fn after_all(id: &[u8; 16]) -> Bytes {
    write::message_key(id, u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Config, Item};

    fn message(channel: &str) -> NewMessage {
        let (channel, topic) = (channel.to_owned(), "t".to_owned());
        NewMessage { channel, topic, data: Bytes::from_static(b"1") }
    }

    /// Whoever listens beside the other executors, and whoever does here: each hears of its own channels.
    #[test]
    fn those_who_listen_elsewhere_are_told_there() {
        const LIMIT: Duration = Duration::from_secs(30);
        let engine = Engine::open(&Config::new("memory:")).unwrap();
        let stirred = |channel: &str| vec![Item::Stirred(channel.to_owned())];
        engine.subscribe("here".to_owned()).unwrap();
        assert_eq!(engine.receive(LIMIT), stirred("here"));
        engine.subscribe_remote("there".to_owned()).unwrap();
        assert_eq!(engine.remote_outbox().receive(LIMIT), stirred("there"));
        for channel in ["here", "there", "nowhere"] {
            engine.publish_wait(message(channel)).unwrap();
        }
        assert_eq!(engine.receive(LIMIT), stirred("here"));
        assert_eq!(engine.remote_outbox().receive(LIMIT), stirred("there"));
        engine.unsubscribe_remote("there".to_owned()).unwrap();
        engine.publish_wait(message("there")).unwrap();
        assert!(engine.remote_outbox().is_empty());
        assert!(engine.messages("there", 0, 9).unwrap().messages.len() == 2);
    }
}
