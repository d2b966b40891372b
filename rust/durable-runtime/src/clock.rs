//! Where time comes from: the wall, the wall made faster, or whoever runs a test.
#![expect(clippy::disallowed_methods, reason = "the one file that reads the clock")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use durable_core::Timestamp;
use parking_lot::Mutex;

use crate::error::{Error, Kind, Result};
use crate::steady::Steady;

/// Which clock an engine follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChoice {
    /// The wall's, but it never goes back.
    System,
    /// It begins at the wall's time, or where the store's stopped if that is later, and goes so many times
    /// as fast.
    Scaled(u32),
    /// It moves only when told to.
    Virtual {
        /// It jumps to the next deadline when nothing executes.
        is_auto: bool,
        /// Where it begins; the wall's time where not said.
        start: Option<Timestamp>,
    },
}

impl ClockChoice {
    /// `system`, `scaled:60`, `virtual`, `virtual:auto`, `virtual:START_MS`, `virtual:auto:START_MS`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                Kind::Invalid,
                format!("clock '{text}': write 'system', 'scaled:60', 'virtual' or 'virtual:auto'"),
            )
        };
        let mut words = text.split(':');
        match words.next() {
            Some("system") if words.next().is_none() => Ok(Self::System),
            Some("scaled") => {
                let factor = words.next().and_then(|word| word.parse().ok());
                factor.filter(|factor| *factor > 0).map(Self::Scaled).ok_or_else(wrong)
            }
            Some("virtual") => {
                let mut rest = words.peekable();
                let is_auto = rest.next_if_eq(&"auto").is_some();
                let start = match rest.next() {
                    Some(word) => Some(word.parse().ok().ok_or_else(wrong)?),
                    None => None,
                };
                Ok(Self::Virtual { is_auto, start: start.map(Timestamp::from_millis) })
            }
            Some(_) | None => Err(wrong()),
        }
    }

    /// The time to load a store at.
    pub(crate) fn first(self) -> Timestamp {
        match self {
            Self::Virtual { start: Some(start), .. } => start,
            Self::System | Self::Scaled(_) | Self::Virtual { start: None, .. } => wall(),
        }
    }
}

/// A clock that runs.
#[derive(Debug)]
pub(crate) enum Clock {
    System { steady: Mutex<Steady>, began: Instant },
    Scaled { start: Timestamp, began: Instant, factor: u32 },
    Virtual { nanos: AtomicU64, is_auto: bool },
}

impl Clock {
    /// `start`: the time of the store when it was loaded.
    pub(crate) fn begin(choice: ClockChoice, start: Timestamp) -> Self {
        match choice {
            ClockChoice::System => {
                let began = Instant::now();
                let steady = Steady::begin(start, (wall(), began.elapsed()));
                Self::System { steady: Mutex::new(steady), began }
            }
            ClockChoice::Scaled(factor) => Self::Scaled { start, began: Instant::now(), factor },
            ClockChoice::Virtual { is_auto, .. } => {
                // A whole millisecond, as timers have: what is due after n of them is, after n of them.
                let whole = start.plus(Duration::from_nanos(999_999)).as_millis();
                let nanos = Timestamp::from_millis(whole).as_nanos();
                Self::Virtual { nanos: AtomicU64::new(nanos), is_auto }
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System { steady, began } => {
                let mut steady = steady.lock();
                let shown = wall(); // first: see `Steady::read`
                steady.read((shown, began.elapsed()))
            }
            Self::Scaled { start, began, factor } => {
                start.plus(began.elapsed().saturating_mul(*factor))
            }
            Self::Virtual { nanos, .. } => Timestamp::from_nanos(nanos.load(Ordering::Acquire)),
        }
    }

    /// How long to wait in real time for a moment; `None`: it does not come by itself.
    pub(crate) fn until(&self, moment: Timestamp) -> Option<Duration> {
        let ahead = moment.since(self.now());
        match self {
            Self::System { .. } => Some(ahead),
            Self::Scaled { factor, .. } => Some(ahead / *factor),
            Self::Virtual { .. } => (ahead.is_zero()).then_some(Duration::ZERO),
        }
    }

    /// How far it is ahead of the wall, whose moments callers name.
    pub(crate) fn ahead(&self) -> Duration {
        match self {
            Self::System { steady, .. } => steady.lock().ahead(),
            Self::Scaled { .. } | Self::Virtual { .. } => Duration::ZERO,
        }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual { .. })
    }

    pub(crate) fn is_auto(&self) -> bool {
        matches!(self, Self::Virtual { is_auto: true, .. })
    }

    /// A virtual clock goes to a moment; it never goes back.
    pub(crate) fn jump(&self, moment: Timestamp) {
        if let Self::Virtual { nanos, .. } = self {
            nanos.fetch_max(moment.as_nanos(), Ordering::AcqRel);
        }
    }
}

/// The wall's time.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_clock_is_read_and_others_are_refused() {
        let at = |ms| Some(Timestamp::from_millis(ms));
        for (text, choice) in [
            ("system", ClockChoice::System),
            ("scaled:60", ClockChoice::Scaled(60)),
            ("virtual", ClockChoice::Virtual { is_auto: false, start: None }),
            ("virtual:auto", ClockChoice::Virtual { is_auto: true, start: None }),
            ("virtual:auto:5", ClockChoice::Virtual { is_auto: true, start: at(5) }),
            ("virtual:7", ClockChoice::Virtual { is_auto: false, start: at(7) }),
        ] {
            assert_eq!(ClockChoice::parse(text), Ok(choice), "{text}");
        }
        for text in ["", "wall", "scaled", "scaled:0", "scaled:x", "virtual:x", "system:1"] {
            assert!(ClockChoice::parse(text).is_err_and(|e| e.text.contains(text)), "{text}");
        }
    }

    #[test]
    fn a_virtual_clock_goes_forward_only_and_never_by_itself() {
        let choice = ClockChoice::Virtual { is_auto: false, start: None };
        let clock = Clock::begin(choice, Timestamp::from_millis(100));
        clock.jump(Timestamp::from_millis(50));
        assert_eq!(clock.now(), Timestamp::from_millis(100));
        assert_eq!(clock.until(Timestamp::from_millis(101)), None);
        clock.jump(Timestamp::from_millis(101));
        assert_eq!(clock.until(Timestamp::from_millis(101)), Some(Duration::ZERO));
    }
}
