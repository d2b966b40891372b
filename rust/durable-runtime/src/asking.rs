//! Runs and signals for callers that wait without a thread of their own.

use bytes::Bytes;
use durable_core::{Answer, Command, EventId, NewMessage, RunId, Ticket};

use crate::engine::{Engine, unexpected};
use crate::error::{Error, Result};
use crate::mailbox::Message;

impl Engine {
    /// Starts one run of a function, whatever its triggers, and gives its id and its event's once they are durable.
    pub async fn invoke(&self, function: String, data: Bytes) -> Result<(RunId, EventId)> {
        let asked = |ticket| Command::InvokeFunction { ticket, function, data };
        let answer = self.answer_to(asked).await?;
        let Answer::Started(run, event) = answer else { return Err(unexpected(&answer)) };
        Ok((run, event))
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
