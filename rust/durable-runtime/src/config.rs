//! What may be set when an engine is opened.

use std::time::Duration;

use durable_core::Limits;

use crate::clock::ClockChoice;
use crate::error::{Error, Kind, Result};

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When it is on the disk.
    Always,
    /// When the operating system has it; at most so much is lost on power failure.
    Every(Duration),
}

impl Sync {
    /// `always`, or an interval as in `50ms` or `1s`.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "always" {
            return Ok(Self::Always);
        }
        let (number, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => (number, 1),
            (None, Some(number)) => (number, 1000),
            (None, None) => ("", 0),
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        let millis = millis.filter(|millis| (1..=60_000).contains(millis));
        millis.map(|millis| Self::Every(Duration::from_millis(millis))).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("sync '{text}': write 'always', or an interval as in '50ms' or '1s'"),
            )
        })
    }
}

/// How an engine is to work.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the store is: a path, `sled:PATH`, `redb:PATH`, `memory:`.
    pub store: String,
    /// When a commit counts as done.
    pub sync: Sync,
    /// Which clock it follows.
    pub clock: ClockChoice,
    /// How many pieces of work the executor takes at a time.
    pub capacity: u32,
    /// How long events and ended runs are kept.
    pub retention: Duration,
    /// What a single run may use.
    pub limits: Limits,
    /// How many events and reports may wait for the shard before senders wait.
    pub max_mailbox: usize,
    /// What chance is drawn from; fresh where not said.
    pub seed: Option<u64>,
    /// So many bytes that are not in the image yet are moved there.
    pub checkpoint_bytes: usize,
}

impl Config {
    /// The usual settings, and a place.
    pub fn new(store: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            sync: Sync::Always,
            clock: ClockChoice::System,
            capacity: 1000,
            retention: Duration::from_hours(7 * 24),
            limits: Limits::default(),
            max_mailbox: 65_536,
            seed: None,
            checkpoint_bytes: 32 * 1024 * 1024,
        }
    }
}

const SHORTEST_RETENTION: Duration = Duration::from_hours(24);

impl Config {
    /// Why an engine cannot work so.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = if self.retention < SHORTEST_RETENTION {
            "retention: it is a day at least, because senders' event ids count for a day"
        } else if self.capacity == 0 {
            "capacity: with none, nothing would ever run"
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Invalid, wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert_eq!(Config::new("memory:").check(), Ok(()));
        let short = Config { retention: Duration::from_hours(23), ..Config::new("memory:") };
        assert!(short.check().is_err_and(|error| error.text.contains("retention")));
        let none = Config { capacity: 0, ..Config::new("memory:") };
        assert!(none.check().is_err_and(|error| error.text.contains("capacity")));
    }

    #[test]
    fn every_form_of_sync_is_read_and_others_are_refused() {
        let every = |ms| Ok(Sync::Every(Duration::from_millis(ms)));
        assert_eq!(Sync::parse("always"), Ok(Sync::Always));
        assert_eq!(Sync::parse("50ms"), every(50));
        assert_eq!(Sync::parse("1s"), every(1000));
        for text in ["", "never", "0ms", "ms", "s", "-1ms", "5m", "50", "61000s"] {
            assert!(Sync::parse(text).is_err_and(|e| e.text.contains(text)), "{text}");
        }
    }
}
