//! What one world is like: each seed draws its own sizes, settings and mix of faults.

use std::time::Duration;

use durable_core::{Limits, Ring, Settings};

use crate::chance::Chance;

/// Chances are in thousandths; 0 turns a fault off.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Calls of callers.
    pub call_count: u64,
    /// At most so many events come with one call.
    pub events_per_call: u32,
    /// Events that have a sender's id.
    pub with_id: u32,
    /// The longest period of a policy, about.
    pub policy_period: Duration,
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
    /// Pieces of a program that wait for an event, a signal, or a run that they start.
    pub awaits: u32,
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
    /// Functions hear of runs' ends.
    pub listens: bool,
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
    /// A function is paused, or resumed.
    pub pause_function: u32,
    /// Every so many turns the shard is compared with one that is loaded from the store.
    pub examine_every: u64,
    /// More turns than the world needs: one that takes them does not come to rest.
    pub most_turns: u64,
    /// Calls that publish a message.
    pub publishes: u32,
    /// Executors outside of the process.
    pub elsewhere: Elsewhere,
    /// The shard's settings.
    pub settings: Settings,
}

/// Executors outside of the process, and what goes wrong with them. In many worlds there are none.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// So many.
    pub count: u32,
    /// Most work that one of them takes at a time.
    pub capacity: u32,
    /// Calls that give no reply.
    pub no_reply: u32,
    /// Calls that take long.
    pub slow: u32,
    /// Calls that record each step before they go on to the next.
    pub checkpoints: u32,
    /// Groups whose code is called once all of it has come.
    pub for_all: u32,
    /// An application goes to rest, and comes back.
    pub rests: u32,
    /// A function moves to another executor.
    pub moves: u32,
    /// A live executor connects again.
    pub connects: u32,
}

impl Elsewhere {
    fn draw(chance: &mut Chance) -> Self {
        if !chance.happens(400) {
            return Self::default();
        }
        let mut fault = |most: u32| if chance.happens(500) { chance.small(1, most) } else { 0 };
        let [no_reply, slow, rests, moves, connects] =
            [fault(300), fault(500), fault(30), fault(60), fault(20)];
        Self {
            count: chance.small(1, 3),
            capacity: if chance.happens(400) { 1 } else { chance.small(2, 8) },
            no_reply,
            slow,
            checkpoints: if chance.happens(500) { chance.small(100, 1_000) } else { 0 },
            for_all: chance.small(0, 4) * 250,
            rests,
            moves,
            connects,
        }
    }

    /// The same where much more happens, and goes wrong as often.
    fn rarely(self) -> Self {
        let Self { rests, moves, connects, no_reply, .. } = self;
        Self {
            rests: rests.div_ceil(4),
            moves: moves.div_ceil(4),
            connects: connects.div_ceil(4),
            no_reply: no_reply.div_ceil(10),
            capacity: self.capacity.saturating_mul(3).saturating_sub(2), // 1 stays 1
            ..self
        }
    }
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
        let [wake, pause_function] = [fault(80), fault(60)];
        let is_slow = chance.happens(300);
        let scale = if is_slow { 3_600 } else { 1 };
        let settings = settings(chance);
        // Chance of its own: worlds without them are what they were before there were any.
        let elsewhere = Elsewhere::draw(&mut Chance::new(!chance.clone().draw()));
        Self {
            call_count: chance.within(3, 16),
            events_per_call: 3,
            with_id: 500,
            policy_period: Duration::from_secs(chance.within(1, 30) * scale),
            pause: Duration::from_secs(chance.within(1, 20) * scale),
            work: Duration::from_millis(chance.within(1, 20_000)),
            sleep: Duration::from_secs(chance.within(1, 600) * scale),
            commit: Duration::from_micros(chance.within(0, 50_000)),
            function_count: chance.size(1, 5),
            sender_count: chance.within(1, 8),
            program_size: chance.small(1, 7),
            awaits: if chance.happens(300) { chance.small(200, 900) } else { 0 },
            capacity: chance.small(1, 12),
            buffer: if chance.happens(300) { chance.small(1, 4) } else { 0 },
            drops_parked: if chance.happens(500) { chance.small(0, 1_000) } else { 0 },
            page: if chance.happens(500) { chance.size(2, 5) } else { 8_192 },
            has_disk: chance.happens(250),
            listens: chance.happens(400),
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
            pause_function,
            examine_every: 1,
            most_turns: 60_000,
            publishes: if chance.happens(300) { chance.small(50, 600) } else { 0 },
            elsewhere,
            settings,
        }
    }

    /// A world for flow control: many events, short handlers, little room, and a crash now and then.
    pub fn dense(chance: &mut Chance) -> Self {
        let usual = Self::draw(chance);
        let mut rarely = |most: u32| if chance.happens(500) { chance.small(1, most) } else { 0 };
        let [kill, cut, refuse, executor_dies] = [rarely(3), rarely(3), rarely(2), rarely(3)];
        let [jump, register, pause_function, delay] = [rarely(1), rarely(4), rarely(6), rarely(50)];
        let pause = Duration::from_millis(chance.within(5, 2_000));
        Self {
            call_count: chance.within(40, 200),
            events_per_call: chance.small(2, 16),
            with_id: chance.small(0, 60),
            sender_count: 40,
            policy_period: pause * chance.small(1, 40),
            pause,
            work: pause * chance.small(1, 8),
            sleep: pause * 20,
            commit: Duration::from_micros(chance.within(0, 5_000)),
            function_count: chance.size(2, 6),
            program_size: chance.small(1, 2),
            capacity: chance.small(2, 48),
            buffer: 0,
            page: 8_192,
            has_disk: false,
            is_hostile: false,
            kill,
            cut,
            refuse,
            flip: 0,
            executor_dies,
            drain: 0,
            jump,
            register,
            repeat: 0,
            delay,
            lose: 0,
            wake: 0,
            pause_function,
            examine_every: 50,
            most_turns: 1_000_000,
            elsewhere: usual.elsewhere.rarely(),
            settings: Settings { limits: Limits::default(), ..usual.settings },
            ..usual
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
    let message_bytes = chance.size(10, 100);
    limits.ring = Ring {
        messages: chance.small(1, 40),
        bytes: chance.within(2, 40) * 100,
        age: Duration::from_secs(chance.within(1, 20_000)),
        message_bytes,
    };
    let retention = Duration::from_hours(24 * chance.within(1, 5));
    let (seed, secret) = (chance.draw(), chance.draw());
    Settings { seed, secret, retention, limits }
}
