//! What the scheduler promises, on a virtual clock; after every turn a restart must find the same shard.

#[cfg(test)]
#[path = "promises/world.rs"]
mod world;

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Answer, Backoff, Command, Effect, Ending, FunctionSpec, Limits, NewEvent, Op, Outcome, Retry,
    Settings, Ticket, Until, write,
};
use world::{World, done, event, function, planned, ran, report, with_id};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

fn failed(name: &str, retry: Retry) -> Op {
    Op::StepError { name: name.to_owned(), error: Bytes::from_static(b"{}"), retry }
}

fn sleeps(name: &str, until: Until) -> Op {
    Op::Sleep { name: name.to_owned(), until }
}

#[test]
fn an_event_starts_each_matching_function_once() {
    let mut both = function("both", "shop/*");
    both.triggers.push("shop/order.placed".to_owned());
    let mut world =
        World::new(vec![both, function("exact", "shop/order.placed"), function("no", "x")]);
    world.send(vec![event("shop/order.placed")]);
    let functions: Vec<u32> = world.work().iter().map(|work| work.function.0).collect();
    assert_eq!(functions, [0, 1]);
}

#[test]
fn all_events_of_a_send_are_accepted_or_none() {
    let mut world = World::new(vec![function("f", "a")]);
    let events = vec![(event("a"), None), (event("durable/x"), None)];
    world.turn(vec![Command::AcceptEvents { ticket: Ticket(1), events, source: None }]);
    assert!(matches!(world.answer(), Answer::Refused(_)));
    assert!(world.all(write::EVENT).is_empty() && world.work().is_empty());
}

/// E1 of the pinned cases, and the rule on how long an id counts.
#[test]
fn an_id_starts_one_run_for_a_day_and_while_that_run_lives() {
    let mut world = World::new(vec![function("f", "a")]);
    let first = world.send(vec![with_id("a", "x"), with_id("a", "x")]);
    assert_eq!(first[0], first[1], "the same answer as the first");
    for _ in 0..3 {
        assert_eq!(world.send(vec![with_id("a", "x")]), first[..1]);
    }
    assert_eq!(world.all(write::EVENT).len(), 5, "each is stored");
    let work = world.only_work();
    world.advance(3 * DAY);
    world.send(vec![with_id("a", "x")]);
    assert!(world.work().is_empty(), "its run still lives");
    world.report(&work, 0, vec![done()], None);
    world.send(vec![with_id("a", "x")]);
    assert_eq!(world.work().len(), 1, "the day is over and the run too");
    world.send(vec![with_id("a", "y")]);
    assert_eq!(world.work().len(), 1, "another id is another event");
}

#[test]
fn a_second_function_gets_its_run_from_a_duplicate() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![with_id("a", "x")]);
    world.functions.push(function("g", "a"));
    world.register();
    world.connect(1_000);
    world.work();
    world.send(vec![with_id("a", "x")]);
    assert_eq!(world.only_work().function.0, 1);
}

#[test]
fn a_source_that_sends_a_batch_again_is_answered_and_ignored() {
    let mut world = World::new(vec![function("f", "a")]);
    for position in [5, 5, 4, 6] {
        world.send_from(vec![event("a")], Some(("file".to_owned(), position)));
    }
    assert_eq!(world.work().len(), 2);
    world.crash();
    assert_eq!(world.shard.source_position("file"), Some(6));
}

#[test]
fn an_inline_step_is_remembered_before_it_is_confirmed_and_the_run_ends_once() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![ran("one")], None);
    let confirmed = world
        .other
        .iter()
        .any(|effect| matches!(effect, Effect::ConfirmReport { number: 0, memo_count: 1, .. }));
    assert!(confirmed && world.all(write::MEMO).len() == 1);
    for _ in 0..2 {
        world.report(&work, 1, vec![done()], None);
    }
    assert_eq!(world.ended(), [work.run]);
    assert_eq!(world.abandoned(), [(work.run, work.epoch)], "the second report counts for nothing");
    for (kind, count) in [(write::RUN, 0), (write::MEMO, 0), (write::TIMER, 0), (write::HISTORY, 1)]
    {
        assert_eq!(world.all(kind).len(), count, "{}", char::from(kind));
    }
    let history = write::read_history(&world.all(write::HISTORY)[0].1).unwrap();
    assert_eq!(history.end.ending, Ending::Completed);
    assert_eq!(history.memos[0].name, "one");
}

