//! Rehearsals small enough to be computed by hand.

use std::time::Duration;

use durable_core::flow::policy::Scope as PolicyScope;
use durable_core::{Concurrency, FunctionSpec, NewEvent, Policies, RateLimit, Throttle};

use super::*;

fn event(who: &str, id: Option<&str>) -> NewEvent {
    NewEvent {
        name: "test/start".to_owned(),
        data: format!("{{\"who\":\"{who}\"}}").into(),
        user_id: id.map(str::to_owned),
        ..NewEvent::default()
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

/// Events (who, at which second), each with a run of so many seconds.
fn plan(policies: Policies, events: &[(&str, u64)], length: u64) -> Plan {
    let length = Duration::from_secs(length);
    let arrivals = events.iter().map(|(who, second)| Arrival {
        event: event(who, None),
        at: at(*second),
        length,
    });
    let mut function = FunctionSpec::new("bench", "flow");
    function.triggers = vec!["test/start".to_owned()];
    function.policies = policies;
    Plan { function, capacity: 100, seed: 7, arrivals: arrivals.collect(), stop_at: None }
}

fn play(plan: Plan) -> Trace {
    rehearse(plan, &mut || false).unwrap().unwrap()
}

/// When each event's run started, in seconds.
fn starts(trace: &Trace) -> Vec<Option<u64>> {
    let run = |event: &EventTrace| event.run.map(|place| trace.runs[place]);
    let start = |run: RunTrace| run.started_at.map(|moment| moment.since(at(0)).as_secs());
    trace.events.iter().map(|event| run(event).and_then(start)).collect()
}

fn some(seconds: &[u64]) -> Vec<Option<u64>> {
    seconds.iter().copied().map(Some).collect()
}

fn throttle(limit: u32, period_ms: u64) -> Policies {
    let throttle = Throttle { limit, period_ms, burst: 0, key: None };
    Policies { throttle: Some(throttle), ..Policies::default() }
}

#[test]
fn a_throttle_spreads_starts() {
    let trace = play(plan(throttle(2, 10_000), &[("a", 0); 5], 1));
    assert_eq!(starts(&trace), some(&[0, 0, 5, 10, 15]));
    assert_eq!(trace.ended_at, at(16));
}

#[test]
fn a_rate_limit_drops_what_is_too_much() {
    let limit = RateLimit { limit: 2, period_ms: 10_000, burst: 1, key: None };
    let policies = Policies { rate_limit: Some(limit), ..Policies::default() };
    let events = [("a", 0), ("a", 0), ("a", 0), ("a", 4), ("a", 5), ("a", 6)];
    let trace = play(plan(policies, &events, 1));
    assert_eq!(starts(&trace), [Some(0), Some(0), None, None, Some(5), None]);
    let skips: Vec<_> = trace.events.iter().map(|event| event.skip).collect();
    assert_eq!(skips[2..4], [Some("rate_limit"); 2]);
}

#[test]
fn a_keyed_limit_lets_each_key_go_on_alone() {
    let key = Some("event.data.who".to_owned());
    let concurrency = vec![Concurrency { limit: 1, key, scope: PolicyScope::Fn }];
    let policies = Policies { concurrency, ..Policies::default() };
    let events = [("a", 0), ("a", 0), ("b", 1), ("a", 1), ("b", 2)];
    let trace = play(plan(policies, &events, 10));
    assert_eq!(starts(&trace), some(&[0, 10, 1, 20, 11]));
    assert_eq!(trace.ended_at, at(30));
}

#[test]
fn capacity_bounds_all_of_it() {
    let mut plan = plan(Policies::default(), &[("a", 0); 4], 10);
    plan.capacity = 2;
    assert_eq!(starts(&play(plan)), some(&[0, 0, 10, 10]));
}

#[test]
fn what_waits_when_it_stops_has_not_started() {
    let mut plan = plan(throttle(1, 10_000), &[("a", 0); 4], 60);
    plan.stop_at = Some(at(15));
    let trace = play(plan);
    assert_eq!(starts(&trace), [Some(0), Some(10), None, None]);
    assert!(trace.runs.iter().all(|run| run.ended.is_none()));
    assert_eq!(trace.ended_at, at(15));
}

#[test]
fn an_id_that_was_seen_starts_nothing_for_a_day() {
    let mut plan = plan(Policies::default(), &[("a", 0), ("a", 5), ("a", 90_000)], 1);
    for arrival in &mut plan.arrivals {
        arrival.event = event("a", Some("same"));
    }
    let trace = play(plan);
    assert_eq!(starts(&trace), [Some(0), None, Some(90_000)]);
    assert_eq!(trace.events[1].skip, Some("duplicate"));
}

#[test]
fn it_may_be_called_off() {
    let events = vec![("a", 0); 5_000];
    let plan = plan(throttle(1, 1_000), &events, 1);
    assert_eq!(rehearse(plan, &mut || true), Ok(None));
}

#[test]
fn years_pass_and_the_same_plan_gives_the_same_trace() {
    let year = 366 * 24 * 3_600;
    let plan = plan(throttle(1, 7 * 24 * 3_600_000), &[("a", 0), ("a", 0), ("b", 9 * year)], 5);
    let trace = play(plan.clone());
    assert_eq!(starts(&trace), some(&[0, 7 * 24 * 3_600, 9 * year]));
    assert_eq!(play(plan), trace);
}

#[test]
fn a_wrong_event_is_named() {
    let mut plan = plan(Policies::default(), &[("a", 0), ("a", 1)], 1);
    plan.arrivals[1].event.name = "durable/mine".to_owned();
    let error = rehearse(plan, &mut || false).unwrap_err();
    assert!(error.text.starts_with("event 2: "), "{error}");
}
