//! A turn gone through as a slow reader would: each command in order, then what was due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use durable_core::write::{EVENT, MEMO, RUN, id_in_key};
use durable_core::{
    Answer, Command, Deadline, Effect, Ending, EventId, EventRecord, Memo, Outcome, PendingState,
    RunId, RunRecord, Stretch, Timestamp,
};

use super::calls::Told;
use super::flow::says_why;
use super::{Life, Model, read, require};
use crate::driver::Sealed;
use crate::tally::Tally;

/// A turn, and how far one has come with it.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) turn: &'a Sealed,
    pub(super) tally: &'a mut Tally,
    /// Events that it stored and that nobody has looked at.
    pub(super) stored: VecDeque<(EventId, EventRecord)>,
    /// Live runs as it leaves them.
    pub(super) written: BTreeMap<RunId, RunRecord>,
    /// Runs that must be cancelled, in order, and why.
    pub(super) cancels: VecDeque<(RunId, String)>,
    /// Runs that completed or failed, of the command that is gone through.
    pub(super) fails: BTreeSet<RunId>,
    /// Runs whose code has said that it waits.
    pub(super) parked: BTreeSet<RunId>,
    /// What it remembered, by runs and steps.
    pub(super) memos: BTreeMap<(RunId, String), Outcome>,
    /// What steps were told.
    pub(super) told: BTreeMap<(RunId, String), Told>,
    /// Its commands are obeyed, and what was due happens.
    pub(super) is_ticking: bool,
}

/// A run that did not start in time.
pub(super) const LATE_START: &str = "it did not start within its start timeout";
/// A run that somebody called off.
const CALLED_OFF: &str = "it was called off";
/// A run that did not end in time.
pub(super) const LATE_FINISH: &str = "it did not end within its finish timeout";

/// What was due, in the order in which timers of one moment and one run fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Failed,
    Gathered,
    Start,
    Finish,
    Tick,
}

impl<'a> Walk<'a> {
    pub(super) fn new(turn: &'a Sealed, tally: &'a mut Tally) -> Result<Self, String> {
        let (mut stored, mut written, mut memos) =
            (VecDeque::new(), BTreeMap::new(), BTreeMap::new());
        for change in &turn.changes {
            let (Some(id), Some(value)) = (id_in_key(&change.key), &change.value) else { continue };
            match change.key.first() {
                Some(&EVENT) => {
                    stored.push_back((EventId::from_bytes(id), read("an event", value)?));
                }
                Some(&RUN) => {
                    written.insert(RunId::from_bytes(id), read("a live run", value)?);
                }
                Some(&MEMO) => {
                    let memo: Memo = read("a memo", value)?;
                    memos.insert((RunId::from_bytes(id), memo.name), memo.outcome);
                }
                Some(_) | None => {}
            }
        }
        let (cancels, fails, parked) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        let (told, is_ticking) = (BTreeMap::new(), false);
        Ok(Self { turn, tally, stored, written, cancels, fails, parked, memos, told, is_ticking })
    }

    /// Whether a step has been asked for by the end of the turn.
    pub(super) fn is_asked(&self, run: RunId, name: &str) -> bool {
        let record = self.written.get(&run);
        self.memos.contains_key(&(run, name.to_owned()))
            || record.is_some_and(|it| it.pending.iter().any(|step| step.name == name))
    }
}

