//! Debounce, batch and timeouts where something else comes between: a deploy, a missing key, retention, a full
//! wheel of timers.

use std::time::Duration;

use durable_core::{
    Batch, Debounce, FunctionSpec, Limits, Policies, Settings, Singleton, SingletonMode, Timeouts,
    Until, write,
};

use crate::world::{DAY, SECOND, World, done, event, function, sleeps, with_id};

fn debounced() -> FunctionSpec {
    let debounce = Debounce { period_ms: 1_000, key: None, timeout_ms: None };
    let policies = Policies { debounce: Some(debounce), ..Policies::default() };
    FunctionSpec { policies, ..function("f", "a") }
}

#[test]
fn an_event_without_a_value_for_the_key_of_a_batch_or_debounce_is_counted() {
    let key = || Some("event.data.k".to_owned());
    let mut spec = debounced();
    spec.policies.debounce = Some(Debounce { period_ms: 1_000, key: key(), timeout_ms: None });
    let mut batched = function("g", "a");
    batched.policies.batch =
        Some(Batch { max_size: 3, timeout_ms: 1_000, key: key(), condition: None });
    let mut world = World::new(vec![spec, batched]);
    world.send(vec![event("a"), event("a")]);
    let counts = world.shard.counts();
    let missing: Vec<u64> = counts.functions.iter().map(|one| one.missing_keys).collect();
    assert_eq!(missing, [2, 2]);
}

/// Its keys were evaluated while it was one.
#[test]
fn a_gathered_run_holds_no_singleton_that_a_deploy_took_away() {
    let mut spec = debounced();
    spec.policies.singleton = Some(Singleton { mode: SingletonMode::Skip, key: None });
    let mut world = World::new(vec![spec]);
    world.send(vec![event("a")]);
    world.advance(2 * SECOND);
    let holder = world.only_work();
    world.send(vec![event("a")]);
    world.functions = vec![debounced()];
    world.register();
    world.advance(2 * SECOND);
    let other = world.only_work();
    world.report(&holder, 0, vec![done()], None);
    world.report(&other, 0, vec![done()], None);
    assert_eq!(world.ended(), [holder.run, other.run]);
}

/// The run of a debounce outlives the first of its events, which it dropped for a later one.
#[test]
fn what_is_remembered_of_a_dropped_events_sender_goes_in_the_end() {
    let settings = Settings { retention: DAY, ..Settings::default() };
    let mut world = World::with_settings(vec![debounced()], settings);
    world.send(vec![with_id("a", "x")]);
    world.send(vec![event("a")]);
    world.advance(2 * SECOND);
    let work = world.only_work();
    world.report(&work, 0, vec![sleeps("s", Until::For(5 * DAY))], Some(0));
    (0..40).for_each(|_| world.advance(DAY / 8));
    let work = world.only_work();
    world.report(&work, 0, vec![done()], None);
    (0..40).for_each(|_| world.advance(DAY / 8));
    assert!(world.all(write::DEDUP).is_empty() && world.all(write::EVENT).is_empty());
}

/// The timer is set while the answer to a question for later ones is on its way, and there is no room for it.
#[test]
fn a_finish_timeout_comes_though_the_wheel_is_full() {
    let limits = Limits { timer_count: 1, timer_window: 10 * SECOND, ..Limits::default() };
    let mut spec = function("f", "a");
    spec.policies.timeouts = Some(Timeouts { start_ms: None, finish_ms: Some(1_000) });
    for wait in 0..36_u32 {
        let settings = Settings { limits: limits.clone(), ..Settings::default() };
        let mut world = World::with_settings(vec![spec.clone(), function("g", "b")], settings);
        world.send(vec![event("b")]);
        let work = world.only_work();
        world.report(&work, 0, vec![sleeps("s", Until::For(9 * SECOND))], Some(0));
        world.now = world.now.plus(Duration::from_millis(250) * wait);
        world.send(vec![event("a")]);
        let late = world.work().into_iter().find(|work| work.function.0 == 0).unwrap();
        (0..6).for_each(|_| world.advance(Duration::from_millis(250)));
        assert_eq!(world.ended(), [late.run], "started after {wait} quarters of a second");
    }
}

/// More timers than fire in one turn.
const HERD: usize = 5_000;

/// So many runs of `b` sleep for a second.
fn herd(world: &mut World) {
    world.is_audited = false;
    world.connect(10_000);
    world.send((0..HERD).map(|_| event("b")).collect());
    for work in world.work() {
        let sleep = sleeps("s", Until::For(SECOND));
        world.report(&work, 0, vec![sleep], Some(0));
    }
}

/// What is too late is behind a herd of timers that were due before it.
#[test]
fn a_run_whose_deadline_passed_while_nobody_looked_is_not_called_again() {
    let mut spec = function("f", "a");
    spec.policies.timeouts = Some(Timeouts { start_ms: None, finish_ms: Some(2_000) });
    let mut world = World::new(vec![spec, function("g", "b")]);
    world.send(vec![event("a")]);
    let late = world.only_work();
    world.report(&late, 0, vec![sleeps("s", Until::For(SECOND / 2))], Some(0));
    herd(&mut world);
    world.advance(60 * SECOND);
    (0..4).for_each(|_| world.advance(SECOND));
    let called: Vec<_> = world.work().into_iter().map(|work| work.run).collect();
    assert_eq!(called.len(), HERD, "the others go on");
    assert!(!called.contains(&late.run), "it goes on though it is too late");
    assert_eq!(world.ended(), [late.run]);
}

/// An event that comes after a burst was due begins another.
#[test]
fn a_debounce_that_was_due_takes_no_more_events() {
    let mut world = World::new(vec![debounced(), function("g", "b")]);
    let first = world.send(vec![event("a")]);
    herd(&mut world);
    world.now = world.now.plus(60 * SECOND);
    let second = world.send(vec![event("a")]);
    let runs: Vec<_> = world.work().into_iter().filter(|work| work.event == first[0]).collect();
    assert_eq!(runs.len(), 1, "the burst that was due");
    (0..4).for_each(|_| world.advance(2 * SECOND));
    let of_second = world.work().into_iter().filter(|work| work.event == second[0]).count();
    assert_eq!(of_second, 1);
}
