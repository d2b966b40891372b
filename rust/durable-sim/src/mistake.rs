//! Deliberate mistakes in the driver and the store: a simulator that finds none of them finds nothing.

/// One mistake, made throughout a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Callers are answered before the turn is durable.
    AnswersEarly,
    /// Work is handed out before the turn is durable.
    OffersEarly,
    /// The store says that it has synced and has not.
    SkipsSync,
    /// A turn's writes are not all or none.
    TearsTurns,
    /// Now and then a timer is not written.
    DropsTimers,
    /// The shard is told a time that is not yet.
    TicksEarly,
    /// What the store remembers of senders' ids is not looked up.
    ForgetsSenders,
    /// After a start nobody says that what was executing is lost.
    ForgetsToConnect,
    /// After a failed write things go on as if nothing had been.
    IgnoresPoison,
    /// Work comes without the last memo.
    ForgetsLastMemo,
    /// A memo of an ended run stays.
    LeavesMemos,
    /// Timers are read from the store before the turn that asks has been staged.
    ReadsTimersBeforeStaging,
    /// Now and then a piece of work is handed to nobody.
    LosesWork,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::AnswersEarly,
        Self::OffersEarly,
        Self::SkipsSync,
        Self::TearsTurns,
        Self::DropsTimers,
        Self::TicksEarly,
        Self::ForgetsSenders,
        Self::ForgetsToConnect,
        Self::IgnoresPoison,
        Self::ForgetsLastMemo,
        Self::LeavesMemos,
        Self::ReadsTimersBeforeStaging,
        Self::LosesWork,
    ];

    /// Whether it can be made above any store.
    pub fn is_of_driver(self) -> bool {
        self != Self::TearsTurns
    }
}