impl Model {
    /// Goes through a turn, up to where work is handed out.
    pub(super) fn go_through(&mut self, walk: &mut Walk<'_>) -> Result<(), String> {
        let turn = walk.turn;
        let ids: Vec<EventId> = walk.stored.iter().map(|(id, _)| *id).collect();
        self.last_before = self.last_event;
        self.note_held(turn);
        let (mut effects, mut events) = (turn.effects.iter().map(|(effect, _)| effect), 0);
        let mut effect_count = 0;
        for (command, cut) in turn.commands.iter().zip(&turn.cuts) {
            let told: Vec<&Effect> =
                effects.by_ref().take(cut.effects.saturating_sub(effect_count)).collect();
            let count = cut.events.saturating_sub(events);
            (effect_count, events) = (cut.effects, cut.events);
            walk.fails = fails(&told);
            self.go_through_one(walk, command, (&told, count))?;
            self.end_the_others(walk, &told)?;
            check_cancels(walk, &told)?;
            let last = ids.iter().take(events).max().copied().unwrap_or_default();
            self.last_event = last.max(self.last_event);
        }
        let tail: Vec<&Effect> = effects.collect();
        (walk.fails, walk.is_ticking) = (fails(&tail), true);
        self.tick(walk, &tail)?;
        self.last_event = ids.into_iter().max().unwrap_or_default().max(self.last_event);
        require(walk.stored.is_empty(), || format!("stored and not accepted: {:?}", walk.stored))?;
        check_cancels(walk, &tail)?;
        let is_over = turn.ends.iter().all(|(run, _)| !self.runs.is_live(*run));
        require(is_over, || format!("ends that nobody announced: {:?}", turn.ends))
    }

    /// A command, and what it said; `count`: so many events it stored.
    fn go_through_one(
        &mut self,
        walk: &mut Walk<'_>,
        command: &Command,
        (told, count): (&[&Effect], usize),
    ) -> Result<(), String> {
        let mut answers = told.iter().filter_map(|effect| match effect {
            Effect::Answer { answer, .. } => Some(answer.clone()),
            Effect::OfferWork(_)
            | Effect::DeliverMemo { .. }
            | Effect::ConfirmReport { .. }
            | Effect::AbandonWork { .. }
            | Effect::AnnounceEnd { .. }
            | Effect::LoadTimers { .. }
            | Effect::LookBack { .. }
            | Effect::FindEnd { .. }
            | Effect::FindExpired { .. } => None,
        });
        let answer = answers.next();
        require(answers.next().is_none(), || format!("{command:?} is answered twice"))?;
        match command {
            Command::ConnectExecutor { .. }
            | Command::ServeFunctions { .. }
            | Command::DrainExecutors => {
                self.employ(walk, command);
                Ok(())
            }
            Command::TellEnd { run, .. } => self.tell(walk, *run),
            Command::LookBack { .. } => self.look_back(walk, command),
            Command::Report(report) => {
                self.check_pause(told)?;
                self.ask_to_hear(walk, report);
                self.ask_to_invoke(walk, report, count)
            }
            Command::WakeRun { .. } | Command::LoadTimers { .. } | Command::Expire { .. } => Ok(()),
            Command::RegisterFunctions { .. }
            | Command::AcceptEvents { .. }
            | Command::InvokeFunction { .. }
            | Command::PauseFunction { .. }
            | Command::CancelRun { .. }
            | Command::RerunRun { .. }
            | Command::CancelEvent { .. }
            | Command::SendSignal { .. }
            | Command::PutSchedule { .. }
            | Command::ChangeSchedule { .. }
            | Command::Publish { .. } => self.obey(walk, command, answer),
        }
    }

    fn obey(
        &mut self,
        walk: &mut Walk<'_>,
        command: &Command,
        answer: Option<Answer>,
    ) -> Result<(), String> {
        match command {
            Command::RegisterFunctions { app, functions, .. } => {
                self.register(walk, app, functions, answer)
            }
            Command::AcceptEvents { events, source, .. } => {
                let events: Vec<_> = events.iter().map(|(event, _)| event).collect();
                self.accept(walk, &events, source.as_ref(), answer)
            }
            Command::InvokeFunction { function, data, once, .. } => {
                let id = once.as_ref().map(|once| &once.id);
                self.invoke(walk, function, (data, id), answer.as_ref())
            }
            Command::CancelRun { run, .. } => self.call_off(walk, *run, answer.as_ref()),
            Command::RerunRun { rerun, .. } => self.rerun(walk, rerun, answer.as_ref()),
            Command::CancelEvent { event, .. } => self.withdraw(walk, *event, answer.as_ref()),
            Command::PauseFunction { function, is_paused, .. } => {
                self.pause(walk, function, *is_paused, answer)
            }
            Command::PutSchedule { .. } | Command::ChangeSchedule { .. } => {
                self.change_schedules(walk, command, answer.as_ref())
            }
            Command::ConnectExecutor { .. }
            | Command::ServeFunctions { .. }
            | Command::DrainExecutors
            | Command::SendSignal { .. } // see `check_signals`
            | Command::Publish { .. } // see `check_messages`
            | Command::Report(_)
            | Command::WakeRun { .. }
            | Command::LoadTimers { .. }
            | Command::LookBack { .. }
            | Command::TellEnd { .. }
            | Command::Expire { .. } => Ok(()),
        }
    }

