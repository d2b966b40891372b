//! Time in a world: a steady one that only rises, and a wall clock that jumps.

use std::time::Duration;

use durable_core::Timestamp;

/// Both clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    steady: Timestamp,
    ahead: Duration,
    behind: Duration,
    latest: Timestamp,
}

impl Clock {
    /// It begins at some moment of the year 2023.
    pub fn new() -> Self {
        let start = Timestamp::from_millis(1_700_000_000_000);
        Self { steady: start, ahead: Duration::ZERO, behind: Duration::ZERO, latest: start }
    }

    /// The steady time.
    pub const fn steady(&self) -> Timestamp {
        self.steady
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> Timestamp {
        self.steady.plus(self.ahead).minus(self.behind)
    }

    /// The latest that the wall clock has ever shown.
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Steady time goes on to `moment`.
    pub fn reach(&mut self, moment: Timestamp) {
        self.steady = self.steady.max(moment);
        self.latest = self.latest.max(self.wall());
    }

    /// When, in steady time, the wall clock will show `moment`, if it does not jump.
    pub fn when(&self, moment: Timestamp) -> Timestamp {
        moment.plus(self.behind).minus(self.ahead)
    }

    /// The wall clock jumps ahead.
    pub fn jump_ahead(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
        self.latest = self.latest.max(self.wall());
    }

    /// The wall clock jumps back.
    pub const fn jump_back(&mut self, by: Duration) {
        self.behind = self.behind.saturating_add(by);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
