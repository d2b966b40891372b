//! Tries and their table, and the limits beyond which a run fails.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Backoff, Effect, Ending, FunctionSpec, Limits, Op, Outcome, Retry, RunId, Settings, Until,
    write,
};

use crate::world::{DAY, SECOND, World, done, event, failed, function, raised, ran, sleeps};

/// R1 and R3 of the pinned cases: each step has its own tries, and the table is followed.
#[test]
fn a_step_is_tried_again_by_the_table_and_then_its_error_is_remembered() {
    let mut world = World::new(vec![FunctionSpec { retries: 2, ..function("f", "a") }]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![failed("s", Retry::Backoff)], None);
    world.report(&work, 1, Vec::new(), Some(0));
    for (attempt, seconds) in [(1, 15), (2, 30)] {
        world.advance(Duration::from_secs(seconds - 1));
        assert!(world.work().is_empty(), "early");
        world.advance(SECOND);
        let again = world.only_work();
        assert_eq!((again.step.as_deref(), again.attempt), (Some("s"), attempt));
        world.report(&again, 0, vec![failed("s", Retry::Backoff)], None);
    }
    let on = world.only_work();
    assert_eq!((on.step, on.memo_count, on.attempt), (None, 1, 0));
    let memo: durable_core::Memo = write::decode("a memo", &world.all(write::MEMO)[0].1).unwrap();
    assert!(matches!(memo.outcome, Outcome::Error(_)) && memo.start_count == 3);
}

#[test]
fn an_error_may_forbid_a_retry_or_say_when() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a"), event("a")]);
    let work = world.work();
    world.report(&work[0], 0, vec![failed("s", Retry::Never)], None);
    assert_eq!(world.all(write::MEMO).len(), 1);
    let later = Retry::After(Duration::from_secs(77));
    let error = raised(later);
    world.report(&work[1], 0, vec![error], None);
    world.advance(Duration::from_secs(76));
    assert!(world.work().is_empty());
    world.advance(SECOND);
    assert_eq!(world.only_work().attempt, 1);
}

/// R2 of the pinned cases.
#[test]
fn twenty_retries_are_twenty_one_attempts_and_then_the_run_fails() {
    let mut spec = FunctionSpec { retries: 20, ..function("f", "a") };
    spec.backoff = Backoff { delays: vec![SECOND], jitter: Duration::ZERO };
    let mut world = World::new(vec![spec]);
    world.send(vec![event("a")]);
    for attempt in 0..=20 {
        let work = world.only_work();
        assert_eq!(work.attempt, attempt);
        let error = raised(Retry::Backoff);
        world.report(&work, 0, vec![error], None);
        world.advance(SECOND);
    }
    assert!(world.work().is_empty());
    assert_eq!(world.ended().len(), 1);
    assert_eq!(world.shard.counts().functions[0].failed, 1);
}

/// A step inside a stretch has not been started by tries of the code that failed before they came to it.
#[test]
fn a_step_counts_its_own_starts_and_not_those_of_the_code_before_it() {
    let mut world = World::new(vec![FunctionSpec { retries: 9, ..function("f", "a") }]);
    world.send(vec![event("a")]);
    for (attempt, step_attempt, has_left_step) in [(0, 0, false), (1, 0, true), (2, 1, false)] {
        let work = world.only_work();
        assert_eq!((work.attempt, work.step_attempt), (attempt, step_attempt));
        let retry = Retry::After(SECOND);
        let error = Op::RunError { error: Bytes::from_static(b"{}"), retry, has_left_step };
        world.report(&work, 0, vec![error], None);
        world.advance(SECOND);
    }
    let work = world.only_work();
    assert_eq!((work.attempt, work.step_attempt), (3, 1));
    world.crash(); // the step may have begun
    let work = world.only_work();
    assert_eq!((work.attempt, work.step_attempt), (4, 2));
    world.report(&work, 0, vec![ran("s")], None);
    let memo: durable_core::Memo = write::decode("a memo", &world.all(write::MEMO)[0].1).unwrap();
    assert_eq!(memo.start_count, 3);
    world.report(&work, 1, vec![failed("t", Retry::Never)], None);
    world.report(&work, 2, vec![raised(Retry::After(SECOND))], None);
    world.advance(SECOND);
    let work = world.only_work();
    assert_eq!((work.attempt, work.step_attempt), (1, 0), "what is behind a step begins anew");
}

/// What is cut off by a crash counts as a start and not as a failure, of the code and of a step.
#[test]
fn work_says_how_often_it_has_failed_beside_how_often_it_was_started() {
    let mut world = World::new(vec![FunctionSpec { retries: 1, ..function("f", "a") }]);
    world.send(vec![event("a")]);
    world.only_work();
    world.crash();
    let work = world.only_work();
    assert_eq!((work.attempt, work.failure_count), (1, 0));
    world.report(&work, 0, vec![raised(Retry::After(SECOND))], None);
    world.advance(SECOND);
    let work = world.only_work();
    assert_eq!((work.attempt, work.failure_count), (2, 1));
    world.report(&work, 0, vec![failed("s", Retry::After(SECOND))], Some(0));
    world.advance(SECOND);
    let step = world.only_work();
    assert_eq!((step.step.as_deref(), step.failure_count), (Some("s"), 1));
    world.crash();
    let step = world.work().into_iter().find(|work| work.step.is_some()).unwrap();
    assert_eq!(step.failure_count, 1);
}

