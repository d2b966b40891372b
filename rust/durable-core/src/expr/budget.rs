//! What one evaluation may cost. It ends with an error, which is no match and no key, where it would cost more.
//!
//! A visit stands for at most about 50 ns of work on the machine it was measured on (`benches/expr.rs` has the
//! worst there is): one node, one element, one key, or some tens of bytes of text. So all visits together stay
//! below 5 ms there, and 10 ms are promised. The largest event there is (4 MiB) costs 65,536 of them to be looked
//! through; `event` and `async` together may have 6 MB.

/// Visits in one evaluation.
pub(super) const MAX_VISITS: u32 = 100_000;
/// Bytes that one evaluation may set aside in all, freed ones counted too.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// How many bytes a visit stands for where they are only passed over or compared.
const SKIPPED: usize = 64;
/// The same where each letter is looked at.
const READ: usize = 16;
/// Visits for what is read from a text, or written as one.
const CONVERTED: usize = 8;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The operation has none for these values. `||` and `&&` may go on without it.
    Error,
    /// The budget is spent. Nothing goes on.
    Spent,
}

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    visits: u32,
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { visits: MAX_VISITS, bytes: MAX_BYTES }
    }

    #[cfg(test)]
    pub(super) fn visits(&self) -> u32 {
        self.visits
    }

    /// So much work.
    pub(super) fn visit(&mut self, count: usize) -> Result<(), Stop> {
        let left = u32::try_from(count).ok().and_then(|count| self.visits.checked_sub(count));
        self.visits = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Stop::Spent)
    }

    /// A date, a duration or a number is read from a text, or written as one.
    pub(super) fn convert(&mut self) -> Result<(), Stop> {
        self.visit(CONVERTED)
    }

    /// So many bytes are passed over or compared.
    pub(super) fn skip(&mut self, bytes: usize) -> Result<(), Stop> {
        self.visit(bytes / SKIPPED)
    }

    /// Each letter of so many bytes is looked at.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Stop> {
        self.visit(bytes / READ)
    }

    /// So many bytes are set aside.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Stop> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Stop::Spent)
    }

    /// Room for one more `T` in a list that grows: it doubles, the old room stays until it is copied.
    pub(super) fn push<T>(&mut self) -> Result<(), Stop> {
        self.visit(1)?;
        self.keep(size_of::<T>().saturating_mul(3))
    }
}
