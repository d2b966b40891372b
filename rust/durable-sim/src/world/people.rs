//! Those who want something of the engine: callers, applications, and executors that lie.

use std::time::Duration;

use bytes::Bytes;
use durable_core::{
    Backoff, Command, Epoch, EventId, ExecutorId, FromStep, FunctionSpec, NewEvent, NewMessage,
    OnConflict, Once, Op, Record, Report, Rerun, Retry, RunId, Since, Ticket, Timestamp, Until,
};

use super::{Happening, World};
use crate::model::says::{IS_OF_FIRST, MATCHES};
use crate::program::{DEEPEST, EVENTS, SIGNALS};

const TRIGGERS: [&str; 6] = ["app/a", "app/b.c", "app/b.*", "app/*", "x", "y.*"];
/// Triggers of those who hear of runs' ends.
const LISTENERS: [&str; 5] = [
    "durable/function.failed",
    "durable/function.finished",
    "durable/function.cancelled",
    "durable/function.*",
    "durable/*",
];

impl World {
    /// The functions of the one application.
    pub(super) fn draw_specs(&mut self) -> Vec<FunctionSpec> {
        (0..self.mix.function_count)
            .map(|number| {
                let mut spec = FunctionSpec::new("app", format!("f{number}"));
                spec.retries = u8::try_from(self.chance.small(0, 5)).unwrap_or(0);
                if self.chance.happens(700) {
                    let delay = self.chance.length(Duration::from_mins(2));
                    let jitter = self.chance.length(Duration::from_secs(20));
                    spec.backoff = Backoff { delays: vec![delay, delay * 2], jitter };
                }
                self.draw_triggers(&mut spec);
                spec
            })
            .collect()
    }

    fn draw_triggers(&mut self, spec: &mut FunctionSpec) {
        let count = self.chance.small(1, 2);
        let triggers = (0..count).filter_map(|_| self.chance.pick(&TRIGGERS));
        spec.triggers = triggers.map(|trigger| (*trigger).to_owned()).collect();
        let listens = self.mix.listens && self.chance.happens(400);
        let listener = self.chance.pick(&LISTENERS).copied().filter(|_| listens);
        spec.triggers.extend(listener.map(str::to_owned));
        self.draw_crons(spec);
        self.draw_policies(spec);
        if let Some(listener) = listener.filter(|_| self.chance.happens(300)) {
            let condition = IS_OF_FIRST.to_owned();
            spec.policies.conditions.insert(listener.to_owned(), condition);
        }
    }

    /// The application changes: other triggers, other limits, and some functions are no more.
    pub(super) fn change_functions(&mut self) {
        let mut specs = std::mem::take(&mut self.specs);
        for spec in &mut specs {
            if self.chance.happens(300) {
                self.draw_triggers(spec);
            }
        }
        self.specs = specs;
        let mut functions = self.specs.clone();
        functions.retain(|_| self.chance.happens(800));
        self.ask_to_register(Duration::ZERO, functions);
    }

    pub(super) fn register(&mut self, wait: Duration) {
        self.ask_to_register(wait, self.specs.clone());
    }

    fn ask_to_register(&mut self, wait: Duration, functions: Vec<FunctionSpec>) {
        let ticket = Ticket(0);
        self.ask(wait, Command::RegisterFunctions { ticket, app: "app".to_owned(), functions });
    }

    /// What an application does when it starts. Callers may be faster.
    pub(super) fn start_application(&mut self, connects: bool) {
        let wait = self.chance.length(Duration::from_millis(20));
        self.register(wait);
        if connects {
            let command = self.connect_command(ExecutorId::LOCAL);
            let soon = if self.chance.happens(500) { Duration::ZERO } else { wait };
            self.plan(soon, Happening::Mail(command));
            // Functions that were not there yet are served by a second word.
            let again = self.serve_command();
            let is_new = self.driver.shard.functions().count() < self.specs.len();
            if is_new {
                self.plan(wait, Happening::Mail(again));
            }
            self.start_elsewhere(wait, is_new);
        }
    }

    /// Half of the time what it has is not lost with it.
    fn serve_command(&mut self) -> Command {
        if self.chance.happens(500) {
            return self.connect_command(ExecutorId::LOCAL);
        }
        self.serve_command_of(ExecutorId::LOCAL)
    }