#[test]
fn code_behind_a_step_error_or_a_memo_has_tries_of_its_own() {
    for op in [failed("s", Retry::Never), sleeps("s", Until::For(SECOND))] {
        let mut world = World::new(vec![FunctionSpec { retries: 1, ..function("f", "a") }]);
        world.send(vec![event("a")]);
        let work = world.only_work();
        world.report(&work, 0, vec![raised(Retry::After(SECOND))], None);
        world.advance(SECOND);
        let again = world.only_work();
        world.report(&again, 0, vec![op], None);
        world.advance(SECOND); // the code executes, and goes on with the memo
        world.report(&again, 1, vec![raised(Retry::After(SECOND))], None);
        assert!(world.ended().is_empty(), "it has one more try");
        world.advance(SECOND);
        let last = world.only_work();
        world.report(&last, 0, vec![raised(Retry::After(SECOND))], None);
        assert_eq!(world.ended(), [work.run]);
    }
}

/// S9 of the pinned cases, less its mistake: the thousandth step still completes the run.
#[test]
fn a_thousand_steps_complete_and_one_more_fails_the_run_by_name() {
    for (count, ending) in [(1_000, Ending::Completed), (1_001, Ending::Failed)] {
        let mut world = World::new(vec![function("f", "a")]);
        world.is_audited = false;
        world.send(vec![event("a")]);
        let work = world.only_work();
        for number in 0..count {
            world.report(&work, number, vec![ran(&format!("s{number}"))], None);
        }
        world.report(&work, count, vec![done()], None);
        let history = write::read_history(&world.all(write::HISTORY)[0].1).unwrap();
        assert_eq!(history.end.ending, ending);
        if let Outcome::Error(error) = history.end.outcome {
            assert!(String::from_utf8_lossy(&error).contains("StepLimitExceeded"));
        }
    }
}

/// S10 of the pinned cases.
#[test]
fn outputs_and_states_beyond_their_limits_fail_their_run_only() {
    let limits = Limits { output_bytes: 10, state_bytes: 15, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let mut world = World::with_settings(vec![function("f", "a")], settings);
    world.send(vec![event("a"), event("a"), event("a")]);
    let work = world.work();
    let big = |name: &str, size| Op::StepRun {
        name: name.to_owned(),
        data: Bytes::from(vec![b'1'; size]),
    };
    world.report(&work[0], 0, vec![big("s", 11)], None);
    world.report(&work[1], 0, vec![big("s", 9), big("t", 9)], None);
    world.report(&work[2], 0, vec![big("s", 10), big("t", 5)], None);
    assert_eq!(world.ended(), [work[0].run, work[1].run], "exactly the limit is not beyond it");
}

/// Every step counts, whatever its kind, with a memo or without.
#[test]
fn sleeps_waits_and_pending_steps_count_against_the_limits() {
    let limits = Limits { steps: 5, pending_steps: 3, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let mut world = World::with_settings(vec![function("f", "a")], settings);
    let second = Until::For(SECOND);
    for (first, then, is_fine) in [(3, 2, true), (3, 3, false), (4, 0, false)] {
        world.send(vec![event("a")]);
        let work = world.only_work();
        let sleep = |number: u32| sleeps(&format!("s{number}"), second);
        world.report(&work, 0, (0..first).map(sleep).collect(), Some(0));
        world.advance(SECOND);
        for work in world.work() {
            let more = (first..first + then).map(sleep).collect();
            world.report(&work, 0, more, Some(work.memo_count));
        }
        let names: Vec<bool> = world.ended().iter().map(|run| *run == work.run).collect();
        assert_eq!(names.is_empty(), is_fine, "{first} and {then}");
        world.advance(SECOND);
        for work in world.work() {
            world.report(&work, 0, vec![done()], None);
        }
        world.other.clear();
    }
}

/// A run that invoked another ends in the turn of the other's end where what it is told is too much for it.
#[test]
fn a_run_that_ends_by_being_told_of_an_end_is_announced_behind_that() {
    let settings =
        Settings { limits: Limits { state_bytes: 5, ..Limits::default() }, ..Settings::default() };
    let functions = vec![function("parent", "a"), function("child", "never")];
    let mut world = World::with_settings(functions, settings);
    world.send(vec![event("a")]);
    let parent = world.only_work();
    let (name, function) = ("child".to_owned(), "child".to_owned());
    let (data, until) = (Bytes::from_static(b"{}"), Until::For(DAY));
    world.report(&parent, 0, vec![Op::InvokeFunction { name, function, data, until }], Some(0));
    let child = world.only_work();
    world.other.clear();
    world.report(&child, 0, vec![done()], None);
    let ends = world.other.iter().filter_map(|effect| {
        let Effect::AnnounceEnd { run, ending, .. } = effect else { return None };
        Some((*run, *ending))
    });
    let ends: Vec<(RunId, Ending)> = ends.collect();
    assert_eq!(ends, [(child.run, Ending::Completed), (parent.run, Ending::Failed)]);
}
