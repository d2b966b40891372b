//! Ends of runs are told to those who listen, once, however often the process dies between the end and the telling.

use bytes::Bytes;
use durable_core::{
    Command, Effect, EventRecord, FunctionSpec, NewEvent, Op, Record, Retry, RunId, Settings,
    Ticket, Timestamp, Turn, Write, write,
};

use crate::world::{DAY, SECOND, World, done, event, function, sleeps, with_id};

const FAILED: &str = "durable/function.failed";
const FINISHED: &str = "durable/function.finished";

fn listener(name: &str, trigger: &str) -> FunctionSpec {
    FunctionSpec { retries: 0, ..function(name, trigger) }
}

fn raised() -> Op {
    let error = Bytes::from_static(b"{\"name\":\"Oops\",\"message\":\"\",\"stack\":\"\"}");
    Op::RunError { error, retry: Retry::Never, has_left_step: false }
}

/// The names of the events that are kept, in the order of their ids, and how many runs each started.
fn events(world: &World) -> Vec<(String, usize)> {
    let read = |(_, value): &Record| write::decode::<EventRecord>("an event", value).unwrap();
    let all = world.all(write::EVENT);
    all.iter().map(read).map(|event| (event.name, event.runs.len())).collect()
}

fn event_count(world: &World, name: &str) -> usize {
    events(world).iter().filter(|(other, _)| other == name).count()
}

#[test]
fn an_end_is_told_however_often_the_process_dies_before() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", FAILED)]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.reads_ends = false;
    world.report(&work, 0, vec![raised()], None);
    assert_eq!(world.all(write::UNTOLD).len(), 1);
    for _ in 0..3 {
        world.crash();
        assert!(world.work().is_empty(), "nobody has read the end");
    }
    world.reads_ends = true;
    world.crash();
    let told = world.only_work();
    assert!(world.all(write::UNTOLD).is_empty());
    assert_eq!(events(&world), [("a".to_owned(), 1), (FAILED.to_owned(), 1)]);
    world.crash();
    assert_eq!(world.only_work().run, told.run, "it is not told again");
    assert_eq!(event_count(&world, FAILED), 1);
}

#[test]
fn an_answer_that_comes_twice_tells_once() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", FINISHED)]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.report(&work, 0, vec![done()], None);
    world.turn(vec![Command::TellEnd { run: work.run, records: Vec::new() }]);
    assert_eq!(event_count(&world, FINISHED), 1);
}

#[test]
fn an_end_and_its_events_stay_until_they_are_told() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", FAILED)]);
    world.send(vec![with_id("a", "mine"), event("a")]);
    let (works, retention) = (world.work(), Settings::default().retention);
    world.reads_ends = false;
    for work in &works {
        world.report(work, 0, vec![raised()], None);
    }
    for _ in 0..6 {
        world.advance(retention / 2);
    }
    let kept = [write::EVENT, write::HISTORY, write::UNTOLD].map(|kind| world.all(kind).len());
    assert_eq!(kept, [2, 2, 2]);
    world.reads_ends = true;
    world.crash();
    let told = world.work();
    assert_eq!(told.len(), 2);
    for work in &told {
        world.report(work, 0, vec![done()], None);
    }
    for _ in 0..8 {
        world.advance(retention / 2);
    }
    let kept = [write::EVENT, write::HISTORY, write::UNTOLD, write::TIMER];
    assert_eq!(kept.map(|kind| world.all(kind).len()), [0; 4], "and go like all others");
}

#[test]
fn where_nobody_listens_an_end_writes_what_it_always_wrote() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", "durable/function.*")]);
    let ended = |world: &mut World| -> Vec<Write> {
        world.send(vec![event("a")]);
        let work = world.only_work();
        let mut turn = Turn::default();
        let report = crate::world::report(&work, 0, vec![done()], None);
        world.shard.handle(world.now, report, &mut turn);
        turn.writes
    };
    assert_eq!(ended(&mut world).len(), 2, "the end, and that it is to be told");
    let mut world =
        World::new(vec![listener("f", "a"), listener("ear", "durable/scheduled.timer")]);
    let written = ended(&mut world);
    assert!(matches!(written.as_slice(), [Write::Archive { .. }]), "{written:?}");
}

#[test]
fn one_silent_event_of_many_is_enough_to_silence_a_run() {
    let mut spec = listener("both", "a");
    spec.triggers.push(FINISHED.to_owned());
    let batch = durable_core::Batch { max_size: 2, timeout_ms: 5_000, key: None, condition: None };
    spec.policies.batch = Some(batch);
    let mut world = World::new(vec![listener("f", "b"), spec]);
    world.send(vec![event("a"), event("b")]);
    let work = world.only_work();
    world.report(&work, 0, vec![done()], None);
    let both = world.only_work();
    assert_eq!(both.rest.len(), 1);
    world.crash();
    let both = world.only_work();
    world.report(&both, 0, vec![done()], None);
    world.advance(DAY);
    assert_eq!(event_count(&world, FINISHED), 1, "that of `f`");
}

/// More than are read at one time.
#[test]
fn many_ends_at_once_are_all_told() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", FINISHED)]);
    world.is_audited = false;
    world.connect(10_000);
    for _ in 0..30 {
        world.send((0..100).map(|_| event("a")).collect::<Vec<NewEvent>>());
    }
    let works = world.work();
    assert_eq!(works.len(), 3_000);
    let reports = works.iter().map(|work| crate::world::report(work, 0, vec![done()], None));
    world.turn(reports.collect());
    let told: Vec<RunId> = world.work().iter().map(|work| work.run).collect();
    assert_eq!((told.len(), world.all(write::UNTOLD).len()), (3_000, 0));
    assert_eq!(world.shard.untold_count(), 0);
}

/// An end may come while the record of its event is being looked at for its age.
#[test]
fn a_run_that_outlives_its_events_time_is_told_with_it() {
    let mut world = World::new(vec![listener("f", "a"), listener("ear", FINISHED)]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    let until = durable_core::Until::For(Settings::default().retention * 2);
    world.report(&work, 0, vec![sleeps("s", until)], Some(0));
    world.advance(Settings::default().retention * 2);
    let on = world.only_work();
    world.report(&on, 0, vec![done()], None);
    let told = world.only_work();
    let record = world.store.get(&write::event_key(told.event)).unwrap();
    let record: EventRecord = write::decode("an event", record).unwrap();
    assert_eq!(record.ts, world.now);
    assert!(record.data.starts_with(b"{\"function_id\":\"f\""));
    assert!(Timestamp::from_millis(0) < record.ts && world.now.since(record.ts) < SECOND);
}

#[test]
fn calling_a_run_off_is_told_with_its_reason() {
    let mut world =
        World::new(vec![listener("f", "a"), listener("ear", "durable/function.cancelled")]);
    world.send(vec![event("a")]);
    let work = world.only_work();
    world.turn(vec![Command::CancelRun { ticket: Ticket(1), run: work.run }]);
    let told = world.only_work();
    let record = world.store.get(&write::event_key(told.event)).unwrap();
    let record: EventRecord = write::decode("an event", record).unwrap();
    assert_eq!(record.user_id, Some(work.run.to_string()));
    assert!(record.data.ends_with(b"\"reason\":\"it was called off\"}"));
    let is_end = |effect: &&Effect| matches!(effect, Effect::AnnounceEnd { .. });
    assert_eq!(world.other.iter().filter(is_end).count(), 1);
}
