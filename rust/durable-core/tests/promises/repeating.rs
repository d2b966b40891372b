//! Runs that repeat others, and events that are called off: what the store is handed in for, and what stays whole.

use bytes::Bytes;
use durable_core::write::{DEDUP, EVENT, HISTORY, MEMO, RUN};
use durable_core::{
    Answer, Batch, Command, EventId, FromStep, FunctionSpec, Op, Origin, Policies, Refusal, Rerun,
    RunId, Settings, Since, Singleton, SingletonMode, Ticket, Unreadable, Until, write,
};

use crate::world::{DAY, SECOND, World, done, event, function, ran, sleeps, with_id};

fn with(policies: Policies) -> FunctionSpec {
    FunctionSpec { policies, ..function("f", "a") }
}

fn again(run: RunId) -> Rerun {
    Rerun { run, from: None, data: None, is_once: false, origin: None }
}

fn from(run: RunId, name: &str, output: Option<&'static str>) -> Rerun {
    let output = output.map(|json| Bytes::from_static(json.as_bytes()));
    Rerun { from: Some(FromStep { name: name.to_owned(), output }), ..again(run) }
}

/// As the runtime does: with what the store has of the run.
fn rerun(world: &mut World, mut rerun: Rerun) -> Answer {
    let get = |key: &Bytes| Ok::<_, Unreadable>(world.store.get(key).cloned());
    rerun.origin = Origin::read(&rerun, get).unwrap();
    world.turn(vec![Command::RerunRun { ticket: Ticket(8), rerun: Box::new(rerun) }]);
    world.answer()
}

fn started(answer: &Answer) -> (RunId, EventId) {
    let Answer::Started(run, event) = answer else { panic!("not started: {answer:?}") };
    (*run, *event)
}

fn cancel_event(world: &mut World, event: EventId) -> Answer {
    let record = world.store.get(&write::event_key(event));
    let record = record.map(|bytes| Box::new(write::decode("an event", bytes).unwrap()));
    world.turn(vec![Command::CancelEvent { ticket: Ticket(9), event, record }]);
    world.answer()
}

/// What the core itself refuses of a step ends the run there, and the run can be repeated from there.
#[test]
fn a_run_is_repeated_from_the_step_at_which_the_engine_failed_it() {
    let waits = |event: &str, expression: &str, until| Op::WaitForEvent {
        name: "it".to_owned(),
        event: event.to_owned(),
        expression: Some(expression.to_owned()),
        own: None,
        until: Until::For(until),
        since: Since::Stretch,
        behind: None,
    };
    let rows = [
        (sleeps("it", Until::For(DAY * 400)), "SleepTooLong"),
        (waits("go", "async.data.n == 1", DAY * 400), "SleepTooLong"),
        (waits("go/*", "async.data.n == 1", DAY), "InvalidEvent"),
        (waits("go", "async.data.( == 1", DAY), "InvalidExpression"),
    ];
    for (op, code) in rows {
        let mut world = World::new(vec![function("f", "a")]);
        world.send(vec![event("a")]);
        let work = world.only_work();
        world.report(&work, 0, vec![ran("x"), op], Some(0));
        assert_eq!(world.ended(), [work.run], "{code}");
        let (_, end) = world.all(HISTORY).pop().expect("its record");
        assert!(String::from_utf8_lossy(&end).contains(code), "{code}: {end:?}");
        started(&rerun(&mut world, from(work.run, "it", None)));
        assert_eq!(world.only_work().memo_count, 1, "{code}");
    }
}

#[test]
fn it_begins_with_the_memos_that_it_takes_over() {
    let mut world = World::new(vec![function("f", "a")]);
    let events = world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![ran("x"), ran("y"), ran("z"), done()], None);
    let (run, of) = started(&rerun(&mut world, from(work.run, "z", None)));
    let repeated = world.only_work();
    assert_eq!((repeated.run, repeated.memo_count, of), (run, 2, events[0]));
    assert_eq!(world.all(MEMO).len(), 2);
    world.crash();
    let after = world.only_work();
    assert_eq!((after.run, after.memo_count), (run, 2));
    world.report(&after, 0, vec![ran("z"), done()], None);
    assert_eq!(world.ended(), [work.run, run]);
    assert_eq!(world.all(MEMO), []);
}