    /// Asks, with a ticket of its own.
    pub(super) fn ask(&mut self, wait: Duration, mut command: Command) {
        self.next_ticket = self.next_ticket.saturating_add(1);
        match &mut command {
            Command::RegisterFunctions { ticket, .. }
            | Command::PauseFunction { ticket, .. }
            | Command::CancelRun { ticket, .. }
            | Command::RerunRun { ticket, .. }
            | Command::CancelEvent { ticket, .. }
            | Command::SendSignal { ticket, .. }
            | Command::Publish { ticket, .. }
            | Command::AcceptEvents { ticket, .. }
            | Command::PutSchedule { ticket, .. }
            | Command::ChangeSchedule { ticket, .. }
            | Command::InvokeFunction { ticket, .. } => *ticket = Ticket(self.next_ticket),
            Command::ConnectExecutor { .. }
            | Command::ServeFunctions { .. }
            | Command::DrainExecutors
            | Command::Report(_)
            | Command::WakeRun { .. }
            | Command::LoadTimers { .. }
            | Command::LookBack { .. }
            | Command::TellEnd { .. }
            | Command::Expire { .. } => {}
        }
        self.questions.insert(self.next_ticket, command.clone());
        self.plan(wait, Happening::Mail(command));
    }

    /// A caller does something.
    pub(super) fn call(&mut self) {
        self.calls_left = self.calls_left.saturating_sub(1);
        let ticket = Ticket(0);
        let runs: Vec<RunId> = self.model.runs.ids().collect();
        let called_off = self.chance.happens(80).then(|| self.chance.pick(&runs).copied());
        let again = self.chance.happens(100).then(|| self.chance.pick(&runs).copied());
        let command = if let Some(Some(run)) = called_off {
            Command::CancelRun { ticket, run }
        } else if let Some(Some(run)) = again {
            Command::RerunRun { ticket, rerun: Box::new(self.draw_rerun(run)) }
        } else if self.chance.happens(80) {
            let events: Vec<EventId> = self.model.events.keys().rev().take(12).copied().collect();
            let event = self.chance.pick(&events).copied().unwrap_or_default();
            Command::CancelEvent { ticket, event, record: None }
        } else if let Some(command) = self.draw_schedule() {
            command
        } else if self.chance.happens(120) {
            let signal = self.chance.pick(&SIGNALS).copied().unwrap_or_default().to_owned();
            Command::SendSignal { ticket, signal, data: self.draw_data() }
        } else if self.chance.happens(self.mix.publishes) {
            for _ in 0..self.chance.small(0, 12) {
                let message = self.draw_message();
                self.ask(Duration::ZERO, Command::Publish { ticket, message, known: None });
            }
            Command::Publish { ticket, message: self.draw_message(), known: None }
        } else if self.chance.happens(150) {
            let number = self.chance.size(0, self.mix.function_count);
            let data = self.draw_data();
            let sender = self.chance.below(self.mix.sender_count);
            let once = self.chance.happens(self.mix.with_id);
            let once = once.then(|| Once::new(format!("id-{sender}")));
            Command::InvokeFunction { ticket, function: format!("f{number}"), data, once }
        } else {
            let count = self.chance.small(1, self.mix.events_per_call);
            let events = (0..count).map(|_| (self.draw_event(), None)).collect();
            let source = self.chance.happens(150).then(|| self.draw_position());
            Command::AcceptEvents { ticket, events, source }
        };
        self.ask(Duration::ZERO, command);
    }

    /// A run is to be repeated: whole, or from a step on that it may have.
    fn draw_rerun(&mut self, run: RunId) -> Rerun {
        let memos = self.model.runs.get(run).map_or(&[][..], |life| &life.memos);
        let mut names: Vec<String> = memos.iter().map(|memo| memo.name.clone()).collect();
        names.extend(self.outside.program(run).steps.keys().cloned());
        let name = self.chance.pick(&names).cloned().filter(|_| self.chance.happens(600));
        let size = if self.chance.happens(100) { 300 } else { 3 };
        let output = Bytes::from(format!("\"{}\"", "o".repeat(size)));
        let output = Some(output).filter(|_| self.chance.happens(300));
        let data = self.chance.happens(200).then(|| self.draw_data());
        let from = name.map(|name| FromStep { name, output });
        Rerun { run, from, data, is_once: self.chance.happens(300), origin: None }
    }