    /// Somebody calls a run off.
    fn call_off(
        &mut self,
        walk: &mut Walk<'_>,
        run: RunId,
        answer: Option<&Answer>,
    ) -> Result<(), String> {
        let is_live = self.is_live(run);
        require(answer == Some(&Answer::Cancelled(is_live)), || {
            format!("calling off run {run} was answered {answer:?}")
        })?;
        if is_live {
            walk.tally.note("run called off");
            return self.cancel(walk, run, CALLED_OFF);
        }
        walk.tally.note("ended run called off");
        Ok(())
    }

    /// Whoever else completed or failed in a command: by a report, or since a memo was one too many.
    fn end_the_others(&mut self, walk: &mut Walk<'_>, told: &[&Effect]) -> Result<(), String> {
        for effect in told {
            let Effect::AnnounceEnd { run, ending, .. } = effect else { continue };
            if *ending != Ending::Cancelled && self.is_live(*run) {
                self.end(walk, *run)?;
            }
        }
        Ok(())
    }

    /// Code of paused functions does not go on.
    fn check_pause(&self, told: &[&Effect]) -> Result<(), String> {
        for effect in told {
            let Effect::ConfirmReport { run, .. } = effect else { continue };
            let function = self.runs.get(*run).map(|life| life.function);
            let goes_on = function.is_some_and(|function| self.is_paused(function));
            require(!goes_on, || format!("run {run} goes on though it is paused"))?;
        }
        Ok(())
    }

    /// What was due has happened, in the order of its moments: of what is seen to have happened here.
    fn tick(&mut self, walk: &mut Walk<'_>, tail: &[&Effect]) -> Result<(), String> {
        let mut happened = Vec::new();
        let mut by_reports = Vec::new();
        for effect in tail {
            let Effect::AnnounceEnd { run, ending, outcome, .. } = effect else {
                by_reports.push(*effect);
                continue;
            };
            let Some(life) = self.runs.get(*run) else {
                let is_cancelled = *ending == Ending::Cancelled; // made by a tick, and made way for the next
                require(is_cancelled, || format!("unknown run {run} ends"))?;
                continue;
            };
            match (ending, slept_until(walk, *run, life)) {
                (Ending::Cancelled, _) if says_why(outcome, LATE_START) => {
                    happened.push((self.deadline_of(life, *run)?, *run, Due::Start));
                }
                (Ending::Cancelled, _) if says_why(outcome, LATE_FINISH) => {
                    happened.push((self.deadline_of(life, *run)?, *run, Due::Finish));
                }
                (Ending::Cancelled, _) => {}
                (Ending::Failed, Some(due)) => happened.push((due, *run, Due::Failed)),
                (Ending::Completed | Ending::Failed, _) => by_reports.push(*effect),
            }
        }
        self.end_the_others(walk, &by_reports)?;
        for (run, life) in self.live().filter(|(_, life)| life.bucket.is_some()) {
            let is_over = walk.turn.ends.iter().any(|(ended, _)| *ended == run);
            let gathers_on = walk.written.get(&run).is_none_or(|after| after.gathering.is_some());
            if is_over || !gathers_on {
                happened.push((timer_of(life), run, Due::Gathered));
            }
        }
        let ticked = self.ticked(walk.turn)?;
        happened.extend(ticked.into_iter().map(|(due, timer)| (due, timer, Due::Tick)));
        happened.sort_unstable();
        for (due, run, what) in happened {
            self.happen(walk, (due, run, what))?;
        }
        Ok(())
    }

