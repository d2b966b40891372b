//! What events and calls start, under which functions.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{Answer, Command, FunctionSpec, NewEvent, Once, Policies, Ticket, write};

use crate::world::{DAY, SECOND, World, done, event, function, with_id};

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
fn an_invoked_function_runs_whatever_its_triggers_and_an_unknown_one_is_refused() {
    let mut world = World::new(vec![FunctionSpec::new("app", "f")]);
    let invoke = |name: &str| Command::InvokeFunction {
        ticket: Ticket(3),
        function: name.to_owned(),
        data: Bytes::from_static(b"{}"),
        once: None,
    };
    world.turn(vec![invoke("f")]);
    let work = world.only_work();
    assert_eq!(world.answer(), Answer::Started(work.run, work.event));
    world.turn(vec![invoke("nobody")]);
    assert!(matches!(world.answer(), Answer::Refused(_)));
}

#[test]
fn what_is_asked_for_under_one_id_is_done_once() {
    let mut world = World::new(vec![function("f", "a"), FunctionSpec::new("app", "g")]);
    let invoke = |world: &World, name: &str, key: &str| Command::InvokeFunction {
        ticket: Ticket(3),
        function: name.to_owned(),
        data: Bytes::from_static(b"{}"),
        once: Some(Once { known: world.known(key), ..Once::new(key) }),
    };
    let asked = |world: &mut World, name: &str| {
        world.turn(vec![invoke(world, name, "key")]);
        world.answer()
    };
    let Answer::Started(run, first) = asked(&mut world, "f") else { panic!("not started") };
    assert_eq!(asked(&mut world, "f"), Answer::StartedBefore(run, first));
    world.crash();
    assert_eq!(asked(&mut world, "f"), Answer::StartedBefore(run, first), "after a restart");
    world.send(vec![NewEvent { user_id: Some("key".to_owned()), ..event("a") }]);
    assert_eq!(world.shard.counts().live_count, 1, "a sender's id is the same");
    assert!(matches!(asked(&mut world, "g"), Answer::Started(other, _) if other != run));
    let twice = vec![invoke(&world, "f", "other"), invoke(&world, "f", "other")];
    world.turn(twice);
    assert!(matches!(world.answer(), Answer::StartedBefore(..)), "in one turn too");
    assert_eq!(world.shard.counts().live_count, 3);
    world.turn(vec![invoke(&world, "f", &"k".repeat(257))]);
    assert!(matches!(world.answer(), Answer::Refused(durable_core::Refusal::Invalid(_))));
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
    let never = vec![FunctionSpec { policies: Policies::limit(0), ..function("g", "a") }];
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