#[test]
fn a_report_said_twice_counts_once_and_one_that_skips_a_number_loses_the_work() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    for _ in 0..3 {
        world.report(&work, 0, vec![ran("one")], None);
    }
    assert_eq!(world.all(write::MEMO).len(), 1);
    world.report(&work, 2, vec![done()], None);
    assert!(world.ended().is_empty());
    let again = world.only_work();
    assert!(again.epoch > work.epoch && again.attempt == 1 && again.memo_count == 1);
    world.report(&work, 1, vec![done()], None);
    assert!(world.ended().is_empty(), "an old epoch is not heard");
    world.report(&again, 0, vec![done()], None);
    assert_eq!(world.ended(), [work.run]);
}

#[test]
fn what_was_executing_when_the_process_died_is_offered_again() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a"), event("a")]);
    let before = world.work();
    world.report(&before[0], 0, vec![planned("p"), planned("q")], Some(0));
    world.work();
    world.crash();
    let mut steps: Vec<Option<String>> = world.work().into_iter().map(|work| work.step).collect();
    steps.sort();
    assert_eq!(steps, [None, Some("p".to_owned()), Some("q".to_owned())]);
}

/// S2 of the pinned cases: four parallel steps under a limit of two.
#[test]
fn parallel_steps_compete_for_slots_and_a_freed_slot_is_used_in_the_same_turn() {
    let limited = FunctionSpec { concurrency: Some(2), ..function("f", "a") };
    let mut world = World::new(vec![limited]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    let names = ["a", "b", "c", "d"];
    world.report(&work, 0, names.map(planned).to_vec(), Some(0));
    let mut executing = world.work();
    let mut order = Vec::new();
    while let Some(step) = executing.pop() {
        assert!(executing.len() < 2, "over the limit");
        let name = step.step.clone().expect("a step");
        world.report(&step, 0, vec![ran(&name)], None);
        order.push(name);
        let more = world.work();
        if more.iter().any(|work| work.step.is_none()) {
            break; // a memo came: the code goes on
        }
        executing.extend(more);
    }
    assert!(!order.is_empty());
    assert!(world.shard.counts().functions[0].executing <= 2);
}

#[test]
fn a_memo_that_comes_while_the_code_executes_is_delivered_and_one_that_crosses_its_parking_wakes_it()
 {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![planned("p")], None);
    let step = world.only_work();
    world.report(&step, 0, vec![ran("p")], None);
    let delivered = |effect: &Effect| matches!(effect, Effect::DeliverMemo { memo_count: 1, .. });
    assert!(world.other.iter().any(delivered));
    world.report(&work, 1, vec![sleeps("s", Until::For(DAY))], Some(0));
    let woken = world.only_work();
    assert_eq!((woken.step, woken.memo_count), (None, 1), "it parked without having seen the memo");
}

/// A time-out inside the handler ends while the run is parked: its code need not wait for the sleep.
#[test]
fn parked_code_that_would_go_on_by_itself_is_given_a_slot_once() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![sleeps("s", Until::For(DAY))], Some(0));
    let wake = Command::WakeRun { run: work.run };
    world.turn(vec![wake.clone(), wake.clone()]);
    let again = world.only_work();
    assert_eq!((again.step.clone(), again.memo_count), (None, 0));
    world.turn(vec![wake.clone()]);
    assert!(world.work().is_empty(), "it has a slot already");
    world.report(&again, 0, vec![done()], None);
    world.turn(vec![wake]);
    assert_eq!(world.ended(), [work.run]);
    assert!(world.work().is_empty() && world.all(write::TIMER).is_empty());
}

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
    let error = Op::RunError { error: Bytes::from_static(b"{}"), retry: later };
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
        let error = Op::RunError { error: Bytes::from_static(b"{}"), retry: Retry::Backoff };
        world.report(&work, 0, vec![error], None);
        world.advance(SECOND);
    }
    assert!(world.work().is_empty());
    assert_eq!(world.ended().len(), 1);
    assert_eq!(world.shard.counts().functions[0].failed, 1);
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
    world.report(&work[2], 0, vec![big("s", 10)], None);
    assert_eq!(world.ended(), [work[0].run, work[1].run]);
}

