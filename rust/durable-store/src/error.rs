//! What can go wrong with a store, and what to do then: few kinds, each with its place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why the store refused, or stopped.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// Another process has the store open.
    Locked {
        /// The store.
        folder: PathBuf,
        /// What the lock's holder says of itself: process, host, start.
        holder: String,
    },
    /// Bytes are not what was written.
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// The operating system refused.
    Io {
        /// The call, as in `fdatasync`.
        call: &'static str,
        /// On which file.
        file: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The disk is full.
    Full {
        /// The call that found no room.
        call: &'static str,
        /// On which file.
        file: PathBuf,
    },
    /// A newer program wrote the store.
    Newer {
        /// The file with the number.
        file: PathBuf,
        /// The format it is in.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// An earlier write or sync failed, so nothing more is accepted.
    Poisoned {
        /// That first failure.
        cause: Arc<Self>,
    },
    /// What was asked for is against the rules.
    Refused {
        /// What was asked for and why it cannot be.
        why: String,
    },
}

impl StoreError {
    /// The operating system's answer to a call on a file; "no space left" is a kind of its own.
    pub fn io(call: &'static str, file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full { call, file }
        } else {
            Self::Io { call, file, source: Arc::new(source) }
        }
    }

    /// Damage at a place.
    pub fn corrupt(file: &Path, offset: u64, why: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, why: why.into() }
    }

    /// A request against the rules.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    /// Whether the disk was full, now or at the failure that poisoned.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Poisoned { cause } => cause.is_full(),
            Self::Locked { .. }
            | Self::Corrupt { .. }
            | Self::Io { .. }
            | Self::Newer { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { folder, holder } => {
                let folder = folder.display();
                if holder.starts_with(&format!("process {} on ", std::process::id())) {
                    write!(
                        f,
                        "the store {folder} is open in this process already ({holder}); one engine has a \
                         store: use that one, close it first, or use another folder"
                    )
                } else {
                    write!(
                        f,
                        "the store {folder} is open in another process ({holder}); stop that one first, or \
                         use another folder"
                    )
                }
            }
            Self::Corrupt { file, offset, why } => write!(
                f,
                "{} is damaged at byte {offset}: {why}; nothing was changed. Copy the folder, then see \
                 `durable store check`, or `durable store restore` with a backup",
                file.display()
            ),
            Self::Io { call, file, source } => write!(
                f,
                "{call} on {} failed: {source}; nothing is acknowledged from there on: see to it, then open the store again",
                file.display()
            ),
            Self::Full { call, file } => write!(
                f,
                "the disk is full ({call} on {}); free some space and open the store again: what was \
                 acknowledged is kept",
                file.display()
            ),
            Self::Newer { file, found, known } => write!(
                f,
                "{} says format {found}, this program reads up to {known}; use the newer program",
                file.display()
            ),
            Self::Poisoned { cause } => {
                write!(f, "the store has stopped and must be opened again, because: {cause}")
            }
            Self::Refused { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Poisoned { cause } => Some(cause),
            Self::Locked { .. }
            | Self::Corrupt { .. }
            | Self::Full { .. }
            | Self::Newer { .. }
            | Self::Refused { .. } => None,
        }
    }
}