    fn happen(
        &mut self,
        walk: &mut Walk<'_>,
        (due, run, what): (Timestamp, RunId, Due),
    ) -> Result<(), String> {
        if what == Due::Tick {
            return self.tick_schedule(walk, run);
        }
        let now = walk.turn.now;
        let Some(life) = self.runs.get(run).filter(|life| life.end.is_none()) else {
            return Ok(());
        };
        match what {
            Due::Tick => Ok(()),
            Due::Failed => self.end(walk, run),
            Due::Gathered if life.bucket.is_none() => Ok(()), // a tick found that it was due
            Due::Gathered => {
                let is_due = self.is_gathered(life, now);
                let due = self.gathered_at(life);
                require(is_due, || {
                    format!("run {run} gathers until {due:?} and starts at {now:?}")
                })?;
                self.start_gathered(walk, run)
            }
            Due::Start | Due::Finish => {
                require(due <= now, || format!("run {run} is cancelled before {due:?}"))?;
                let record = life.record.as_ref();
                if record.is_some_and(|r| r.pending.iter().any(|s| is_executing(s.state))) {
                    walk.tally.note("finish timeout in the middle of a step");
                }
                let is_start = what == Due::Start;
                walk.tally.note(if is_start { "start timeout" } else { "finish timeout" });
                self.cancel(walk, run, if is_start { LATE_START } else { LATE_FINISH })
            }
        }
    }

    fn deadline_of(&self, life: &Life, run: RunId) -> Result<Timestamp, String> {
        let deadline = self.deadline(life).map(Deadline::at);
        deadline.ok_or_else(|| format!("run {run} is cancelled and has no deadline"))
    }
}

fn is_executing(state: PendingState) -> bool {
    matches!(state, PendingState::Executing(_))
}

/// Until when a run's timer for what it gathers is set.
fn timer_of(life: &Life) -> Timestamp {
    match life.record.as_ref().map(|record| record.stretch) {
        Some(Stretch::Gathering(due)) => due,
        Some(
            Stretch::Queued | Stretch::Executing(_) | Stretch::BackingOff(_) | Stretch::Parked,
        )
        | None => Timestamp::MAX,
    }
}

/// When the sleep was due that ended a run of which nobody reported: its memo was one too many.
fn slept_until(walk: &Walk<'_>, run: RunId, life: &Life) -> Option<Timestamp> {
    let is_of = |command: &Command| matches!(command, Command::Report(r) if r.run == run);
    let sleeps = life.record.iter().flat_map(|record| &record.pending);
    let due = sleeps.filter_map(|step| match step.state {
        PendingState::Sleeping(due) | PendingState::Waiting(due) => Some(due),
        PendingState::Queued | PendingState::Executing(_) | PendingState::BackingOff(_) => None,
    });
    due.filter(|due| *due <= walk.turn.now && !walk.turn.commands.iter().any(is_of)).min()
}

/// Those that were cancelled are those that must be, in order, for the reasons that are given.
fn check_cancels(walk: &mut Walk<'_>, told: &[&Effect]) -> Result<(), String> {
    for effect in told {
        let Effect::AnnounceEnd { run, ending: Ending::Cancelled, outcome, .. } = effect else {
            continue;
        };
        let Some((expected, why)) = walk.cancels.pop_front() else {
            return Err(format!("run {run} is cancelled without a reason: {}", text(outcome)));
        };
        require(expected == *run && says_why(outcome, &why), || {
            format!("run {run} is cancelled ({}), not {expected}: {why}", text(outcome))
        })?;
    }
    require(walk.cancels.is_empty(), || format!("not cancelled here: {:?}", walk.cancels))
}

fn text(outcome: &Outcome) -> String {
    let (Outcome::Data(json) | Outcome::Error(json)) = outcome;
    String::from_utf8_lossy(json).into_owned()
}

/// Those who completed or failed.
fn fails(told: &[&Effect]) -> BTreeSet<RunId> {
    let ended = told.iter().filter_map(|effect| {
        let Effect::AnnounceEnd { run, ending, .. } = effect else { return None };
        (*ending != Ending::Cancelled).then_some(*run)
    });
    ended.collect()
}
