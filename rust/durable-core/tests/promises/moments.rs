//! Nothing early, nothing late, and what is old goes.

use std::time::Duration;

use durable_core::{Limits, Memo, Op, Outcome, Settings, Since, Until, write};

use crate::world::{DAY, SECOND, World, done, event, function, report, sleeps, with_id};

#[test]
fn a_sleep_ends_at_its_moment_never_early_though_the_process_was_down() {
    for pause in [DAY, Duration::from_secs(1), Duration::from_millis(1), 366 * DAY] {
        let mut world = World::new(vec![function("f", "a")]);
        world.send(vec![event("a")]);
        let work = world.only_work();
        world.report(&work, 0, vec![sleeps("s", Until::For(pause))], Some(0));
        assert!(world.work().is_empty());
        world.advance(pause.checked_sub(Duration::from_nanos(1)).unwrap());
        world.crash();
        assert!(world.work().is_empty(), "early by a nanosecond, {pause:?}");
        world.advance(Duration::from_millis(1));
        let woken = world.only_work();
        assert_eq!((woken.memo_count, woken.attempt), (1, 0), "{pause:?}");
    }
}

#[test]
fn a_sleep_into_the_past_ends_at_once_and_one_beyond_the_limit_fails_its_run() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a"), event("a")]);
    let work = world.work();
    let past = Until::At(world.now.minus(DAY));
    world.report(&work[0], 0, vec![sleeps("s", past)], Some(0));
    assert_eq!(world.only_work().memo_count, 1);
    world.report(&work[1], 0, vec![sleeps("s", Until::For(367 * DAY))], Some(0));
    assert_eq!(world.ended(), [work[1].run]);
}

/// An event that comes at the very moment at which its wait ends: who is committed first wins, and alone.
#[test]
fn an_event_at_the_moment_of_a_time_out_and_the_time_out_are_one_or_the_other() {
    for (is_told_first, answer) in [(true, &b"null"[..]), (false, &b"{"[..])] {
        let mut world = World::new(vec![function("f", "a")]);
        world.send(vec![event("a")]);
        let work = world.only_work();
        let wait = Op::WaitForEvent {
            name: "w".to_owned(),
            event: "go".to_owned(),
            expression: None,
            own: None,
            until: Until::For(SECOND),
            since: Since::Stretch,
            behind: None,
        };
        world.report(&work, 0, vec![wait], Some(0));
        if is_told_first {
            world.advance(SECOND);
        } else {
            world.now = world.now.plus(SECOND);
        }
        world.send(vec![event("go")]);
        assert_eq!(world.only_work().memo_count, 1, "once");
        let memo: Memo = write::decode("a memo", &world.all(write::MEMO)[0].1).unwrap();
        let Outcome::Data(json) = memo.outcome else { panic!("a wait ends with data") };
        assert!(json.starts_with(answer), "{json:?}");
        world.advance(DAY);
        assert_eq!(world.all(write::MEMO).len(), 1);
    }
}

#[test]
fn timers_beyond_the_window_stay_in_the_store_until_it_comes() {
    let mut world = World::new(vec![function("f", "a")]);
    world.is_audited = false;
    world.advance(SECOND);
    world.send(vec![event("a"); 20_000]);
    let mut sleeping = 0;
    while sleeping < 20_000 {
        let work = world.work();
        sleeping += work.len();
        let sleep = |work| report(work, 0, vec![sleeps("s", Until::For(DAY))], Some(0));
        world.turn(work.iter().map(sleep).collect());
    }
    assert_eq!(world.shard.counts().timer_count, 0, "far timers cost no memory");
    world.now = world.now.plus(Duration::from_mins(24 * 60 - 1));
    world.crash();
    for _ in 0..4 {
        world.turn(Vec::new());
    }
    assert_eq!(world.shard.counts().timer_count, 20_000, "loaded in parts");
    world.advance(Duration::from_mins(1));
    let mut woken = 0;
    for _ in 0..40 {
        let work = world.work();
        woken += work.len();
        world.turn(work.iter().map(|work| report(work, 0, vec![done()], None)).collect());
    }
    assert_eq!((woken, world.shard.counts().live_count), (20_000, 0));
}

#[test]
fn a_full_wheel_leaves_later_timers_in_the_store_and_none_is_late() {
    let limits = Limits { timer_count: 10, ..Limits::default() };
    let mut world =
        World::with_settings(vec![function("f", "a")], Settings { limits, ..Settings::default() });
    world.send(vec![event("a"); 50]);
    for (work, seconds) in world.work().iter().zip(1..) {
        let pause = Until::For(Duration::from_secs(seconds));
        world.report(work, 0, vec![sleeps("s", pause)], Some(0));
    }
    for second in 0..50 {
        world.advance(SECOND);
        world.turn(Vec::new());
        assert_eq!(world.work().len(), 1, "second {second}");
    }
}

#[test]
fn events_and_ended_runs_go_when_they_are_old_and_what_lives_stays() {
    let mut world = World::new(vec![function("f", "a"), function("slow", "b")]);
    world.send(vec![with_id("a", "x"), event("a"), with_id("b", "y")]);
    let (slow, quick): (Vec<_>, Vec<_>) =
        world.work().into_iter().partition(|work| work.function.0 == 1);
    for work in &quick {
        world.report(work, 0, vec![done()], None);
    }
    world.report(&slow[0], 0, vec![sleeps("s", Until::For(30 * DAY))], Some(0));
    for _ in 0..20 {
        world.advance(DAY);
    }
    let left = |world: &World| {
        [write::EVENT, write::HISTORY, write::DEDUP, write::RUN].map(|kind| world.all(kind).len())
    };
    assert_eq!(left(&world), [1, 0, 1, 1], "the sleeping run keeps its event");
    for _ in 0..11 {
        world.advance(DAY);
    }
    let woken = world.only_work();
    world.report(&woken, 0, vec![done()], None);
    world.advance(6 * DAY);
    assert_eq!(left(&world), [1, 1, 1, 0], "it is kept as long as any other after its end");
    for _ in 0..3 {
        world.advance(DAY);
    }
    assert_eq!(left(&world), [0, 0, 0, 0]);
    assert!(world.all(write::TIMER).is_empty());
}

/// A clock that runs on between any two turns must not keep the search for old records going for ever.
#[test]
fn an_idle_shard_writes_nothing_though_time_goes_on() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![sleeps("s", Until::For(300 * DAY))], Some(0));
    world.drift = SECOND;
    world.advance(DAY);
    let asked_before = world.question_count;
    for _ in 0..1_000 {
        world.turn(Vec::new());
    }
    let asked = world.question_count - asked_before;
    assert!(asked < 20, "asked {asked} times in a quarter of an hour");
}