    /// Somebody sends what a run has begun to wait for: at once, in time, or too late.
    pub(super) fn answer_waits(&mut self, report: &Report) {
        for op in &report.ops {
            let (Op::WaitForSignal { until: Until::For(length), .. }
            | Op::WaitForEvent { until: Until::For(length), .. }) = op
            else {
                continue;
            };
            let most = if self.chance.happens(300) { Duration::ZERO } else { *length * 5 / 4 };
            let (wait, data, ticket) = (self.chance.length(most), self.draw_data(), Ticket(0));
            if !self.chance.happens(500) {
                continue;
            }
            if let Op::WaitForSignal { signal, .. } = op {
                let signal = signal.clone();
                self.ask(wait, Command::SendSignal { ticket, signal, data });
            } else if let Op::WaitForEvent { event, .. } = op
                && self.answers_left > 0
            {
                self.answers_left = self.answers_left.saturating_sub(1);
                let events = self.draw_answers(event);
                self.ask(wait, Command::AcceptEvents { ticket, events, source: None });
            }
        }
    }

    fn draw_answers(&mut self, name: &str) -> Vec<(NewEvent, Option<Record>)> {
        let count = self.chance.small(1, 3);
        let mut data = || self.draw_data();
        let all = (0..count).map(|_| NewEvent {
            name: name.to_owned(),
            data: data(),
            ..NewEvent::default()
        });
        all.map(|event| (event, None)).collect()
    }

    fn draw_message(&mut self) -> NewMessage {
        let channel = format!("channel-{}", self.chance.below(3));
        let topic = if self.chance.happens(20) { "$mine" } else { "topic" }.to_owned();
        let size = self.chance.size(0, self.mix.settings.limits.ring.message_bytes);
        NewMessage { channel, topic, data: Bytes::from("1".repeat(size.min(200))) }
    }

    fn draw_event(&mut self) -> NewEvent {
        let name = self.chance.pick(&EVENTS).copied().unwrap_or_default();
        let is_wrong = self.chance.happens(30);
        let sender = self.chance.below(self.mix.sender_count);
        NewEvent {
            name: if is_wrong { "durable/mine".to_owned() } else { name.to_owned() },
            data: self.draw_data(),
            user_id: self.chance.happens(self.mix.with_id).then(|| format!("id-{sender}")),
            ts: self.draw_ts(),
            ..NewEvent::default()
        }
    }

    /// When an event happened: now, ahead, or at some time before.
    fn draw_ts(&mut self) -> Option<Timestamp> {
        let (now, away) = (self.clock.wall(), self.chance.length(self.mix.sleep * 2));
        match self.chance.below(100) {
            0..=9 => Some(now.plus(away)),
            10..=29 => Some(now.minus(away)),
            _ => None,
        }
    }

    /// An event's data: each field may be there.
    fn draw_data(&mut self) -> Bytes {
        let mut fields = vec![format!("\"n\":{}", self.next_ticket)];
        let values = ["null", "1", "2.5", "\"a\"", "\"a\"", "\"b\"", "true", "false"];
        for (name, per_mille) in [("k", 850), ("j", 100)] {
            let value = self.chance.pick(&values).copied().unwrap_or("null");
            fields.extend(self.chance.happens(per_mille).then(|| format!("\"{name}\":{value}")));
        }
        let seconds = ["0", "1", "60", "-30", "600.7", "-90000", "99999", "\"high\""];
        let seconds = self.chance.pick(&seconds).copied().unwrap_or("0");
        fields.extend(self.chance.happens(700).then(|| format!("\"p\":{seconds}")));
        Bytes::from(format!("{{{}}}", fields.join(",")))
    }

    /// Somebody pauses a function, or lets it go on.
    pub(super) fn pause_a_function(&mut self) {
        let number = self.chance.size(0, self.mix.function_count);
        let (ticket, is_paused) = (Ticket(0), self.chance.happens(500));
        self.tally.note(if is_paused { "function paused" } else { "function resumed" });
        let function = format!("f{number}");
        self.ask(Duration::ZERO, Command::PauseFunction { ticket, function, is_paused });
    }

