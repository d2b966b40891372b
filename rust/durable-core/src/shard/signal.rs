//! Signals: each is waited for by one step at most, and resumes it. Nothing is kept of one that nobody waits for.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Shard, Turn};
use crate::command::{OnConflict, Until};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::MAX_EVENT_BYTES;
use crate::id::{RunId, Ticket};
use crate::step::{Awaits, Outcome, Pending, PendingState, StepKind};

/// The most bytes a signal's name may have.
const MAX_SIGNAL_BYTES: usize = 256;

impl Shard {
    /// A step waits for a signal.
    pub(super) fn wait_for_signal(
        &mut self,
        id: RunId,
        (name, until): (String, Until),
        (signal, on_conflict): (String, OnConflict),
        turn: &mut Turn,
    ) {
        if let Some(why) = wrong_name(&signal) {
            let why = format!("step '{name}': {why}");
            self.fail_run_at(id, (name, StepKind::Signal), ("InvalidSignal", &why), turn);
            return;
        }
        if self.opened(id).pending.iter().any(|step| step.name == name) {
            return; // it waits already
        }
        let Some(due) = self.due(id, (&name, StepKind::Signal), until, turn) else { return };
        if let Some((other, number)) = self.signals.holder(signal.as_bytes()) {
            match on_conflict {
                OnConflict::Fail => {
                    let why = format!("run {other} waits for the signal '{signal}' already");
                    let step = (name, StepKind::Signal);
                    self.fail_run_at(id, step, ("SignalConflict", &why), turn);
                    return;
                }
                OnConflict::Replace => {
                    self.end_wait_of((other, number), Bytes::from_static(NULL), turn);
                }
            }
        }
        if !self.runs.contains(id) {
            return; // it waited itself, and one memo more was too many
        }
        let state = (PendingState::Waiting(due), Some(Awaits::Signal(signal.clone())));
        if let Some(number) = self.add_pending(id, name, state, turn) {
            self.signals.take(signal.as_bytes(), (id, number));
        }
    }

    /// Somebody sends a signal: who waits for it goes on.
    pub(super) fn send_signal(
        &mut self,
        ticket: Ticket,
        signal: &str,
        data: &[u8],
        turn: &mut Turn,
    ) {
        let json = given(signal, data);
        let answer = match self.signals.holder(signal.as_bytes()) {
            _ if let Some(why) = wrong_name(signal) => Answer::Refused(Refusal::Invalid(why)),
            _ if json.len() > self.settings.limits.output_bytes.min(MAX_EVENT_BYTES) => {
                let size = data.len();
                Answer::Refused(Refusal::TooLarge(format!(
                    "the data of signal '{signal}' has {size} bytes: send a reference to it instead"
                )))
            }
            None => Answer::Refused(Refusal::NoWaiter(format!(
                "no run waits for the signal '{signal}'; signals are not kept for later"
            ))),
            Some(waiter) => {
                self.end_wait_of(waiter, json, turn);
                Answer::Signalled(waiter.0)
            }
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// Of the step of this number the wait is over, with what came of it.
    pub(super) fn end_wait_of(&mut self, (id, number): (RunId, u32), json: Bytes, turn: &mut Turn) {
        let pending = &mut self.opened(id).pending;
        if let Some(place) = pending.iter().position(|step| step.number == number) {
            let step = pending.remove(place);
            self.end_wait(id, step, Outcome::Data(json), turn);
        }
    }

    /// A sleep or a wait is over, with what came of it.
    pub(super) fn end_wait(&mut self, id: RunId, step: Pending, outcome: Outcome, turn: &mut Turn) {
        self.forget(id, &step, turn);
        if self.remember(id, step, outcome, turn) {
            self.wake(id, turn);
        }
    }
}

const NULL: &[u8] = b"null";

fn wrong_name(signal: &str) -> Option<String> {
    if signal.is_empty() {
        return Some("a signal's name is not empty".to_owned());
    }
    (signal.len() > MAX_SIGNAL_BYTES)
        .then(|| format!("a signal's name has at most {MAX_SIGNAL_BYTES} bytes: '{signal}'"))
}

/// What a waiter is given: `{"signal": ..., "data": ...}`.
fn given(signal: &str, data: &[u8]) -> Bytes {
    let name = crate::run::json_text(signal);
    let mut json =
        BytesMut::with_capacity(name.len().saturating_add(data.len()).saturating_add(20));
    json.put_slice(b"{\"signal\":");
    json.put_slice(name.as_bytes());
    json.put_slice(b",\"data\":");
    json.put_slice(data);
    json.put_slice(b"}");
    json.freeze()
}
