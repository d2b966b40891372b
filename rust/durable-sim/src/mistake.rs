//! Deliberate mistakes in the driver and the store: a simulator that finds none of them finds nothing.

use durable_core::write::{FUNCTION, GATE, RUN, SCHEDULE, TIMER, UNTOLD, decode, encode};
use durable_core::{Awaits, FunctionRecord, Record, RunRecord, ScheduleRecord, Tick};

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
    /// A start finds no throttle that was passed.
    ForgetsThrottles,
    /// A start finds no rate limit that was used.
    ForgetsRateLimits,
    /// A start finds no idempotency key that was used.
    ForgetsIdempotency,
    /// After a start no function is paused.
    ForgetsPauses,
    /// After a start no trigger has a condition until the application registers.
    ForgetsConditions,
    /// After a start runs hold no singleton.
    ForgetsSingletons,
    /// After a start runs have no keys for limits on what executes.
    ForgetsLimitKeys,
    /// After a start runs have no key for the limit on whole runs.
    ForgetsRunKeys,
    /// After a start runs have no head start.
    ForgetsPriorities,
    /// After a start nobody waits for a signal.
    ForgetsSignals,
    /// After a start nobody waits for an event.
    ForgetsWaits,
    /// After a start no event cancels a run.
    ForgetsCancels,
    /// After a start nobody waits for the end of a run.
    ForgetsInvokers,
    /// Who looks back is not shown the first event.
    SkipsWhenLookingBack,
    /// After a start no end is to be told.
    ForgetsEnds,
    /// After a start a batch has its first event only.
    ForgetsBatches,
    /// After a start a debounce has only just begun.
    ForgetsBursts,
    /// A run is repeated without the last of its memos.
    ForgetsWhatIsRepeated,
    /// Until when a run gathers is not written.
    DropsGatherings,
    /// Until when a run must have started or ended is not written.
    DropsDeadlines,
    /// When a schedule ticks next is not written.
    DropsTicks,
    /// After a start a schedule has ticked once less.
    RepeatsTicks,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 35] = [
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
        Self::ForgetsThrottles,
        Self::ForgetsRateLimits,
        Self::ForgetsIdempotency,
        Self::ForgetsPauses,
        Self::ForgetsConditions,
        Self::ForgetsSingletons,
        Self::ForgetsLimitKeys,
        Self::ForgetsRunKeys,
        Self::ForgetsPriorities,
        Self::ForgetsSignals,
        Self::ForgetsWaits,
        Self::ForgetsCancels,
        Self::ForgetsInvokers,
        Self::SkipsWhenLookingBack,
        Self::ForgetsEnds,
        Self::ForgetsBatches,
        Self::ForgetsBursts,
        Self::ForgetsWhatIsRepeated,
        Self::DropsGatherings,
        Self::DropsDeadlines,
        Self::DropsTicks,
        Self::RepeatsTicks,
    ];

    /// Whether it can be made above any store.
    pub fn is_of_driver(self) -> bool {
        self != Self::TearsTurns
    }

    /// It is about what is held or waited for, and only the model is to find it: a shard is not compared with one that is
    /// loaded, which would show each at once.
    pub fn is_for_the_model(self) -> bool {
        match self {
            Self::AnswersEarly
            | Self::OffersEarly
            | Self::SkipsSync
            | Self::TearsTurns
            | Self::DropsTimers
            | Self::TicksEarly
            | Self::ForgetsSenders
            | Self::ForgetsToConnect
            | Self::IgnoresPoison
            | Self::ForgetsLastMemo
            | Self::LeavesMemos
            | Self::ReadsTimersBeforeStaging
            | Self::ForgetsWhatIsRepeated
            | Self::SkipsWhenLookingBack
            | Self::LosesWork => false,
            Self::ForgetsThrottles
            | Self::ForgetsRateLimits
            | Self::ForgetsIdempotency
            | Self::ForgetsPauses
            | Self::ForgetsConditions
            | Self::ForgetsSingletons
            | Self::ForgetsLimitKeys
            | Self::ForgetsRunKeys
            | Self::ForgetsPriorities
            | Self::ForgetsSignals
            | Self::ForgetsWaits
            | Self::ForgetsCancels
            | Self::ForgetsInvokers
            | Self::ForgetsEnds
            | Self::ForgetsBatches
            | Self::ForgetsBursts
            | Self::DropsGatherings
            | Self::DropsDeadlines
            | Self::DropsTicks
            | Self::RepeatsTicks => true,
        }
    }

    /// Whether a timer is not written.
    pub fn drops_timer(self, key: &[u8]) -> bool {
        let numbers: &[u32] = if self == Self::DropsGatherings {
            &[u32::MAX - 4]
        } else if self == Self::DropsDeadlines {
            &[u32::MAX - 3, u32::MAX - 2]
        } else if self == Self::DropsTicks {
            &[u32::MAX - 15]
        } else {
            return false;
        };
        let is_one = |number: &u32| key.ends_with(&number.to_be_bytes());
        key.first() == Some(&TIMER) && numbers.iter().any(is_one)
    }

    /// A record as a start finds it; `None` where it finds none.
    pub fn found(self, (key, value): Record) -> Option<Record> {
        let lost = [
            (Self::ForgetsThrottles, [GATE, b't']),
            (Self::ForgetsRateLimits, [GATE, b'r']),
            (Self::ForgetsIdempotency, [GATE, b'i']),
        ];
        let is_lost = lost.iter().any(|(mistake, kind)| *mistake == self && key.starts_with(kind));
        let is_lost = is_lost || (self == Self::ForgetsEnds && key.first() == Some(&UNTOLD));
        let value = match key.first() {
            Some(&FUNCTION) => {
                decode("a function", &value).ok().map(|it| encode(&self.function(it)))
            }
            Some(&SCHEDULE) if self == Self::RepeatsTicks => {
                decode("a schedule", &value).ok().map(|it| encode(&goes_back(it)))
            }
            Some(&RUN) => decode("a live run", &value).ok().map(|it| encode(&self.run(it))),
            Some(_) | None => Some(value),
        };
        value.filter(|_| !is_lost).map(|value| (key, value))
    }

    fn function(self, mut function: FunctionRecord) -> FunctionRecord {
        if self == Self::ForgetsPauses {
            function.is_paused = false;
        }
        if self == Self::ForgetsConditions {
            function.spec.policies.conditions.clear();
        }
        function
    }

    fn run(self, mut run: RunRecord) -> RunRecord {
        let keys = &mut run.keys;
        if self == Self::ForgetsSingletons {
            keys.singleton = None;
        } else if self == Self::ForgetsLimitKeys {
            keys.limits.clear();
        } else if self == Self::ForgetsRunKeys {
            keys.run_limit = None;
        } else if self == Self::ForgetsPriorities {
            keys.head_start = 0;
        } else if self == Self::ForgetsSignals {
            forget_waits(&mut run, |awaits| matches!(awaits, Awaits::Signal(_)));
        } else if self == Self::ForgetsWaits {
            forget_waits(&mut run, |awaits| matches!(awaits, Awaits::Event(_)));
        } else if self == Self::ForgetsCancels {
            run.cancels.clear();
        } else if self == Self::ForgetsInvokers {
            run.invokers.clear();
        } else if self == Self::ForgetsBatches {
            run.rest.clear();
        } else if let Some(gathering) = &mut run.gathering
            && self == Self::ForgetsBursts
        {
            gathering.first_at = gathering.last_at;
        }
        run
    }
}

fn forget_waits(run: &mut RunRecord, is_one: fn(&Awaits) -> bool) {
    for step in &mut run.pending {
        step.awaits = step.awaits.take().filter(|awaits| !is_one(awaits));
    }
}

/// A schedule whose last tick comes once more, with its timer.
fn goes_back(schedule: ScheduleRecord) -> ScheduleRecord {
    let due = schedule.next.map(|next| next.due);
    let again = schedule.last_at.zip(due).map(|(at, due)| Tick { at, due });
    ScheduleRecord { next: again.or(schedule.next), ..schedule }
}
