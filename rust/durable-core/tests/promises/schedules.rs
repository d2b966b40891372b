//! Schedules: one run for each tick, whatever restarts, and what becomes of those that nobody was there for.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Answer, CatchUp, Command, CronTrigger, EventRecord, FunctionSpec, MAX_SCHEDULE_BYTES, Policies,
    Refusal, Rhythm, ScheduleChange, ScheduleRecord, ScheduleSpec, Singleton, SingletonMode, Skip,
    TIMER_EVENT, Ticket, write,
};

use crate::world::{DAY, SECOND, World};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn cron(text: &str, catch_up: CatchUp) -> CronTrigger {
    CronTrigger { text: text.to_owned(), tz: "UTC".to_owned(), jitter_ms: 0, catch_up }
}

fn with_crons(crons: Vec<CronTrigger>) -> FunctionSpec {
    FunctionSpec { crons, ..FunctionSpec::new("app", "f") }
}

fn hourly(catch_up: CatchUp) -> FunctionSpec {
    with_crons(vec![cron("0 * * * *", catch_up)])
}

fn every(ms: u64) -> ScheduleSpec {
    ScheduleSpec { rhythm: Rhythm::Every { ms }, jitter_ms: 0, catch_up: CatchUp::Last }
}

impl World {
    /// Time passes second by second, as it does where a process lives.
    fn live(&mut self, length: Duration) {
        let until = self.now.plus(length);
        while self.now < until {
            let next = self.shard.next_deadline().unwrap_or(until).min(until);
            self.advance(next.since(self.now).max(Duration::from_millis(1)));
        }
    }

    fn put(&mut self, id: &str, spec: ScheduleSpec, data: &'static str) -> Answer {
        let (ticket, id, function) = (Ticket(1), id.to_owned(), "f".to_owned());
        let data = Bytes::from_static(data.as_bytes());
        self.turn(vec![Command::PutSchedule { ticket, id, function, spec, data }]);
        self.answer()
    }

    fn change(&mut self, id: &str, change: ScheduleChange) -> Answer {
        let (ticket, id) = (Ticket(1), id.to_owned());
        self.turn(vec![Command::ChangeSchedule { ticket, id, change }]);
        self.answer()
    }

    /// The moments of the ticks there were.
    fn ticks(&self) -> Vec<String> {
        self.tick_events().into_iter().filter_map(|event| event.user_id).collect()
    }

    fn tick_events(&self) -> Vec<EventRecord> {
        let records = self.all(write::EVENT).into_iter();
        let events = records.map(|(_, value)| write::decode::<EventRecord>("", &value).unwrap());
        events.filter(|event| event.name == TIMER_EVENT).collect()
    }

    fn schedules(&self) -> Vec<ScheduleRecord> {
        let records = self.all(write::SCHEDULE).into_iter();
        records.map(|(_, value)| write::decode("", &value).unwrap()).collect()
    }
}

#[test]
fn each_tick_makes_one_run_with_its_event() {
    let mut world = World::new(vec![hourly(CatchUp::Last)]);
    world.live(HOUR * 3);
    let expected = ["2027-01-15T09:00:00Z", "2027-01-15T10:00:00Z", "2027-01-15T11:00:00Z"];
    assert_eq!(world.ticks(), expected);
    assert_eq!(world.work().len(), 3);
    let event = &world.tick_events()[0];
    let data = "{\"cron\":\"0 * * * *\",\"scheduledAt\":\"2027-01-15T09:00:00Z\",\
                \"fireAt\":\"2027-01-15T09:00:00Z\"}";
    assert_eq!(event.data, data);
    assert_eq!(event.ts.as_millis(), 1_800_000_000_000 + 3_600_000);
    assert_eq!(event.runs.len(), 1);
    assert_eq!(world.all(write::TIMER).len(), 1);
}

#[test]
fn crons_of_one_function_and_one_moment_each_make_a_run() {
    let crons = vec![cron("0 * * * *", CatchUp::Last), cron("@hourly", CatchUp::Last)];
    let mut world = World::new(vec![with_crons(crons)]);
    world.live(HOUR);
    assert_eq!(world.ticks(), ["2027-01-15T09:00:00Z", "2027-01-15T09:00:00Z"]);
    assert_eq!(world.work().len(), 2);
}

#[test]
fn missed_ticks_are_made_up_as_catch_up_says() {
    for (catch_up, expected) in [
        (CatchUp::Last, vec!["2027-01-15T12:00:00Z"]),
        (
            CatchUp::All,
            vec![
                "2027-01-15T09:00:00Z",
                "2027-01-15T10:00:00Z",
                "2027-01-15T11:00:00Z",
                "2027-01-15T12:00:00Z",
            ],
        ),
        (CatchUp::None, vec![]),
    ] {
        let mut world = World::new(vec![hourly(catch_up)]);
        world.now = world.now.plus(HOUR * 4 + MINUTE);
        world.crash();
        world.live(SECOND);
        assert_eq!(world.ticks(), expected, "{catch_up:?}");
        world.crash();
        world.live(HOUR);
        let ticks = world.ticks();
        assert_eq!(ticks.len(), expected.len() + 1, "{catch_up:?}: {ticks:?}");
        assert_eq!(ticks.last().map(String::as_str), Some("2027-01-15T13:00:00Z"));
    }
}

