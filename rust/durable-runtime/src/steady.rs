//! The wall's time made steady: it never goes back, and it never stands still.
//!
//! The wall's clock may be set; the machine's own only runs. Set forward, the wall is followed at once. Set
//! back, by however much, the engine's time runs on from where it was, and is *ahead* of the wall by the
//! step from then on, until the wall is set forward again; so too where a store was last open at a time
//! that the wall has not reached. Clocks also drift apart a little, and whoever reads them may be held up
//! between the one and the other. In this the wall is right: the engine's time may come back to it, and
//! must not run away from it.
//!
//! What is promised of sleeps: none ends before its moment by the wall as it stood when the sleep was asked
//! for, and none is late because the wall was set back. A length needs nothing for that. A moment
//! (`sleep_until`, an event that is to start its run later) is the wall's, and is taken as that much later
//! in the engine's time as the engine is ahead ([`in_engine_time`]). If the wall is set right again before
//! it comes, it comes late by the wall, not early.
//!
//! What is not held: how far the engine is ahead is not written down. After a restart it is only as far ahead
//! as the store's last moment lies beyond the wall's, and after a suspend the time suspended is taken for a
//! step forward: a sleep of before may then be late, by the step at most, never early.

use std::time::Duration;

use durable_core::{Command, Op, Timestamp, Until};

use crate::mailbox::Message;

/// Of the time between two readings clocks drift by the thousandth part at most: twice what they are slewed by.
const DRIFT: u32 = 1_000;
/// What is no step beside that.
const JITTER: Duration = Duration::from_millis(1);

/// The wall's clock and one that only runs, as they were read last.
#[derive(Debug)]
pub(crate) struct Steady {
    wall: Timestamp,
    ran: Duration,
    now: Timestamp,
    ahead: Duration,
}

impl Steady {
    /// `start`: the time of the store, where that is later than the wall's.
    pub(crate) fn begin(start: Timestamp, (wall, ran): (Timestamp, Duration)) -> Self {
        Self { wall, ran, now: start.max(wall), ahead: start.since(wall) }
    }

    /// The engine's time, when the two clocks show this. Read the wall's first: what then passes before the
    /// other is read makes the engine late, not early.
    pub(crate) fn read(&mut self, (wall, ran): (Timestamp, Duration)) -> Timestamp {
        let between = ran.saturating_sub(self.ran);
        let expected = self.wall.plus(between);
        let back = expected.since(wall).saturating_sub(between / DRIFT);
        if back > JITTER {
            self.ahead = self.ahead.saturating_add(back);
        }
        self.ahead = self.ahead.saturating_sub(wall.since(expected));
        (self.wall, self.ran) = (wall, ran);
        self.now = self.now.max(wall.plus(self.ahead));
        self.now
    }

    /// How far the engine's time is ahead of the wall's.
    pub(crate) fn ahead(&self) -> Duration {
        self.ahead
    }
}

/// A message with its moments in the engine's time. What is past stays as it was said.
pub(crate) fn in_engine_time(mut message: Message, now: Timestamp, ahead: Duration) -> Message {
    if ahead.is_zero() {
        return message;
    }
    if let Message::Command(Command::Report(report)) = &mut message {
        for op in &mut report.ops {
            if let Op::Sleep { until: Until::At(moment), .. }
            | Op::WaitForSignal { until: Until::At(moment), .. } = op
            {
                *moment = moment.plus(ahead);
            }
        }
    }
    if let Message::Command(Command::AcceptEvents { events, .. }) = &mut message {
        for (event, _) in events {
            event.starts_at = event.ts.and_then(|ts| starts_at(ts, now, ahead));
        }
    }
    message
}

/// What somebody should know who opens a store whose time is so far ahead; `None` where that is next to nothing, as after
/// a clock was set right by some seconds.
pub(crate) fn told(ahead: Duration) -> Option<String> {
    if ahead < TOLD {
        return None;
    }
    let minutes = ahead.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let length = parts.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ");
    Some(format!(
        "the store's time is {length} ahead of this machine's clock: it was last open on a scaled or virtual clock, or \
         the machine's clock has been set back. Time in it goes on from there at its usual pace: what sleeps or waits \
         does so for as long as was asked, moments that are shown lie {length} ahead, and crons come that much too \
         early. The lead stays while the store is open, and shrinks while it is closed. If the machine's clock is \
         wrong, set it right and open the store again; else use a new store for work in real time"
    ))
}

/// From here on somebody is told.
const TOLD: Duration = Duration::from_mins(1);

/// When a run starts whose event lies ahead on the wall; `None` where it does not.
pub(crate) fn starts_at(ts: Timestamp, now: Timestamp, ahead: Duration) -> Option<Timestamp> {
    Some(ts).filter(|ts| *ts > now.minus(ahead)).map(|ts| ts.plus(ahead))
}

