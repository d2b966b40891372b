//! Runs and signals for callers that wait without a thread of their own.

use bytes::Bytes;
use durable_core::{Answer, Command, EventId, NewMessage, Once, RunId, Ticket};

use crate::engine::{Engine, unexpected};
use crate::error::{Error, Result};
use crate::mailbox::Message;

/// A run that somebody asked for, and the event that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// It is new.
    Now(RunId, EventId),
    /// It was started when the same was asked for before.
    Before(RunId, EventId),
}

impl Engine {
    /// Starts one run of a function, whatever its triggers, and gives its id and its event's once they are durable.
    pub async fn invoke(&self, function: String, data: Bytes) -> Result<(RunId, EventId)> {
        match self.invoke_once(function, data, None).await? {
            Invoked::Now(run, event) | Invoked::Before(run, event) => Ok((run, event)),
        }
    }

    /// The same, at most once for each id that a caller gives: for a day, and while that run lives.
    pub async fn invoke_once(
        &self,
        function: String,
        data: Bytes,
        id: Option<String>,
    ) -> Result<Invoked> {
        let once = id.map(Once::new);
        let asked = |ticket| Command::InvokeFunction { ticket, function, data, once };
        match self.answer_to(asked).await? {
            Answer::Started(run, event) => Ok(Invoked::Now(run, event)),
            Answer::StartedBefore(run, event) => Ok(Invoked::Before(run, event)),
            other @ (Answer::Registered(_)
            | Answer::Accepted(_)
            | Answer::Paused
            | Answer::Cancelled(_)
            | Answer::EventCancelled(_)
            | Answer::Signalled(_)
            | Answer::Published(_)
            | Answer::Scheduled
            | Answer::Refused(_)) => Err(unexpected(&other)),
        }
    }

    /// Gives a signal to the run that waits for it, and tells which.
    pub async fn signal(&self, signal: String, data: Bytes) -> Result<RunId> {
        let asked = |ticket| Command::SendSignal { ticket, signal, data };
        let answer = self.answer_to(asked).await?;
        let Answer::Signalled(run) = answer else { return Err(unexpected(&answer)) };
        Ok(run)
    }

    /// Publishes a message and gives its number once it is durable; `None`: there is no room for it at the moment.
    pub async fn try_publish(&self, message: NewMessage) -> Result<Option<u64>> {
        let (ticket, answer) = self.shared().waiters.issue()?;
        let command = Command::Publish { ticket: Ticket(ticket), message, known: None };
        if self.try_post(Message::Command(command))?.is_some() {
            self.shared().waiters.withdraw(ticket);
            return Ok(None);
        }
        let answer = answer.await.map_err(|_gone| Error::closed())??;
        let Answer::Published(number) = answer else { return Err(unexpected(&answer)) };
        Ok(Some(number))
    }

    async fn answer_to(&self, command: impl FnOnce(Ticket) -> Command) -> Result<Answer> {
        let (ticket, answer) = self.shared().waiters.issue()?;
        self.tell(command(Ticket(ticket)))?;
        answer.await.map_err(|_gone| Error::closed())?
    }
}