#[test]
fn when_a_run_ends_all_that_it_held_goes_with_it() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    let ops =
        vec![planned("p"), planned("q"), sleeps("s", Until::For(DAY)), failed("b", Retry::Backoff)];
    world.report(&work, 0, ops, None);
    let steps = world.work();
    world.report(&work, 1, vec![done()], None);
    assert_eq!(world.ended(), [work.run]);
    assert_eq!(world.abandoned().len(), steps.len());
    assert!(world.all(write::TIMER).is_empty() && world.all(write::RUN).is_empty());
    assert_eq!(world.shard.counts().executing_count, 0);
    world.report(&steps[0], 0, vec![ran("p")], None);
    world.advance(2 * DAY);
    assert!(world.work().is_empty() && world.all(write::MEMO).is_empty());
}

#[test]
fn a_run_whose_code_waits_for_nothing_is_failed_not_forgotten() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, Vec::new(), Some(0));
    assert_eq!(world.ended(), [work.run]);
}

#[test]
fn an_event_from_the_future_makes_its_run_now_and_starts_it_then() {
    let mut world = World::new(vec![function("f", "a")]);
    let ts = Some(world.now.plus(DAY));
    world.send(vec![NewEvent { ts, ..event("a") }]);
    assert_eq!(world.shard.counts().functions[0].parked.total(), 1);
    world.advance(Duration::from_secs(86_399));
    assert!(world.work().is_empty());
    world.advance(SECOND);
    assert_eq!(world.only_work().attempt, 0);
}

#[test]
fn functions_that_a_deploy_leaves_out_start_no_runs_and_theirs_wait_for_its_return() {
    let mut world = World::new(vec![function("f", "a"), function("g", "a")]);
    world.send(vec![event("a")]);
    let all = std::mem::take(&mut world.functions);
    world.functions = vec![all[1].clone()];
    world.crash();
    assert_eq!(world.only_work().function.0, 1);
    world.send(vec![event("a")]);
    assert_eq!(world.only_work().function.0, 1);
    world.functions = all;
    world.crash();
    let functions: Vec<u32> = world.work().iter().map(|work| work.function.0).collect();
    assert_eq!(functions.iter().filter(|function| **function == 0).count(), 1);
}

#[test]
fn registering_nonsense_is_refused_with_the_reason() {
    let mut world = World::new(Vec::new());
    let twice = vec![function("f", "a"), function("f", "b")];
    let never = vec![FunctionSpec { concurrency: Some(0), ..function("g", "a") }];
    let star = vec![function("h", "*")];
    for (specs, word) in [(twice, "unique"), (never, "concurrency"), (star, "wildcard")] {
        world.turn(vec![Command::RegisterFunctions {
            ticket: Ticket(1),
            app: "app".to_owned(),
            functions: specs,
        }]);
        let Answer::Refused(durable_core::Refusal::Invalid(why)) = world.answer() else {
            panic!("{word} was accepted");
        };
        assert!(why.contains(word), "{why}");
    }
    assert!(world.all(write::FUNCTION).is_empty());
}

#[test]
fn an_invoked_function_runs_whatever_its_triggers_and_an_unknown_one_is_refused() {
    let mut world = World::new(vec![FunctionSpec::new("app", "f")]);
    let invoke = |name: &str| Command::InvokeFunction {
        ticket: Ticket(3),
        function: name.to_owned(),
        data: Bytes::from_static(b"{}"),
    };
    world.turn(vec![invoke("f")]);
    let work = world.only_work();
    assert_eq!(world.answer(), Answer::Started(work.run));
    world.turn(vec![invoke("nobody")]);
    assert!(matches!(world.answer(), Answer::Refused(_)));
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

#[test]
fn drained_executors_get_no_more_work_but_are_heard() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.turn(vec![Command::DrainExecutor]);
    world.send(vec![event("a")]);
    assert!(world.work().is_empty());
    world.report(&work, 0, vec![done()], None);
    assert_eq!(world.ended(), [work.run]);
}

#[test]
fn the_same_commands_at_the_same_times_give_the_same_bytes() {
    let run = || {
        let mut world = World::new(vec![function("f", "a"), function("g", "a")]);
        world.send(vec![event("a"), with_id("a", "x")]);
        let work = world.work();
        world.report(
            &work[0],
            0,
            vec![failed("s", Retry::Backoff), planned("p"), planned("q")],
            None,
        );
        world.advance(DAY);
        (world.store, format!("{:?}{:?}", world.offered, world.other))
    };
    assert_eq!(run(), run());
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
