//! What has happened, by name: how a campaign knows that it went where bugs are.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// It happened.
    pub fn note(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// It happened so often.
    pub fn add(&mut self, what: &'static str, count: u64) {
        let counter = self.0.entry(what).or_default();
        *counter = counter.saturating_add(count);
    }

    /// How often.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Takes another's counts in.
    pub fn join(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    /// All of it, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, count)| (*what, *count))
    }

    /// Of what must happen at least once in a campaign, what has not.
    pub fn never_reached(&self) -> Vec<&'static str> {
        MUST_HAPPEN.into_iter().filter(|what| self.count(what) == 0).collect()
    }
}

/// Rare branches that a campaign must have come to.
pub const MUST_HAPPEN: [&str; 144] = [
    "acknowledged event",
    "append refused",
    "batch by timeout",
    "batch full",
    "batch: an event goes alone",
    "byte flipped",
    "call repeated after a crash",
    "call repeated after an error",
    "cancel_on was met",
    "cancel_on was over",
    "channel forgotten",
    "checkpoint failed",
    "checkpoint made",
    "clock jumped ahead",
    "clock jumped back",
    "cron changed",
    "cron removed",
    "cut between append and effects",
    "cut inside an append",
    "debounce capped by its timeout",
    "debounce kept a later event",
    "debounce was quiet",
    "dedup hit",
    "dedup kept while its run lives",
    "deploy changed a limit under waiting runs",
    "deploy changed timeouts under live runs",
    "elsewhere: a call outlives the engine's process",
    "elsewhere: a call that takes long",
    "elsewhere: a full executor's work waits",
    "elsewhere: a function moved from one to another",
    "elsewhere: a function moved into the process",
    "elsewhere: a function moved out of the process",
    "elsewhere: a reply that is too late",
    "elsewhere: a step recorded in the middle of a call",
    "elsewhere: an application rests",
    "elsewhere: asked once more",
    "elsewhere: called",
    "elsewhere: connected again",
    "elsewhere: no reply",
    "elsewhere: numbers given out anew",
    "elsewhere: parked until all has come",
    "elsewhere: served before it was connected",
    "end of a telling run told no further",
    "end told after a crash",
    "end told as cancelled",
    "end told as failed",
    "end told as finished",
    "end told with its event kept for it",
    "ended: a step's error",
    "ended: an expression that is none",
    "ended: an invoke's error",
    "ended: cancelled",
    "ended: code raised",
    "ended: completed",
    "ended: output too large",
    "ended: sleep too long",
    "ended: state too large",
    "ended: too many steps",
    "error asked for a wait",
    "error caught",
    "error not retried",
    "event called off: batch without it",
    "event called off: nothing to do",
    "event called off: run cancelled",
    "event called off: unknown",
    "event deleted",
    "event in the future",
    "event kept while its run lives",
    "executor died",
    "executor drained",
    "finish timeout",
    "finish timeout in the middle of a step",
    "flip detected",
    "flip harmless",
    "function archived",
    "gathering ended by a deploy",
    "history deleted",
    "idempotency dropped",
    "invoke ended its own run",
    "invoke skipped",
    "invoke told: cancelled",
    "invoke told: debounced away",
    "invoke told: failed",
    "invoke told: its result",
    "invoke told: no such function",
    "invoke told: skipped",
    "invoke told: too late",
    "invoked before",
    "killed",
    "killed while forgetting",
    "memo delivered to executing code",
    "message gone from a full ring",
    "message published",
    "message too large",
    "missed tick dropped",
    "missed tick made up",
    "paused in the middle of a run",
    "paused: skipped",
    "poisoned append refused again",
    "rate limit dropped",
    "rate limit or idempotency without a key",
    "records expire in parts",
    "refused event",
    "report gap",
    "report ignored: duplicate",
    "report stale",
    "rerun",
    "rerun from a step",
    "rerun from a step that waits",
    "rerun of a batch",
    "rerun of a live run",
    "rerun refused: no such step",
    "rerun refused: repeated already",
    "rerun refused: singleton or pause",
    "rerun with another output",
    "rerun with other data",
    "resend after a crash",
    "run slot waited for",
    "schedule made",
    "schedule made again",
    "schedule paused",
    "schedule replaced",
    "schedule resumed",
    "schedule triggered",
    "singleton cancelled a run",
    "singleton skipped an event",
    "singleton skipped what was gathered",
    "snapshot taken",
    "source position repeated",
    "start timeout",
    "throttle passed",
    "throttle waited for",
    "tick",
    "tick skipped",
    "timer beyond the window",
    "timers read in parts",
    "wait behind another",
    "wait for an event",
    "wait since its run began",
    "wait took an event",
    "wait took an event that came before it",
    "wait was in vain",
    "woken by itself",
    "woken while parking",
];
