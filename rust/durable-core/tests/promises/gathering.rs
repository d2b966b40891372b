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
