//! What an engine promises, driven through its Rust API: nothing lost, nothing early, nothing after a failure.

#[path = "engine/scripted.rs"]
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use durable_core::{Answer, Epoch, Op, Report, RunStatus, Timestamp, Until};
use durable_runtime::{
    ClockChoice, Config, Engine, EventFilter, Item, Kind, Request, RunFilter, Submission, Sync,
};
use durable_store::fault::{Failure, FaultDisk, Plan};
use durable_store::{ImageKind, Options};
use scripted::{
    FAR, Handler, Scripted, complete, go, is_idle, is_poisoned, json, open, open_ahead_of_the_wall,
    register, send,
};

const AT_ONCE: Handler = |_| complete();

/// A step inline, a sleep of an hour, the end.
const SLEEPER: Handler = |memos| {
    if !memos.contains_key("a") {
        (vec![Op::StepRun { name: "a".to_owned(), data: json("1") }], false)
    } else if !memos.contains_key("nap") {
        let until = Until::For(Duration::from_hours(1));
        (vec![Op::Sleep { name: "nap".to_owned(), until }], true)
    } else {
        complete()
    }
};

/// Two steps at the same time, the end.
const PARALLEL: Handler = |memos| match memos.len() {
    0 => {
        let plan = |name: &str| Op::StepPlanned { name: name.to_owned() };
        (vec![plan("x"), plan("y")], true)
    }
    1 => (Vec::new(), true),
    _ => complete(),
};

fn memory() -> Config {
    Config { seed: Some(1), ..Config::new("memory:") }
}

fn virtual_clock(is_auto: bool) -> ClockChoice {
    ClockChoice::Virtual { is_auto, start: Some(Timestamp::from_millis(1_000_000_000_000)) }
}

fn on(disk: &FaultDisk) -> Options {
    Options::on(Arc::new(disk.clone()), "/store", ImageKind::Memory)
}

#[test]
fn every_event_starts_a_run_that_ends_and_can_be_read() {
    let engine = open(&memory());
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    let events = send(&engine, 300);
    engine.join(7).unwrap();
    executor.until(is_idle);
    let (runs, _) = engine.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).unwrap();
    assert_eq!(runs.len(), 300);
    assert!(runs.iter().all(|(_, run)| run.status == RunStatus::Completed));
    assert!(runs.is_sorted_by(|(a, _), (b, _)| a > b), "newest first");
    let event = engine.event(events[0]).unwrap().unwrap();
    let run = engine.run(event.runs[0].1).unwrap().unwrap();
    assert_eq!((run.status, run.events), (RunStatus::Completed, vec![events[0]]));
    assert_eq!(engine.stats().counts.live_count, 0);
}

#[test]
fn pages_hold_every_run_and_event_once() {
    let engine = open(&memory());
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    for _ in 0..10 {
        send(&engine, 7);
    }
    engine.join(1).unwrap();
    executor.until(is_idle);
    let mut filter = RunFilter { limit: 9, ..RunFilter::default() };
    let mut seen = Vec::new();
    loop {
        let (runs, next) = engine.runs(&filter).unwrap();
        seen.extend(runs.into_iter().map(|(id, _)| id));
        filter.cursor = next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 70);
    assert!(seen.is_sorted_by(|a, b| a > b));
    let failed = RunFilter { status: vec![RunStatus::Failed], limit: 9, ..RunFilter::default() };
    assert_eq!(engine.runs(&failed).unwrap(), (Vec::new(), None));
    let (events, _) = engine.events(&EventFilter { limit: 99, ..EventFilter::default() }).unwrap();
    assert_eq!(events.len(), 70);
}

#[test]
fn steps_in_parallel_are_offered_one_by_one_and_the_code_goes_on() {
    let engine = open(&memory());
    let mut executor = Scripted::connect(&engine, PARALLEL);
    send(&engine, 1);
    engine.join(1).unwrap();
    executor.until(is_idle);
    executor.step_calls.sort();
    assert_eq!(executor.step_calls, ["x", "y"]);
}