#[test]
fn a_single_missed_tick_is_dropped_where_none_are_made_up() {
    let mut world = World::new(vec![hourly(CatchUp::None)]);
    world.live(MINUTE * 59);
    world.now = world.now.plus(MINUTE + SECOND);
    world.crash();
    world.live(MINUTE);
    assert_eq!(world.ticks(), Vec::<String>::new());
    world.live(HOUR);
    assert_eq!(world.ticks(), ["2027-01-15T10:00:00Z"]);
}

#[test]
fn many_missed_ticks_come_in_parts_and_none_is_lost() {
    let mut world = World::new(vec![with_crons(vec![cron("* * * * *", CatchUp::All)])]);
    world.now = world.now.plus(HOUR * 10);
    world.crash();
    world.live(SECOND);
    assert_eq!(world.ticks().len(), 600);
}

#[test]
fn a_sleep_of_the_machine_counts_as_missed_and_a_short_stall_does_not() {
    let crons = vec![cron("* * * * *", CatchUp::Last)];
    let mut world = World::new(vec![with_crons(crons)]);
    world.live(MINUTE);
    world.advance(HOUR);
    assert_eq!(
        world.ticks(),
        ["2027-01-15T08:01:00Z", "2027-01-15T09:00:00Z", "2027-01-15T09:01:00Z"]
    );
    let mut world = World::new(vec![hourly(CatchUp::None)]);
    world.advance(HOUR + SECOND * 30);
    assert_eq!(world.ticks(), ["2027-01-15T09:00:00Z"]);
}

#[test]
fn ticks_wait_for_somebody_who_serves_the_function() {
    let mut world = World::new(vec![hourly(CatchUp::All)]);
    world.turn(vec![Command::ConnectExecutor {
        executor: durable_core::ExecutorId::LOCAL,
        capacity: 9,
        functions: Vec::new(),
    }]);
    world.live(HOUR * 2);
    assert_eq!(world.ticks(), Vec::<String>::new());
    world.connect(9);
    assert_eq!(world.ticks(), ["2027-01-15T09:00:00Z", "2027-01-15T10:00:00Z"]);
}

#[test]
fn a_skipped_tick_does_not_stop_the_schedule_and_a_paused_functions_are_listed() {
    let singleton = Singleton { mode: SingletonMode::Skip, key: None };
    let policies = Policies { singleton: Some(singleton), ..Policies::default() };
    let mut world = World::new(vec![FunctionSpec { policies, ..hourly(CatchUp::Last) }]);
    world.live(HOUR * 3);
    let skips: Vec<_> = world.tick_events().into_iter().map(|event| event.skips).collect();
    let skipped = |skip| vec![(durable_core::FunctionId(0), skip)];
    assert_eq!(skips, [vec![], skipped(Skip::Singleton), skipped(Skip::Singleton)]);
    let (ticket, function) = (Ticket(1), "f".to_owned());
    world.turn(vec![Command::PauseFunction { ticket, function, is_paused: true }]);
    world.live(HOUR);
    assert_eq!(world.tick_events()[3].skips, skipped(Skip::Paused));
    assert_eq!(world.work().len(), 1);
}

#[test]
fn a_tick_goes_into_no_batch() {
    let batch = durable_core::Batch { max_size: 3, timeout_ms: 60_000, key: None, condition: None };
    let policies = Policies { batch: Some(batch), ..Policies::default() };
    let mut world = World::new(vec![FunctionSpec { policies, ..hourly(CatchUp::Last) }]);
    world.live(HOUR);
    assert_eq!(world.work().len(), 1);
}

#[test]
fn a_deploy_changes_and_removes_crons_at_once() {
    let mut world = World::new(vec![hourly(CatchUp::Last)]);
    world.functions = vec![with_crons(vec![cron("*/30 * * * *", CatchUp::Last)])];
    world.register();
    world.live(HOUR);
    assert_eq!(world.ticks(), ["2027-01-15T08:30:00Z", "2027-01-15T09:00:00Z"]);
    world.functions = Vec::new();
    world.register();
    world.live(DAY);
    assert_eq!(world.ticks().len(), 2);
    assert!(world.schedules().is_empty() && world.all(write::TIMER).is_empty());
    world.functions = vec![hourly(CatchUp::All)];
    world.register();
    assert_eq!(world.ticks().len(), 2, "ticks of before are not made up");
    world.live(HOUR);
    assert_eq!(world.ticks().len(), 3);
}

