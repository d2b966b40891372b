//! Invoking: one function started by a caller or by a step of another run, which waits for its end and is told how
//! it ended, whatever became of it.

use bytes::Bytes;

use super::admit::too_large_or_invalid;
use super::{Shard, Turn};
use crate::command::{Once, Until};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::NewEvent;
use crate::id::{EventId, FunctionId, RunId, Ticket};
use crate::run::{Ending, json_text};
use crate::step::{Awaits, Outcome, Pending, PendingState, StepKind};

impl Shard {
    /// Somebody outside starts one run of one function, whatever its triggers.
    pub(super) fn invoke(
        &mut self,
        ticket: Ticket,
        function: &str,
        (data, once): (Bytes, Option<Once>),
        turn: &mut Turn,
    ) {
        let answer = if let Some(once) = once {
            self.start_once(function, (data, once), turn)
        } else {
            let started = self.start_invoked(function, data, turn);
            started.map(|(run, event)| Answer::Started(run, event))
        };
        let answer = answer.unwrap_or_else(Answer::Refused);
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// One run for all that is asked under one id.
    fn start_once(
        &mut self,
        name: &str,
        (data, once): (Bytes, Once),
        turn: &mut Turn,
    ) -> Result<Answer, Refusal> {
        let Once { id, known } = once;
        let function = self.registered(name)?;
        let dedup = self.dedup(&id, known);
        if let Some(dedup) = &dedup
            && let Some((_, run)) = dedup.runs.iter().find(|(of, _)| *of == function)
        {
            return Ok(Answer::StartedBefore(*run, dedup.event));
        }
        let event = NewEvent { user_id: Some(id.clone()), ..invoked(data) };
        if let Some(why) = event.refusal_of_shape() {
            return Err(too_large_or_invalid(&event, why));
        }
        let first = dedup.as_ref().map(|dedup| dedup.event);
        let (event, started) = self.start_alone(function, (event, first), turn);
        let run = started.map_err(|skip| Refusal::skipped(name, skip))?;
        self.remember_sender((&id, dedup), event, &[(function, run)], turn);
        Ok(Answer::Started(run, event))
    }

    /// A step does, and waits for the end of that run.
    pub(super) fn invoke_from(
        &mut self,
        id: RunId,
        (name, until): (String, Until),
        (function, data): (&str, Bytes),
        turn: &mut Turn,
    ) {
        if self.opened(id).pending.iter().any(|step| step.name == name) {
            return; // it waits already
        }
        let Some(due) = self.due(id, (&name, StepKind::Invoke), until, turn) else { return };
        let state = (PendingState::Waiting(due), Some(Awaits::Run(RunId::default())));
        let Some(number) = self.add_pending(id, name, state, turn) else { return };
        let started = self.start_invoked(function, data, turn);
        if !self.runs.contains(id) {
            return; // the run that it started has taken its place
        }
        match started {
            Ok((run, event)) => self.await_run((id, number), function, (run, event), turn),
            Err(why) => {
                let is_skip = matches!(why, Refusal::Skipped(_));
                let reason = if is_skip { "skipped" } else { "refused" };
                self.refuse_invoker((id, number), (reason, why.text()), turn);
            }
        }
    }

    /// A run was started by a step, or an event of that step's joined it.
    fn await_run(
        &mut self,
        (id, number): (RunId, u32),
        function: &str,
        (run, event): (RunId, EventId),
        turn: &mut Turn,
    ) {
        let step = self.opened(id).pending.iter_mut().find(|step| step.number == number);
        if let Some(step) = step {
            step.awaits = Some(Awaits::Run(run));
        }
        let is_of_it = self.is_started_by(run, event);
        match self.open(run) {
            Some(invoked) if is_of_it => invoked.invokers.push((id, number, event)),
            Some(_) => {
                let why = format!("run {run} of '{function}' took the data of another call");
                self.refuse_invoker((id, number), ("debounced", &why), turn);
            }
            None => {
                let why = format!("run {run} of '{function}' was cancelled before it started");
                self.refuse_invoker((id, number), ("cancelled", &why), turn);
            }
        }
    }

    fn start_invoked(
        &mut self,
        name: &str,
        data: Bytes,
        turn: &mut Turn,
    ) -> Result<(RunId, EventId), Refusal> {
        let event = invoked(data);
        let function = self.registered(name)?;
        if let Some(why) = event.refusal_of_shape() {
            return Err(too_large_or_invalid(&event, why));
        }
        let (event, started) = self.start_alone(function, (event, None), turn);
        started.map(|run| (run, event)).map_err(|skip| Refusal::skipped(name, skip))
    }

    /// A run has ended: the steps that wait for it are told how.
    pub(super) fn tell_invokers(
        &mut self,
        run: RunId,
        (invokers, function): (Vec<(RunId, u32, EventId)>, FunctionId),
        (ending, outcome): (Ending, &Outcome),
        turn: &mut Turn,
    ) {
        if invokers.is_empty() {
            return;
        }
        let name = self.function(function).record.spec.name.clone();
        let told = match (ending, outcome) {
            (Ending::Completed, outcome) => outcome.clone(),
            (Ending::Failed, Outcome::Data(cause) | Outcome::Error(cause)) => {
                let why = format!("run {run} of '{name}' failed");
                Outcome::Error(invoke_error(("failed", &why), Some(run), Some(cause)))
            }
            (Ending::Cancelled, Outcome::Data(cause) | Outcome::Error(cause)) => {
                let why = format!("run {run} of '{name}' was cancelled");
                Outcome::Error(invoke_error(("cancelled", &why), Some(run), Some(cause)))
            }
        };
        for (id, number, _) in invokers {
            self.tell_invoker((id, number), told.clone(), turn);
        }
    }

    /// A debounce has dropped the data of a call for that of a later one.
    pub(super) fn tell_replaced(&mut self, run: RunId, turn: &mut Turn) {
        let invokers = std::mem::take(&mut self.opened(run).invokers);
        for (id, number, _) in invokers {
            let why = format!("run {run} took the data of a later call: `debounce` keeps the last");
            self.refuse_invoker((id, number), ("debounced", &why), turn);
        }
    }

    /// The event of a call was called off, and the run goes on without it.
    pub(super) fn tell_called_off(&mut self, run: RunId, event: EventId, turn: &mut Turn) {
        let invokers = &mut self.opened(run).invokers;
        let (of_it, others) = invokers.drain(..).partition(|(_, _, of)| *of == event);
        let of_it: Vec<(RunId, u32, EventId)> = of_it;
        *invokers = others;
        for (id, number, _) in of_it {
            let why = format!("the event {event} of this call was called off");
            self.refuse_invoker((id, number), ("cancelled", &why), turn);
        }
    }

    fn refuse_invoker(&mut self, invoker: (RunId, u32), why: (&str, &str), turn: &mut Turn) {
        self.tell_invoker(invoker, Outcome::Error(invoke_error(why, None, None)), turn);
    }

    /// The wait is over, if there still is somebody who waits.
    fn tell_invoker(&mut self, (id, number): (RunId, u32), outcome: Outcome, turn: &mut Turn) {
        let Some(run) = self.open(id) else { return };
        let is_it =
            |step: &Pending| step.number == number && matches!(step.awaits, Some(Awaits::Run(_)));
        if let Some(place) = run.pending.iter().position(is_it) {
            let step = run.pending.remove(place);
            self.end_wait(id, step, outcome, turn);
        }
    }
}

/// Nobody waits for this run any more; it goes on.
pub(super) fn timed_out(run: RunId) -> Outcome {
    let why = format!("run {run} has not ended in time; it goes on");
    Outcome::Error(invoke_error(("timeout", &why), Some(run), None))
}

/// What a step that invokes is told instead of a result: the reason in one word and in several, and the error that
/// the other run ended with.
fn invoked(data: Bytes) -> NewEvent {
    NewEvent { name: "durable/function.invoked".to_owned(), data, ..NewEvent::default() }
}

fn invoke_error(
    (reason, message): (&str, &str),
    run: Option<RunId>,
    cause: Option<&Bytes>,
) -> Bytes {
    let name = if reason == "timeout" { "InvokeTimeoutError" } else { "InvokeError" };
    let (message, reason) = (json_text(message), json_text(reason));
    let cause = cause.map_or("null".into(), |cause| String::from_utf8_lossy(cause));
    let run = run.map_or(String::new(), |run| run.to_string());
    Bytes::from(format!(
        "{{\"name\":\"{name}\",\"message\":{message},\"stack\":\"\",\"reason\":{reason},\
         \"run_id\":\"{run}\",\"cause\":{cause}}}"
    ))
}