#[test]
fn a_sleep_outlives_a_restart_and_no_remembered_step_runs_again() {
    let disk = FaultDisk::healthy();
    let config = Config { clock: virtual_clock(false), ..memory() };
    let engine = Engine::open_on(on(&disk), &config).unwrap();
    register(&engine);
    let mut executor = Scripted::connect(&engine, SLEEPER);
    send(&engine, 3);
    engine.advance(1, Duration::from_mins(59)).unwrap();
    executor.until(is_idle);
    assert_eq!(executor.step_calls, ["a"; 3]);
    assert_eq!(engine.stats().counts.functions[0].parked.sleep, 3);
    drop(engine);

    let engine = Engine::open_on(on(&disk), &config).unwrap();
    register(&engine);
    let mut executor = Scripted::connect(&engine, SLEEPER);
    engine.join(2).unwrap();
    // A virtual clock begins again at the last turn that wrote: when the sleep was reached.
    engine.advance(3, Duration::from_mins(59)).unwrap();
    executor.until(|item| *item == Item::Idle(3));
    assert_eq!(engine.stats().counts.functions[0].parked.sleep, 3, "early");
    engine.advance(4, Duration::from_mins(2)).unwrap();
    executor.until(|item| *item == Item::Idle(2));
    assert_eq!(executor.step_calls, [""; 0], "a remembered step was called again");
    assert_eq!(engine.stats().counts.functions[0].completed, 3);
}

#[test]
fn an_automatic_clock_needs_nobody_to_move_it() {
    let engine = open(&Config { clock: virtual_clock(true), ..memory() });
    let began = engine.now();
    let mut executor = Scripted::connect(&engine, SLEEPER);
    send(&engine, 2);
    engine.join(1).unwrap();
    executor.until(is_idle);
    assert!(engine.now().since(began) >= Duration::from_hours(1));
}

#[test]
fn what_executed_when_the_process_was_killed_is_offered_again() {
    let disk = FaultDisk::healthy();
    let config = memory();
    let engine = Engine::open_on(on(&disk), &config).unwrap();
    register(&engine);
    engine.connect(vec!["f".to_owned()]).unwrap();
    let events = send(&engine, 5);
    let offered = engine.receive(Duration::from_secs(30));
    assert!(matches!(offered[0], Item::Work(_)), "{offered:?}");
    let after = disk.kill();
    drop(engine);

    let engine = Engine::open_on(on(&after), &config).unwrap();
    register(&engine);
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    engine.join(1).unwrap();
    executor.until(is_idle);
    for event in events {
        let event = engine.event(event).unwrap().unwrap();
        let run = engine.run(event.runs[0].1).unwrap().unwrap();
        assert_eq!(run.status, RunStatus::Completed);
    }
}

#[test]
fn an_event_id_counts_once_also_after_a_restart() {
    let disk = FaultDisk::healthy();
    let mut first = Vec::new();
    for _ in 0..3 {
        let engine = Engine::open_on(on(&disk), &memory()).unwrap();
        register(&engine);
        let ids = engine.send_wait(vec![go(Some("order-1")), go(Some("order-1"))], None).unwrap();
        first.extend(ids);
        assert_eq!(engine.stats().counts.live_count, 1);
    }
    assert!(first.iter().all(|id| *id == first[0]), "{first:?}");
}

#[test]
fn a_batch_of_a_source_counts_once() {
    let engine = open(&memory());
    let source = |position| Some(("file".to_owned(), position));
    assert_eq!(engine.send_wait(vec![go(None)], source(10)).unwrap().len(), 1);
    assert_eq!(engine.send_wait(vec![go(None)], source(10)).unwrap().len(), 0);
    assert_eq!(engine.source_position("file").unwrap(), Some(10));
    assert_eq!(engine.stats().counts.live_count, 1);
}