#[cfg(test)]
mod tests {
    use durable_core::{Epoch, NewEvent, Report, RunId, Ticket};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);
    const DAWN: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// Two clocks that a test sets, and what is made of them.
    struct Clocks {
        wall: Timestamp,
        ran: Duration,
        steady: Steady,
    }

    impl Clocks {
        fn begin() -> Self {
            let (wall, ran) = (DAWN, SECOND);
            Self { wall, ran, steady: Steady::begin(DAWN, (wall, ran)) }
        }

        /// How far the engine's time gets in so much real time.
        fn pass(&mut self, real: Duration) -> Duration {
            let before = self.steady.now;
            self.wall = self.wall.plus(real);
            self.ran += real;
            self.steady.read((self.wall, self.ran)).since(before)
        }
    }

    #[test]
    fn while_nobody_sets_the_wall_its_time_is_the_engines() {
        let mut clocks = Clocks::begin();
        for _ in 0..100 {
            assert_eq!(clocks.pass(SECOND), SECOND);
            assert_eq!(clocks.steady.now, clocks.wall);
        }
    }

    #[test]
    fn after_a_step_back_time_runs_on_as_fast_as_before() {
        for step in [Duration::from_millis(3), SECOND, HOUR, 87_600 * HOUR] {
            let mut clocks = Clocks::begin();
            clocks.pass(HOUR);
            clocks.wall = clocks.wall.minus(step);
            let first = clocks.pass(SECOND);
            assert!(first >= Duration::from_millis(999), "{first:?} of a second, {step:?}");
            for _ in 0..1_000 {
                assert_eq!(clocks.pass(SECOND), SECOND, "{step:?}");
            }
        }
    }

    #[test]
    fn after_a_step_forward_the_wall_is_followed_at_once() {
        let mut clocks = Clocks::begin();
        clocks.wall = clocks.wall.plus(HOUR);
        assert_eq!(clocks.pass(SECOND), HOUR + SECOND);
        assert_eq!(clocks.steady.now, clocks.wall);
    }

    /// Whoever sets the wall back by mistake sets it right again: nothing is lost by either.
    #[test]
    fn a_step_back_and_forth_leaves_no_trace_and_what_is_more_than_back_is_followed() {
        let mut clocks = Clocks::begin();
        clocks.wall = clocks.wall.minus(HOUR);
        clocks.pass(SECOND);
        clocks.wall = clocks.wall.plus(HOUR);
        clocks.pass(SECOND);
        assert_eq!((clocks.steady.now, clocks.steady.ahead()), (clocks.wall, Duration::ZERO));
        clocks.wall = clocks.wall.minus(HOUR);
        clocks.pass(SECOND);
        clocks.wall = clocks.wall.plus(3 * HOUR);
        clocks.pass(SECOND);
        assert_eq!((clocks.steady.now, clocks.steady.ahead()), (clocks.wall, Duration::ZERO));
    }

    /// The wall is slewed, and the reader is held up between the one clock and the other.
    #[test]
    fn drift_and_delays_do_not_add_up_to_a_lead_over_the_wall() {
        let mut clocks = Clocks::begin();
        for number in 0..10_000_u64 {
            let delay = Duration::from_micros(number * 7919 % 20_000);
            let shown = clocks.wall;
            clocks.wall = shown.plus(delay);
            clocks.ran += delay;
            let now = clocks.steady.read((shown, clocks.ran));
            assert!(now <= clocks.wall, "early by {:?}", now.since(clocks.wall));
            clocks.wall = clocks.wall.plus(Duration::from_micros(999_500));
            clocks.ran += SECOND;
        }
    }

    #[test]
    fn a_store_whose_time_the_wall_has_not_reached_goes_on_from_there() {
        let mut steady = Steady::begin(DAWN.plus(HOUR), (DAWN, SECOND));
        assert_eq!(steady.read((DAWN.plus(SECOND), 2 * SECOND)), DAWN.plus(HOUR + SECOND));
        assert_eq!(steady.ahead(), HOUR);
    }

    #[test]
    fn who_opens_a_store_that_is_ahead_is_told_by_how_much() {
        assert_eq!(told(Duration::from_secs(59)), None);
        let text = told(HOUR * 49 + SECOND * 65).unwrap();
        assert!(
            text.starts_with("the store's time is 2 d 1 h 1 min ahead of this machine's"),
            "{text}"
        );
        assert!(text.contains("use a new store"), "{text}");
        assert!(told(HOUR).unwrap().contains("is 1 h ahead"));
    }

    #[test]
    fn moments_that_come_are_the_engines_then_and_what_is_past_stays() {
        let report = |until| {
            let ops = vec![Op::Sleep { name: "s".to_owned(), until }];
            let run = RunId::from_bytes([1; 16]);
            Message::Command(Command::Report(Report {
                ops,
                run,
                epoch: Epoch(1),
                number: 0,
                parked_at: None,
            }))
        };
        let taken = |message| format!("{:?}", in_engine_time(message, DAWN.plus(HOUR), HOUR));
        let at = |moment| report(Until::At(moment));
        assert_eq!(taken(at(DAWN)), format!("{:?}", at(DAWN.plus(HOUR))));
        let length = || report(Until::For(HOUR));
        assert_eq!(taken(length()), format!("{:?}", length()));
        let soon = DAWN.plus(SECOND);
        let said = |starts_at| {
            let event = |ts| (NewEvent { ts, ..NewEvent::default() }, None);
            let mut events = [None, Some(DAWN), Some(soon)].map(event);
            events[2].0.starts_at = starts_at;
            let events = events.to_vec();
            Message::Command(Command::AcceptEvents { ticket: Ticket(1), events, source: None })
        };
        let after = said(Some(soon.plus(HOUR)));
        assert_eq!(
            taken(said(None)),
            format!("{after:?}"),
            "the moment that the sender gave stays"
        );
    }
}
