//! Runs called off and runs started again: one, many, or those of an event.

use durable_core::{Answer, Command, EventId, Rerun, RunId, Ticket};

use crate::engine::{Engine, unexpected};
use crate::error::{Error, Result};

impl Engine {
    /// Calls a run off; durable when it returns. False where no such run lives.
    pub fn cancel(&self, run: RunId) -> Result<bool> {
        let answer = self.ask(|ticket| Command::CancelRun { ticket, run })?;
        let Answer::Cancelled(is_cancelled) = answer else { return Err(unexpected(&answer)) };
        Ok(is_cancelled)
    }

    /// Calls runs off, durable when it returns: true for those that lived.
    pub fn cancel_many(&self, runs: Vec<RunId>) -> Result<Vec<bool>> {
        let answers = self.ask_all(runs, |ticket, run| Command::CancelRun { ticket, run })?;
        let is_cancelled = |answer: &Answer| {
            let Answer::Cancelled(is_cancelled) = answer else { return Err(unexpected(answer)) };
            Ok(*is_cancelled)
        };
        answers.iter().map(is_cancelled).collect()
    }

    /// Starts a run that repeats another; durable when it returns the new run's id.
    pub fn rerun(&self, rerun: Rerun) -> Result<RunId> {
        let rerun = Box::new(rerun);
        let answer = self.ask(|ticket| Command::RerunRun { ticket, rerun })?;
        let Answer::Started(run, _) = answer else { return Err(unexpected(&answer)) };
        Ok(run)
    }

    /// Starts a run for each of these that no later run of its event repeats yet, durable when it returns: the new
    /// runs' ids, or why there is none.
    pub fn rerun_many(&self, runs: Vec<RunId>) -> Result<Vec<Result<RunId>>> {
        let answers = self.ask_all(runs, |ticket, run| {
            let rerun = Rerun { run, from: None, data: None, is_once: true, origin: None };
            Command::RerunRun { ticket, rerun: Box::new(rerun) }
        })?;
        let started = |answer: &Answer| {
            let Answer::Started(run, _) = answer else { return Err(unexpected(answer)) };
            Ok(*run)
        };
        Ok(answers.iter().map(started).collect())
    }

    /// Calls off the runs of an event that have not started, durable when it returns: how many they were.
    pub fn cancel_event(&self, event: EventId) -> Result<u32> {
        let record = None;
        let answer = self.ask(|ticket| Command::CancelEvent { ticket, event, record })?;
        let Answer::EventCancelled(count) = answer else { return Err(unexpected(&answer)) };
        Ok(count)
    }

    /// Asks many things before the first answer is waited for: they share commits.
    fn ask_all<T>(
        &self,
        about: Vec<T>,
        command: impl Fn(Ticket, T) -> Command,
    ) -> Result<Vec<Answer>> {
        let mut waiting = Vec::with_capacity(about.len());
        for one in about {
            let (ticket, answer) = self.shared().waiters.issue()?;
            self.tell(command(Ticket(ticket), one))?;
            waiting.push(answer);
        }
        let answers = waiting.into_iter().map(|answer| answer.blocking_recv());
        answers.map(|answer| answer.map_err(|_gone| Error::closed())?).collect()
    }
}
