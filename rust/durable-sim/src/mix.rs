//! What one world is like: each seed draws its own sizes, settings and mix of faults.

use std::time::Duration;

use durable_core::{Limits, Settings};

use crate::chance::Chance;

/// Chances are in thousandths; 0 turns a fault off.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Calls of callers.
    pub call_count: u64,
    /// The longest pause between two of them.
    pub pause: Duration,
    /// The longest a step executes.
    pub work: Duration,
    /// The longest ordinary sleep.
    pub sleep: Duration,
    /// The longest between a turn and its commit.
    pub commit: Duration,
    /// Functions that may be registered.
    pub function_count: usize,
    /// Senders' ids in use; few of them meet often.
    pub sender_count: u64,
    /// How large programs grow.
    pub program_size: u32,
    /// Work the executor takes at a time.
    pub capacity: u32,
    /// Results an executor holds back at most before it reports them.
    pub buffer: u32,
    /// Handlers that are dropped whenever they wait.
    pub drops_parked: u32,
    /// At most so many records are read for one question.
    pub page: usize,
    /// The store's bytes lie on a simulated disk rather than in a map.
    pub has_disk: bool,
    /// Executors say things that are not so.
    pub is_hostile: bool,
    /// The process is killed.
    pub kill: u32,
    /// The power goes.
    pub cut: u32,
    /// A write fails.
    pub refuse: u32,
    /// A byte on the disk flips.
    pub flip: u32,
    /// The executor dies, the process does not.
    pub executor_dies: u32,
    /// The executor drains.
    pub drain: u32,
    /// The clock jumps.
    pub jump: u32,
    /// Functions are registered anew.
    pub register: u32,
    /// A report comes twice.
    pub repeat: u32,
    /// A report is slow.
    pub delay: u32,
    /// A report is lost, and its executor soon after.
    pub lose: u32,
    /// A report of before a crash comes after it.
    pub stale: u32,
    /// A run's code would go on by itself.
    pub wake: u32,
    /// The shard's settings.
    pub settings: Settings,
}

impl Mix {
    /// What a seed draws.
    pub fn draw(chance: &mut Chance) -> Self {
        let mut fault = |most: u32| {
            let is_on = chance.happens(500);
            let per_mille = chance.small(1, most);
            if is_on { per_mille } else { 0 }
        };
        let [kill, cut, refuse] = [fault(40), fault(40), fault(30)];
        let [flip, executor_dies, drain, jump, register] =
            [fault(40), fault(40), fault(10), fault(30), fault(30)];
        let [repeat, delay, lose, stale] = [fault(300), fault(300), fault(60), fault(500)];
        let wake = fault(80);
        let is_slow = chance.happens(300);
        let scale = if is_slow { 3_600 } else { 1 };
        let settings = settings(chance);
        Self {
            call_count: chance.within(3, 16),
            pause: Duration::from_secs(chance.within(1, 20) * scale),
            work: Duration::from_millis(chance.within(1, 20_000)),
            sleep: Duration::from_secs(chance.within(1, 600) * scale),
            commit: Duration::from_micros(chance.within(0, 50_000)),
            function_count: chance.size(1, 5),
            sender_count: chance.within(1, 8),
            program_size: chance.small(1, 7),
            capacity: chance.small(1, 12),
            buffer: if chance.happens(300) { chance.small(1, 4) } else { 0 },
            drops_parked: if chance.happens(500) { chance.small(0, 1_000) } else { 0 },
            page: if chance.happens(500) { chance.size(2, 5) } else { 8_192 },
            has_disk: chance.happens(250),
            is_hostile: chance.happens(120),
            kill,
            cut,
            refuse,
            flip,
            executor_dies,
            drain,
            jump,
            register,
            repeat,
            delay,
            lose,
            stale,
            wake,
            settings,
        }
    }
}

fn settings(chance: &mut Chance) -> Settings {
    let mut limits = Limits::default();
    if chance.happens(250) {
        limits.steps = chance.small(1, 12);
        limits.pending_steps = chance.size(1, 8);
        limits.output_bytes = chance.size(40, 200);
        limits.state_bytes = chance.within(60, 900);
        limits.sleep = Duration::from_hours(chance.within(1, 48));
    }
    if chance.happens(500) {
        limits.timer_window = Duration::from_secs(chance.within(2, 900));
        limits.timer_count = chance.size(1, 12);
    }
    let retention = Duration::from_hours(24 * chance.within(1, 5));
    Settings { seed: chance.draw(), retention, limits }
}
