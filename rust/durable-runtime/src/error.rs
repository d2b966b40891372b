//! What can go wrong, in few kinds; the text says what to do.

use std::fmt;

/// What a caller can do about an error depends on its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A setting is wrong.
    Invalid,
    /// An event is not accepted.
    Event,
    /// Something is larger than its limit.
    TooLarge,
    /// There is no such function.
    UnknownFunction,
    /// Flow control let a run not be started.
    Skipped,
    /// There is no such run, event, step or schedule.
    NotFound,
    /// Nobody waits for this signal.
    NoWaiter,
    /// The engine is not open.
    Closed,
    /// A broken invariant stopped the engine.
    Broken,
    /// Another process has the store.
    Locked,
    /// The store cannot be where it is said to be.
    Location,
    /// The store's bytes are not what was written.
    Corrupt,
    /// The operating system refused a call.
    Io,
    /// There is no room on the disk.
    Full,
    /// The store was written by a newer version.
    Newer,
    /// A write failed before: nothing is acknowledged until the store is opened again.
    Poisoned,
}

impl Kind {
    /// The engine is well, and what was asked for is not to be had.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Invalid
            | Self::Event
            | Self::TooLarge
            | Self::UnknownFunction
            | Self::NotFound
            | Self::Skipped
            | Self::NoWaiter => true,
            Self::Closed
            | Self::Broken
            | Self::Locked
            | Self::Location
            | Self::Corrupt
            | Self::Io
            | Self::Full
            | Self::Newer
            | Self::Poisoned => false,
        }
    }

    /// The word that crosses borders.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Event => "event",
            Self::TooLarge => "too_large",
            Self::UnknownFunction => "unknown_function",
            Self::Skipped => "skipped",
            Self::NotFound => "not_found",
            Self::NoWaiter => "no_waiter",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Locked => "locked",
            Self::Location => "location",
            Self::Corrupt => "corrupt",
            Self::Io => "io",
            Self::Full => "full",
            Self::Newer => "newer",
            Self::Poisoned => "poisoned",
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What a caller can do about it.
    pub kind: Kind,
    /// What happened and what to do, in words.
    pub text: String,
}

/// What a call gives, or why not.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, in words.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn closed() -> Self {
        Self::new(Kind::Closed, "the engine is closed: open it again to go on")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<durable_core::Unreadable> for Error {
    fn from(error: durable_core::Unreadable) -> Self {
        Self::new(Kind::Corrupt, error.to_string())
    }
}

impl From<durable_core::Refusal> for Error {
    fn from(refusal: durable_core::Refusal) -> Self {
        use durable_core::Refusal;
        match refusal {
            Refusal::Invalid(text) => Self::new(Kind::Invalid, text),
            Refusal::TooLarge(text) => Self::new(Kind::TooLarge, text),
            Refusal::UnknownFunction(text) => Self::new(Kind::UnknownFunction, text),
            Refusal::NotFound(text) => Self::new(Kind::NotFound, text),
            Refusal::Skipped(text) => Self::new(Kind::Skipped, text),
            Refusal::NoWaiter(text) => Self::new(Kind::NoWaiter, text),
        }
    }
}

impl From<durable_store::StoreError> for Error {
    fn from(error: durable_store::StoreError) -> Self {
        use durable_store::StoreError;
        let kind = match &error {
            StoreError::Locked { .. } => Kind::Locked,
            StoreError::Corrupt { .. } => Kind::Corrupt,
            StoreError::Io { .. } => Kind::Io,
            StoreError::Full { .. } => Kind::Full,
            StoreError::Newer { .. } => Kind::Newer,
            StoreError::Poisoned { .. } => Kind::Poisoned,
            StoreError::Refused { .. } => Kind::Location,
        };
        Self::new(kind, error.to_string())
    }
}