    /// Nothing stays paused.
    pub(super) fn resume_all(&mut self) {
        for spec in self.specs.clone() {
            let (ticket, function, is_paused) = (Ticket(0), spec.name, false);
            self.ask(Duration::ZERO, Command::PauseFunction { ticket, function, is_paused });
        }
    }

    fn draw_position(&mut self) -> (String, u64) {
        let name = format!("source-{}", self.chance.below(2));
        let last = self.positions.entry(name.clone()).or_default();
        if self.chance.happens(700) {
            *last = last.saturating_add(self.chance.within(1, 3));
        }
        (name, *last)
    }

    /// An executor says that a run's code would go on by itself; by then the run may be anywhere.
    pub(super) fn wake_a_run(&mut self) {
        let runs: Vec<RunId> = self.model.runs.ids().collect();
        let Some(run) = self.chance.pick(&runs).copied() else { return };
        self.tally.note("woken by itself");
        self.plan(Duration::ZERO, Happening::Mail(Command::WakeRun { run }));
    }

    /// An executor says something that may or may not be so.
    pub(super) fn say_garbage(&mut self) {
        let held = self.executor.held();
        let Some((run, epoch, number)) = self.chance.pick(&held).copied() else { return };
        let epoch = if self.chance.happens(200) {
            Epoch(epoch.0.wrapping_sub(self.chance.small(0, 3)))
        } else {
            epoch
        };
        let number = if self.chance.happens(200) {
            number.wrapping_add(self.chance.small(0, 2))
        } else {
            number
        };
        let ops = (0..self.chance.small(0, 4)).map(|_| self.draw_op(run)).collect();
        let parked_at = self.chance.happens(500).then(|| self.chance.small(0, 6));
        self.tally.note("garbage said");
        let report = Report { run, epoch, number, ops, parked_at };
        self.plan(Duration::ZERO, Happening::Mail(Command::Report(report)));
    }

    fn draw_op(&mut self, run: RunId) -> Op {
        let program = self.outside.program(run);
        let names: Vec<String> =
            program.steps.keys().chain(program.sleeps.keys()).cloned().collect();
        let known = self.chance.pick(&names).cloned();
        let is_long = self.chance.happens(20);
        let odd = if is_long { "n".repeat(300) } else { "odd".to_owned() };
        let name = known.filter(|_| !is_long).unwrap_or(odd);
        let bytes = Bytes::from_static(b"\"garbage\"");
        let retry = match self.chance.below(3) {
            0 => Retry::Never,
            1 => Retry::Backoff,
            _ => Retry::After(self.chance.length(Duration::from_hours(48))),
        };
        match self.chance.below(10) {
            0 | 1 => Op::StepRun { name, data: bytes },
            2 => Op::StepError { name, error: bytes, retry },
            3 => Op::StepPlanned { name },
            4 => Op::Sleep { name, until: Until::For(self.chance.length(Duration::from_mins(9))) },
            5 => Op::WaitForSignal {
                name,
                signal: self.chance.pick(&SIGNALS).copied().unwrap_or_default().to_owned(),
                until: Until::For(self.chance.length(Duration::from_mins(9))),
                on_conflict: if is_long { OnConflict::Replace } else { OnConflict::Fail },
            },
            6 => Op::WaitForEvent {
                name,
                event: self.chance.pick(&EVENTS).copied().unwrap_or_default().to_owned(),
                expression: self.chance.pick(&MATCHES).map(|text| (*text).to_owned()),
                own: None,
                until: Until::For(self.chance.length(Duration::from_mins(9))),
                since: if is_long { Since::Run } else { Since::Stretch },
                behind: None,
            },
            7 => Op::InvokeFunction {
                name,
                function: format!("f{}", self.chance.size(0, self.mix.function_count)),
                data: Bytes::from(format!("{{\"depth\":{DEEPEST}}}")),
                until: Until::For(self.chance.length(Duration::from_mins(9))),
            },
            8 => Op::RunError { error: bytes, retry, has_left_step: is_long },
            _ => Op::RunComplete { data: bytes },
        }
    }
}