#[test]
fn a_failed_sync_poisons_and_nothing_is_acknowledged_after_it() {
    let disk = FaultDisk::new(3);
    let engine = Engine::open_on(on(&disk), &memory()).unwrap();
    register(&engine);
    let accepted = send(&engine, 1);
    disk.fail(Some(Plan { at: disk.calls(), failure: Failure::InputOutput, persists: false }));
    let refused = engine.send_wait(vec![go(None)], None).unwrap_err();
    assert!(matches!(refused.kind, Kind::Io | Kind::Poisoned), "{refused:?}");
    // The disk works again. That must not tempt anyone.
    let again = engine.send_wait(vec![go(None)], None).unwrap_err();
    assert_eq!(again, refused);
    assert!(engine.event(accepted[0]).is_err(), "a read may have seen what is not durable");
    let items = engine.receive(Duration::from_secs(30));
    assert!(items.iter().any(is_poisoned), "{items:?}");
    assert!(engine.receive(Duration::from_secs(30)).is_empty(), "nothing comes after the poison");
    assert_eq!(engine.close(Duration::ZERO), Err(refused));

    let engine = Engine::open_on(on(&disk.crash()), &memory()).unwrap();
    assert!(engine.event(accepted[0]).unwrap().is_some(), "acknowledged and lost");
}

#[test]
fn a_full_mailbox_takes_reports_and_makes_requests_wait() {
    let engine = open(&Config { max_mailbox: 10, ..memory() });
    let request = |ticket| Request::Send { ticket, events: vec![go(None)], source: None };
    let mut next = 0;
    let mut answered = 0;
    let mut was_refused = false;
    while answered < 1000 {
        let requests: Vec<_> = (next..1000).map(request).collect();
        let offered = requests.len();
        let taken = engine.submit(Submission { requests, ..Submission::default() }).unwrap();
        next += u64::try_from(taken).unwrap();
        was_refused |= taken < offered;
        for item in engine.receive(Duration::from_secs(30)) {
            if let Item::Answer { ticket, answer: Answer::Accepted(_) } = item {
                assert_eq!(ticket, answered, "answers come in order");
                answered += 1;
            } else {
                assert_eq!(item, Item::Room);
            }
        }
    }
    assert!(was_refused, "a mailbox for 10 took 1000 at once");
}

#[test]
fn a_clean_close_loses_nothing_and_whoever_comes_late_is_told() {
    let disk = FaultDisk::new(5);
    let engine = Engine::open_on(on(&disk), &memory()).unwrap();
    register(&engine);
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    let events = send(&engine, 50);
    engine.join(1).unwrap();
    executor.until(is_idle);
    engine.close(Duration::from_secs(1)).unwrap();
    assert_eq!(engine.close(Duration::ZERO), Ok(()), "a second time does no harm");
    assert_eq!(engine.send_wait(vec![go(None)], None).unwrap_err().kind, Kind::Closed);
    drop(engine);

    let engine = Engine::open_on(on(&disk.crash()), &memory()).unwrap();
    for event in events {
        let event = engine.event(event).unwrap().unwrap();
        let run = engine.run(event.runs[0].1).unwrap().unwrap();
        assert_eq!(run.status, RunStatus::Completed);
    }
}

#[test]
fn closing_waits_for_what_executes_but_begins_nothing_more() {
    let engine = open(&Config { capacity: 1, ..memory() });
    send(&engine, 2);
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    let offered = engine.receive(Duration::from_secs(30));
    assert!(matches!(offered.as_slice(), [Item::Work(_)]), "{offered:?}");
    engine.drain_executor().unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| engine.close(Duration::from_mins(10)));
        executor.report(&offered);
        assert_eq!(closing.join().unwrap(), Ok(()));
    });
    assert_eq!(engine.stats().counts.functions[0].completed, 1);
    let rest = engine.outbox().drain(10);
    assert!(!rest.iter().any(|item| matches!(item, Item::Work(_))), "{rest:?}");
}

#[test]
fn with_a_sync_interval_a_close_still_loses_nothing() {
    let disk = FaultDisk::new(6);
    let sync = Sync::Every(Duration::from_mins(1));
    let config = Config { sync, checkpoint_bytes: 1000, ..memory() };
    let engine = Engine::open_on(on(&disk), &config).unwrap();
    register(&engine);
    let events: Vec<_> = (0..50).flat_map(|_| send(&engine, 1)).collect();
    engine.close(Duration::ZERO).unwrap();
    drop(engine);
    let engine = Engine::open_on(on(&disk.crash()), &config).unwrap();
    assert!(events.iter().all(|id| engine.event(*id).unwrap().is_some()));
}

