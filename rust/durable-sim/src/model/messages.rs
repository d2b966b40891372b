//! Messages: kept in order under numbers that only rise, the oldest gone where there were too many, too
//! much, or too old, and all of them in time.

use std::collections::BTreeMap;

use durable_core::write::{CHANNEL, MESSAGE, id_in_key, number_in_key};
use durable_core::{
    Answer, ChannelRecord, Command, Effect, MessageRecord, NewMessage, Refusal, Ticket, Timestamp,
    channel_id,
};

use super::{Model, read, require};
use crate::driver::Sealed;
use crate::tally::Tally;

/// A channel's messages that are kept, and its last number ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    kept: BTreeMap<u64, (usize, Timestamp)>,
    last: u64,
}

/// A ring is cut off by so much of what it may hold, about.
const BLOCKS: usize = 16;

impl Model {
    /// Every message of a turn is answered and kept as it was published, and what goes had to go.
    pub(super) fn check_messages(
        &mut self,
        turn: &Sealed,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut news = News::new();
        for command in &turn.commands {
            let Command::Publish { ticket, message, .. } = command else { continue };
            let answer = answer_to(turn, *ticket);
            if let Some(number) = self.check_published(turn, message, answer, tally)? {
                news.insert((channel_id(&message.channel), number), message);
            }
        }
        let mut shortened = Vec::new();
        for change in &turn.changes {
            let number = number_in_key(&change.key).unwrap_or_default();
            let Some(id) = id_in_key(&change.key) else { continue };
            match (change.key.first(), &change.value) {
                (Some(&MESSAGE), Some(value)) => {
                    check_kept(turn, value, news.remove(&(id, number)))?;
                }
                (Some(&MESSAGE), None) if self.forget_message(turn, (id, number))? => {
                    shortened.push(id);
                    tally.note("message gone from a full ring");
                }
                (Some(&CHANNEL), Some(value)) => {
                    self.check_channel(id, &read("a channel", value)?)?;
                }
                (Some(&CHANNEL), None) => {
                    tally.note("channel forgotten");
                    let kept = self.channels.get(&id).map_or(0, |channel| channel.kept.len());
                    require(kept == 0, || format!("a channel goes with {kept} messages"))?;
                }
                (Some(_) | None, _) => {}
            }
        }
        require(news.is_empty(), || format!("published and not kept: {news:?}"))?;
        shortened.into_iter().try_for_each(|id| self.check_fullness(id))
    }

    /// The number under which a message is kept.
    fn check_published(
        &mut self,
        turn: &Sealed,
        message: &NewMessage,
        answer: Option<&Answer>,
        tally: &mut Tally,
    ) -> Result<Option<u64>, String> {
        let ring = self.settings.limits.ring;
        let size = message.topic.len().saturating_add(message.data.len());
        let number = match answer {
            Some(Answer::Refused(Refusal::Invalid(_))) if message.topic.starts_with('$') => {
                return Ok(None);
            }
            Some(Answer::Refused(Refusal::TooLarge(_))) if size > ring.message_bytes => {
                tally.note("message too large");
                return Ok(None);
            }
            Some(Answer::Published(number)) if size <= ring.message_bytes => *number,
            _ => return Err(format!("{message:?} was answered {answer:?}")),
        };
        tally.note("message published");
        let channel = self.channels.entry(channel_id(&message.channel)).or_default();
        let youngest = channel.kept.last_key_value().map(|(_, (_, at))| at.plus(ring.age));
        let follows = number == channel.last.saturating_add(1);
        let may_begin = youngest.is_none_or(|due| due <= turn.latest) && number > channel.last;
        require(follows || may_begin, || {
            format!("message {number} of '{}' follows {}", message.channel, channel.last)
        })?;
        channel.last = number;
        channel.kept.insert(number, (size, turn.now));
        Ok(Some(number))
    }

    /// A message goes: the oldest. True where it was not too old.
    fn forget_message(
        &mut self,
        turn: &Sealed,
        (id, number): ([u8; 16], u64),
    ) -> Result<bool, String> {
        let age = self.settings.limits.ring.age;
        let channel = self.channels.entry(id).or_default();
        let oldest = channel.kept.pop_first();
        let Some((_, (_, at))) = oldest.filter(|(first, _)| *first == number) else {
            return Err(format!("message {number} goes, and the oldest is {oldest:?}"));
        };
        Ok(at.plus(age) > turn.latest)
    }

    /// What is kept is what a channel's record says, and no more than there is room for.
    fn check_channel(&self, id: [u8; 16], record: &ChannelRecord) -> Result<(), String> {
        let ring = self.settings.limits.ring;
        let none = Channel::default();
        let channel = self.channels.get(&id).unwrap_or(&none);
        let first = channel.kept.first_key_value().map(|(first, _)| *first);
        let (count, bytes) = channel.size();
        let is_so = channel_id(&record.name) == id
            && first == Some(record.first())
            && record.next == channel.last.saturating_add(1)
            && count <= usize::try_from(ring.messages).unwrap_or(usize::MAX)
            && bytes <= usize::try_from(ring.bytes).unwrap_or(usize::MAX);
        require(is_so, || format!("{record:?}, but kept is {channel:?}"))
    }

    /// What went for want of room left no more room than a block of it.
    fn check_fullness(&self, id: [u8; 16]) -> Result<(), String> {
        let ring = self.settings.limits.ring;
        let Some(channel) = self.channels.get(&id) else { return Ok(()) };
        let (count, bytes) = channel.size();
        let (most, most_bytes) = (
            usize::try_from(ring.messages).unwrap_or(usize::MAX),
            usize::try_from(ring.bytes).unwrap_or(usize::MAX),
        );
        let was_full = count.saturating_add(most.div_ceil(BLOCKS)) > most;
        let block = most_bytes.div_ceil(BLOCKS).saturating_add(ring.message_bytes);
        let was_heavy = bytes.saturating_add(block) > most_bytes;
        require(was_full || was_heavy, || format!("too much went: {count} are left, {bytes} bytes"))
    }
}

/// What a turn published, by channel and number.
type News<'a> = BTreeMap<([u8; 16], u64), &'a NewMessage>;

fn answer_to(turn: &Sealed, ticket: Ticket) -> Option<&Answer> {
    turn.effects.iter().find_map(|(effect, _)| {
        let Effect::Answer { ticket: of, answer } = effect else { return None };
        (*of == ticket).then_some(answer)
    })
}

fn check_kept(turn: &Sealed, value: &[u8], message: Option<&NewMessage>) -> Result<(), String> {
    let kept: MessageRecord = read("a message", value)?;
    let is_it = message.is_some_and(|it| it.topic == kept.topic && it.data == kept.data);
    require(is_it && kept.at <= turn.now, || format!("{kept:?} is kept of {message:?}"))
}

impl Channel {
    fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.kept.values().map(|(size, _)| size).sum())
    }
}
