//! How runs get on: reports, memos, slots, and executors that go.

use durable_core::{
    Command, Effect, Ending, ExecutorId, FunctionSpec, Policies, Retry, Until, Work, write,
};

use crate::world::{DAY, World, done, event, failed, function, planned, raised, ran, sleeps};

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

/// A run whose executor has its code again, as `p` of `p` and `q` is done, and has `q` still.
fn in_the_middle_of_a_group(executor: ExecutorId) -> (World, Work, Work) {
    let mut world = World::new(vec![function("f", "a")]);
    let functions = vec!["f".to_owned()];
    world.turn(vec![Command::ConnectExecutor { executor, capacity: 9, functions }]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![planned("p"), planned("q")], Some(0));
    let [first, last] = world.work().try_into().unwrap();
    world.report(&first, 0, vec![ran("p")], None);
    let work = world.only_work();
    (world, work, last)
}

#[test]
fn code_elsewhere_that_has_not_seen_the_latest_memo_is_asked_again_for_what_it_wants() {
    for (executor, offered) in [(ExecutorId::LOCAL, 1), (ExecutorId(1), 0)] {
        let (mut world, work, last) = in_the_middle_of_a_group(executor);
        world.report(&last, 0, vec![ran("q")], None);
        world.report(&work, 0, vec![planned("q")], Some(1));
        let (again, asked): (Vec<_>, Vec<_>) =
            world.work().into_iter().partition(|work| work.step.is_none());
        assert_eq!(again[0].memo_count, 2);
        assert_eq!(asked.len(), offered, "code that lives here knows what it asks for");
    }
}

#[test]
fn steps_elsewhere_go_on_where_the_code_between_them_has_failed() {
    for (executor, is_lost) in [(ExecutorId::LOCAL, true), (ExecutorId(1), false)] {
        let (mut world, work, last) = in_the_middle_of_a_group(executor);
        world.report(&work, 0, vec![raised(Retry::Backoff)], None);
        let again = world.work().into_iter().filter(|work| work.step.is_some()).count();
        assert_eq!(again, usize::from(is_lost), "in code that lives here it went with that");
        world.report(&last, 0, vec![ran("q")], None);
        assert_eq!(world.all(write::MEMO).len(), if is_lost { 1 } else { 2 });
    }
}

#[test]
fn what_executes_of_a_function_that_moves_is_abandoned_and_handed_out_by_its_new_executor() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![planned("p"), planned("q")], Some(0));
    let steps = world.work();
    let had: Vec<_> = steps.iter().map(|step| (step.run, step.epoch)).collect();
    let (executor, functions) = (ExecutorId(1), vec!["f".to_owned()]);
    world.turn(vec![Command::ConnectExecutor { executor, capacity: 9, functions }]);
    assert_eq!(world.abandoned(), had, "whoever had it has room for something else");
    let again = world.work();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|work| work.executor == executor));
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
    let limited = FunctionSpec { policies: Policies::limit(2), ..function("f", "a") };
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
fn drained_executors_get_no_more_work_but_are_heard() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.turn(vec![Command::DrainExecutors]);
    world.send(vec![event("a")]);
    assert!(world.work().is_empty());
    world.report(&work, 0, vec![done()], None);
    assert_eq!(world.ended(), [work.run]);
}