#[test]
fn nobody_waits_for_runs_of_functions_that_are_not_served() {
    let engine = open(&memory());
    send(&engine, 1);
    engine.connect(Vec::new()).unwrap();
    engine.join(1).unwrap();
    assert_eq!(engine.receive(Duration::from_secs(30)), [Item::Idle(1)]);
}

#[test]
fn watching_tells_of_runs_that_end_have_ended_or_never_were() {
    let engine = open(&memory());
    let events = send(&engine, 1);
    let run = engine.event(events[0]).unwrap().unwrap().runs[0].1;
    let stranger = durable_core::RunId::from_bytes([1; 16]);
    engine.watch(vec![run, stranger]).unwrap();
    let mut executor = Scripted::connect(&engine, AT_ONCE);
    executor.until(|item| matches!(item, Item::Ended { run: ended, .. } if *ended == run));
    assert!(executor.items.contains(&Item::Unknown(stranger)));
    engine.watch(vec![run]).unwrap();
    executor.until(|item| matches!(item, Item::Ended { run: ended, .. } if *ended == run));
}

#[test]
fn a_clock_stands_still_when_nobody_waits_for_it_any_more() {
    let engine = open(&Config { clock: virtual_clock(false), ..memory() });
    let mut executor = Scripted::connect(&engine, SLEEPER);
    send(&engine, 1);
    engine.advance(1, Duration::ZERO).unwrap();
    executor.until(is_idle);
    let began = engine.now();
    engine.advance(2, Duration::from_hours(10_000)).unwrap();
    let woken = loop {
        let items = engine.receive(Duration::from_secs(30));
        assert!(!items.is_empty());
        if items.iter().any(|item| matches!(item, Item::Work(_))) {
            break items;
        }
    };
    engine.unjoin(2).unwrap();
    executor.report(&woken);
    engine.advance(3, Duration::ZERO).unwrap();
    executor.until(|item| *item == Item::Idle(3));
    assert_eq!(engine.now().since(began), Duration::from_hours(1), "it ran on");
    assert!(!executor.items.contains(&Item::Idle(2)));
}

#[test]
fn work_for_a_live_run_brings_only_what_is_new_and_a_reload_brings_all() {
    let engine = open(&Config { clock: virtual_clock(false), ..memory() });
    let mut executor = Scripted::connect(&engine, SLEEPER);
    send(&engine, 1);
    engine.advance(1, Duration::from_mins(1)).unwrap();
    executor.until(is_idle);
    engine.advance(2, Duration::from_hours(2)).unwrap();
    let work = loop {
        let items = engine.receive(Duration::from_secs(30));
        assert!(!items.is_empty());
        let work = items
            .into_iter()
            .find_map(|item| if let Item::Work(offer) = item { Some(offer) } else { None });
        if let Some(work) = work {
            break work;
        }
    };
    assert!(work.events.is_empty());
    let names = |memos: &[durable_core::Memo]| -> Vec<String> {
        memos.iter().map(|memo| memo.name.clone()).collect()
    };
    assert_eq!(names(&work.memos), ["nap"]);
    let reloads = vec![(work.run, work.epoch)];
    let dropped = vec![work.run];
    let twice = reloads.iter().chain(&reloads).copied().collect();
    engine.submit(Submission { dropped, reloads: twice, ..Submission::default() }).unwrap();
    let items = engine.receive(Duration::from_secs(30));
    let [Item::Work(whole), Item::Work(second)] = &items[..] else { panic!("{items:?}") };
    assert!(!whole.events.is_empty());
    assert_eq!(names(&whole.memos), ["a", "nap"]);
    assert_eq!((whole.epoch, whole.attempt), (work.epoch, work.attempt));
    assert!(second.events.is_empty(), "the first answer made it live again");
}