#[test]
fn jitter_puts_a_tick_off_and_without_it_the_tick_comes_at_its_moment() {
    let jitter = |jitter_ms| CronTrigger { jitter_ms, ..cron("0 * * * *", CatchUp::Last) };
    let mut world = World::new(vec![with_crons(vec![jitter(300_000)])]);
    let due = world.schedules()[0].next.unwrap();
    assert!(due.due >= due.at.plus(SECOND) && due.due < due.at.plus(MINUTE * 5));
    world.live(due.due.minus(SECOND).since(world.now));
    world.crash();
    assert_eq!(world.schedules()[0].next, Some(due));
    world.live(SECOND);
    assert_eq!(world.ticks(), ["2027-01-15T09:00:00Z"]);
    assert_eq!(world.tick_events()[0].ts, due.due);
    world.functions = vec![with_crons(vec![jitter(0)])];
    world.register();
    let next = world.schedules()[0].next.unwrap();
    assert_eq!((next.at, next.due), (due.at.plus(HOUR), due.at.plus(HOUR)));
}

#[test]
fn a_schedule_is_made_once_replaced_paused_triggered_and_deleted() {
    let mut world = World::new(vec![FunctionSpec::new("app", "f")]);
    assert_eq!(world.put("s", every(90_000), "{\"k\": 1}"), Answer::Scheduled);
    world.live(MINUTE);
    assert_eq!(world.put("s", every(90_000), "{\"k\": 1}"), Answer::Scheduled, "nothing changes");
    world.live(MINUTE);
    assert_eq!(world.ticks(), ["2027-01-15T08:01:30Z"]);
    let data = world.tick_events()[0].data.clone();
    assert!(
        data.starts_with(b"{\"everyMs\":90000,") && data.ends_with(b"\"schedule\":\"s\",\"k\": 1}")
    );
    world.put("s", every(60_000), "{\"k\": 2}");
    world.live(MINUTE);
    assert_eq!(world.ticks().last().map(String::as_str), Some("2027-01-15T08:03:00Z"));
    world.change("s", ScheduleChange::Pause);
    world.live(HOUR);
    world.put("s", every(30_000), "{\"k\": 2}");
    world.live(HOUR);
    assert_eq!(world.ticks().len(), 2, "it stays paused when it is replaced");
    let Answer::Started(..) = world.change("s", ScheduleChange::Trigger) else {
        panic!("{:?}", world.answer())
    };
    assert_eq!(world.ticks().len(), 3);
    world.change("s", ScheduleChange::Resume);
    world.live(MINUTE);
    assert_eq!(world.ticks().len(), 5, "what passed by is not made up");
    world.crash();
    world.change("s", ScheduleChange::Delete);
    world.live(HOUR);
    assert_eq!(world.ticks().len(), 5);
    let Answer::Refused(Refusal::NotFound(why)) = world.change("s", ScheduleChange::Resume) else {
        panic!("{:?}", world.answer())
    };
    assert!(why.contains("'s'") && why.contains("create"), "{why}");
}

#[test]
fn what_cannot_be_scheduled_is_refused() {
    let mut world = World::new(vec![FunctionSpec::new("app", "f")]);
    let refused = |answer| matches!(answer, Answer::Refused(Refusal::Invalid(_)));
    assert!(refused(world.put("", every(90_000), "{}")));
    assert!(refused(world.put("s", every(90), "{}")));
    assert!(refused(world.put("s", every(90_000), "[]")));
    let large = format!("{{\"k\": \"{}\"}}", "x".repeat(MAX_SCHEDULE_BYTES));
    assert!(refused(world.put("s", every(90_000), large.leak())));
    let (ticket, id, function) = (Ticket(1), "s".to_owned(), "g".to_owned());
    let (spec, data) = (every(90_000), Bytes::from_static(b"{}"));
    world.turn(vec![Command::PutSchedule { ticket, id, function, spec, data }]);
    assert!(matches!(world.answer(), Answer::Refused(Refusal::UnknownFunction(_))));
    assert!(world.schedules().is_empty());
}

#[test]
fn wrong_crons_of_functions_are_refused() {
    let twice = vec![cron("0 * * * *", CatchUp::Last), cron("0 * * * *", CatchUp::All)];
    let zone = CronTrigger { tz: "Europe/Pari".to_owned(), ..cron("@daily", CatchUp::Last) };
    let never = vec![cron("0 0 30 2 *", CatchUp::Last)];
    for (crons, words) in [(twice, "twice"), (vec![zone], "Europe/Paris"), (never, "never")] {
        let mut world = World::new(Vec::new());
        world.functions = vec![with_crons(crons)];
        world.register();
        let Answer::Refused(Refusal::Invalid(why)) = world.answer() else {
            panic!("{:?}", world.answer())
        };
        assert!(why.contains(words) && why.contains("'f'"), "{why}");
    }
}
