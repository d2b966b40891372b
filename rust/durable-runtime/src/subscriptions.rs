//! Who listens to which channel: told that something is there, and nothing of what. Channels that nobody
//! listens to cost nothing here.

use std::collections::BTreeSet;

use durable_core::write::{CHANNEL, MEMO, id_in_key};
use durable_core::{RunId, Write, channel_id};
use rustc_hash::FxHashMap;

/// The channels that are listened to, by what stands for them in keys.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    channels: FxHashMap<[u8; 16], String>,
    /// Those named by a run's id: what it records is told as well.
    runs: FxHashMap<RunId, String>,
}

impl Subscriptions {
    pub(crate) fn add(&mut self, name: &str) {
        self.channels.insert(channel_id(name), name.to_owned());
        if let Some(run) = RunId::parse(name) {
            self.runs.insert(run, name.to_owned());
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.channels.remove(&channel_id(name));
        if let Some(run) = RunId::parse(name) {
            self.runs.remove(&run);
        }
    }

    /// The channels among these on which a turn has put something.
    pub(crate) fn stirred(&self, writes: &[Write]) -> BTreeSet<String> {
        if self.channels.is_empty() {
            return BTreeSet::new();
        }
        writes.iter().filter_map(|write| self.stirred_by(write)).cloned().collect()
    }

    fn stirred_by(&self, write: &Write) -> Option<&String> {
        match write {
            Write::Insert { key, .. } | Write::Put { key, .. } => match key.first() {
                Some(&CHANNEL) => self.channels.get(&id_in_key(key)?),
                Some(&MEMO) => self.runs.get(&RunId::from_bytes(id_in_key(key)?)),
                Some(_) | None => None,
            },
            Write::Archive { run, .. } => self.runs.get(run),
            Write::Delete { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use durable_core::write::{channel_key, memo_key, message_key};

    use super::*;

    fn put(key: Bytes) -> Write {
        Write::Put { key, value: Bytes::new() }
    }

    #[test]
    fn only_channels_that_are_listened_to_are_told_and_each_once_for_a_turn() {
        let run = RunId::from_bytes([1; 16]);
        let (name, id) = (run.to_string(), channel_id("news"));
        let writes = [
            put(channel_key(&id)),
            put(message_key(&id, 1)),
            put(channel_key(&channel_id("others"))),
            put(memo_key(run, 0)),
            put(memo_key(run, 1)),
            put(memo_key(RunId::from_bytes([2; 16]), 0)),
        ];
        let mut all = Subscriptions::default();
        assert!(all.stirred(&writes).is_empty());
        all.add("news");
        all.add(&name);
        assert_eq!(all.stirred(&writes), BTreeSet::from([name.clone(), "news".to_owned()]));
        all.remove("news");
        all.remove(&name);
        assert!(all.stirred(&writes).is_empty());
    }
}