#[test]
fn the_async_api_waits_for_room_and_for_the_disk() {
    let engine = open(&Config { max_mailbox: 1, ..memory() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            assert_eq!(engine.send(vec![go(None)]).await.unwrap().len(), 1);
        }
    });
    assert_eq!(engine.stats().counts.live_count, 100);
    let refused = runtime.block_on(engine.send(vec![durable_core::NewEvent::default()]));
    assert_eq!(refused.unwrap_err().kind, Kind::Event);
}

fn nap(memos: usize, until: Until) -> (Vec<Op>, bool) {
    let asked = || (vec![Op::Sleep { name: "nap".to_owned(), until }], true);
    if memos == 0 { asked() } else { complete() }
}

#[test]
fn time_goes_on_though_the_wall_is_behind_the_store() {
    let engine = open_ahead_of_the_wall();
    let handler: Handler = |memos| nap(memos.len(), Until::For(Duration::from_millis(1)));
    let mut executor = Scripted::connect(&engine, handler);
    engine.join(1).unwrap();
    executor.until(is_idle);
    assert_eq!(engine.stats().counts.functions[0].completed, 1);
    assert!(engine.now() > FAR);
}

/// Whoever opens it is told, and the numbers say it too.
#[test]
fn a_store_that_is_ahead_of_the_wall_says_so() {
    let engine = open_ahead_of_the_wall();
    let notices = engine.notices();
    assert!(
        notices.iter().any(|text| text.contains("ahead of this machine's clock")),
        "{notices:?}"
    );
    assert!(engine.stats().ahead > Duration::from_hours(24));
    let usual = open(&memory());
    assert_eq!((usual.notices(), usual.stats().ahead), (Vec::new(), Duration::ZERO));
}

/// It would be past by the engine's time. By the wall's it is so far ahead that the sleep is refused.
#[test]
fn a_moment_that_the_wall_has_not_reached_is_not_past() {
    let engine = open_ahead_of_the_wall();
    let handler: Handler = |memos| nap(memos.len(), Until::At(FAR.minus(Duration::from_secs(1))));
    let mut executor = Scripted::connect(&engine, handler);
    engine.join(1).unwrap();
    executor.until(is_idle);
    assert_eq!(engine.stats().counts.functions[0].failed, 1);
}

/// Offers and confirmations that were in the outbox, on their way to the disk, or made in the same turn.
#[test]
fn what_was_meant_for_an_executor_does_not_reach_the_next() {
    let engine = open(&memory());
    send(&engine, 1);
    let mut last = Epoch(0);
    for round in 0..300 {
        engine.connect(vec!["f".to_owned()]).unwrap();
        let work = loop {
            let items = engine.receive(Duration::from_secs(30));
            assert!(!items.is_empty(), "nothing came");
            let is_new = |item: &Item| matches!(item, Item::Work(work) if work.epoch > last);
            assert!(items.iter().all(is_new), "round {round}, after {last:?}: {items:?}");
            if let Some(Item::Work(work)) = items.into_iter().next() {
                break work;
            }
        };
        last = work.epoch;
        let ops = vec![Op::StepRun { name: format!("s{round}"), data: json("1") }];
        let report = Report { run: work.run, epoch: last, number: 0, ops, parked_at: None };
        let (reports, reloads) = (vec![report], vec![(work.run, last)]);
        engine.submit(Submission { reports, reloads, ..Submission::default() }).unwrap();
        while round % 3 == 0 && engine.outbox().is_empty() {
            std::thread::yield_now();
        }
    }
}

/// This process, and when: `since 2026-05-09 10:52:08 UTC`.
#[test]
fn whoever_finds_the_store_in_use_is_told_by_whom_and_since_when() {
    let folder = std::env::temp_dir().join(format!("durable-in-use-{}", std::process::id()));
    let config = Config { store: folder.display().to_string(), ..memory() };
    let engine = Engine::open(&config).unwrap();
    let refused = Engine::open(&config).unwrap_err();
    drop(engine);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(refused.kind, Kind::Locked);
    assert!(refused.text.contains(&format!("process {} on ", std::process::id())), "{refused}");
    let (_, since) = refused.text.split_once(", since 20").unwrap();
    assert!(since.contains(" UTC)"), "{refused}");
}