#[test]
fn with_an_output_the_step_itself_is_taken_over_also_one_that_waits() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    let naps = sleeps("nap", Until::For(DAY));
    world.report(&work, 0, vec![ran("x"), naps], Some(1));
    let (run, _) = started(&rerun(&mut world, from(work.run, "nap", Some("null"))));
    let repeated = world.only_work();
    assert_eq!((repeated.run, repeated.memo_count, repeated.pending.len()), (run, 2, 0));
    let unknown = rerun(&mut world, from(work.run, "map", None));
    let Answer::Refused(Refusal::NotFound(why)) = unknown else { panic!("{unknown:?}") };
    assert!(why.contains("its steps are 'x', 'nap'"), "{why}");
}

/// An event's id was drawn for the new data by then: the shard is as its store has it all the same.
#[test]
fn a_refused_one_leaves_nothing_behind() {
    let singleton = Some(Singleton { mode: SingletonMode::Skip, key: None });
    let mut world = World::new(vec![with(Policies { singleton, ..Policies::default() })]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    let before = world.store.clone();
    let data = Some(Bytes::from_static(b"{\"n\":1}"));
    let answer = rerun(&mut world, Rerun { data, ..again(work.run) });
    assert!(matches!(answer, Answer::Refused(Refusal::Skipped(_))), "{answer:?}");
    assert_eq!(world.store, before);
}

/// It is asked of the store in one turn and goes in another; between the two somebody repeats its run.
#[test]
fn an_event_that_was_about_to_go_stays_while_a_run_repeats_it() {
    let settings = Settings { retention: DAY, ..Settings::default() };
    let mut world = World::with_settings(vec![function("f", "a")], settings);
    let (kept, _) = (world.send(vec![with_id("a", "x")]), world.send(vec![event("a")]));
    world.advance(DAY / 2);
    for work in world.work() {
        world.report(&work, 0, vec![done()], None);
    }
    let old = world.all(EVENT);
    let run = world.ended()[0];
    let read = world.hold_back_questions(|world| world.advance(DAY / 2 + 60 * SECOND));
    let asked = read.expect("nothing is old");
    let senders = world.hold_back_questions(|world| world.turn(vec![asked]));
    let (repeated, _) = started(&rerun(&mut world, again(run)));
    world.turn(vec![senders.expect("nobody asked for the sender's id")]);
    assert!(old.iter().any(|(key, _)| *key == write::event_key(kept[0])));
    assert!(world.store.contains_key(&write::event_key(kept[0])), "its run lives");
    let work = world.only_work();
    assert_eq!((work.run, work.event), (repeated, kept[0]));
    world.report(&work, 0, vec![done()], None);
    world.advance(DAY + SECOND);
    world.advance(DAY);
    assert_eq!((world.all(EVENT), world.all(DEDUP)), (vec![], vec![]));
}

#[test]
fn only_the_last_of_those_that_repeat_each_other_is_repeated_once() {
    let mut world = World::new(vec![function("f", "a")]);
    world.send(vec![event("a")]);
    let first = world.only_work().run;
    let once = |run| Rerun { is_once: true, ..again(run) };
    let (second, _) = started(&rerun(&mut world, once(first)));
    let answer = rerun(&mut world, once(first));
    assert!(
        matches!(&answer, Answer::Refused(Refusal::Skipped(why)) if why.contains(&second.to_string()))
    );
    started(&rerun(&mut world, once(second)));
    assert_eq!(world.all(RUN).len(), 3);
}

#[test]
fn an_event_is_taken_out_of_its_batch_and_the_batch_waits_on() {
    let batch = Batch { max_size: 2, timeout_ms: 1_000, key: None, condition: None };
    let policies = Policies { batch: Some(batch), ..Policies::default() };
    let mut world = World::new(vec![with(policies)]);
    let first = world.send(vec![event("a")])[0];
    assert_eq!(cancel_event(&mut world, first), Answer::EventCancelled(1));
    let [second, third] = world.send(vec![event("a"), event("a")])[..] else { panic!() };
    let work = world.only_work();
    assert_eq!((work.event, work.rest.as_slice()), (second, &[third][..]));
    assert_eq!(cancel_event(&mut world, third), Answer::EventCancelled(0), "it has started");
    let unknown = cancel_event(&mut world, EventId::default());
    assert!(matches!(unknown, Answer::Refused(Refusal::NotFound(_))));
}

/// What the store said may no longer be so.
#[test]
#[should_panic(expected = "in a turn that has changed something")]
fn nothing_else_is_in_its_turn() {
    let mut world = World::new(vec![function("f", "a")]);
    let event_id = world.send(vec![event("a")])[0];
    let pending = vec![(event("a"), None)];
    world.turn(vec![
        Command::AcceptEvents { ticket: Ticket(1), events: pending, source: None },
        Command::CancelEvent { ticket: Ticket(2), event: event_id, record: None },
    ]);
}
