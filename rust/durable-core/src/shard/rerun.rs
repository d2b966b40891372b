//! Repeating a run: a new run of the same function with the same events, whole or from one of its steps on.
//!
//! Its event was let through once: rate limit, idempotency, debounce and batch are not asked again, nor is the
//! sender's id. All that paces runs holds as for any other, and a singleton or a pause may refuse it.

use super::admit::{record, too_large_or_invalid};
use super::program::view;
use super::{Shard, Turn};
use crate::command::{FromStep, Rerun};
use crate::effect::{Answer, Effect, Refusal};
use crate::event::{EventRecord, NewEvent, Skip};
use crate::id::{EventId, FunctionId, RunId, Ticket};
use crate::origin::Origin;
use crate::step::{Memo, Outcome, StepKind};
use crate::system::StartedBy;
use crate::time::Timestamp;
use crate::write::{Write, encode, event_key, memo_key};

/// As many steps are named to somebody who asked for one that there is not.
const STEPS_NAMED: usize = 20;

/// A run that was looked at and can be repeated.
struct Repeat {
    function: FunctionId,
    rerun_of: RunId,
    /// Its events, as they are kept.
    events: Vec<(EventId, EventRecord)>,
    starts_at: Option<Timestamp>,
    memos: Vec<Memo>,
    /// What takes the place of its event.
    replacement: Option<NewEvent>,
}

impl Shard {
    pub(super) fn rerun(&mut self, ticket: Ticket, rerun: Rerun, turn: &mut Turn) {
        if !turn.writes.is_empty() {
            super::broken("a run is to be repeated in a turn that has changed something");
        }
        let started = self.look_at(rerun).and_then(|repeat| self.repeat(repeat, turn));
        let answer = match started {
            Ok((run, event)) => Answer::Started(run, event),
            Err(why) => Answer::Refused(why),
        };
        turn.effects.push(Effect::Answer { ticket, answer });
    }

    /// What is repeated, or why it cannot be. Changes nothing.
    fn look_at(&self, rerun: Rerun) -> Result<Repeat, Refusal> {
        let Rerun { run, from, data, is_once, origin } = rerun;
        let origin = origin
            .ok_or_else(|| Refusal::NotFound(format!("there is no run {run} in this store")))?;
        let function = &self.function(origin.function).record;
        if function.is_archived {
            return Err(Refusal::no_function(&function.spec.name));
        }
        if function.is_paused {
            let name = &self.function(origin.function).record.spec.name;
            return Err(Refusal::skipped(name, Skip::Paused));
        }
        if let Some(later) = origin.repeated_by(run).filter(|_| is_once) {
            return Err(Refusal::Skipped(format!(
                "run {run} was repeated already, by run {later}"
            )));
        }
        let memos = match from {
            Some(from) => self.taken_over(run, &origin, from)?,
            None => Vec::new(),
        };
        let events = origin.events.ok_or_else(|| {
            Refusal::NotFound(format!("run {run} cannot be repeated: its event is no longer kept"))
        })?;
        let replacement = match (data, events.as_slice()) {
            (None, _) => None,
            (Some(data), [(_, event)]) => {
                let event = NewEvent { user_id: None, ..event.with_data(data) };
                if let Some(why) = event.refusal_of_shape() {
                    return Err(too_large_or_invalid(&event, why));
                }
                Some(event)
            }
            (Some(_), several) => {
                let count = several.len();
                return Err(Refusal::Invalid(format!(
                    "run {run} has a batch of {count} events: other data can take the place of a single one"
                )));
            }
        };
        let (function, rerun_of, starts_at) = (origin.function, run, origin.starts_at);
        Ok(Repeat { function, rerun_of, events, starts_at, memos, replacement })
    }

    /// The memos that a run begins with: those recorded before a step, and that step's where its output is given.
    fn taken_over(
        &self,
        run: RunId,
        origin: &Origin,
        from: FromStep,
    ) -> Result<Vec<Memo>, Refusal> {
        let FromStep { name, output } = from;
        let place = origin.memos.iter().position(|memo| memo.name == name);
        let pending = origin.pending.iter().find(|(step, _)| *step == name);
        let kind = place.and_then(|place| origin.memos.get(place)).map(|memo| memo.kind);
        let Some(kind) = kind.or(pending.map(|(_, kind)| *kind)) else {
            return Err(Refusal::NotFound(no_step(run, &name, origin)));
        };
        let before = origin.memos.iter().take(place.unwrap_or(usize::MAX));
        let before = before.map(|memo| (memo.name.clone(), memo.kind, memo.outcome.clone()));
        let limits = &self.settings.limits;
        if let Some(size) = output.as_ref().map(bytes::Bytes::len)
            && size > limits.output_bytes
        {
            let most = limits.output_bytes;
            let why = format!("step '{name}' was given {size} bytes; the limit is {most}");
            return Err(Refusal::TooLarge(why));
        }
        let given = output.map(|output| (name, kind, Outcome::Data(output)));
        let now = self.now();
        let memos: Vec<Memo> = before.chain(given).map(|step| taken(step, now)).collect();
        if state_bytes(&memos) > limits.state_bytes {
            let most = limits.state_bytes;
            let why = format!("with this output the run's state exceeds {most} bytes");
            return Err(Refusal::TooLarge(why));
        }
        Ok(memos)
    }

    fn repeat(&mut self, repeat: Repeat, turn: &mut Turn) -> Result<(RunId, EventId), Refusal> {
        let Repeat { function, rerun_of, mut events, starts_at, memos, replacement } = repeat;
        let last_event = self.meta.last_event;
        let is_replaced = replacement.is_some();
        let (id, event) = match (replacement, events.first()) {
            (Some(event), _) => (self.next_event_id(), event),
            (None, Some((id, event))) => (*id, event.with_data(event.data.clone())),
            (None, None) => super::broken("a run has no event"),
        };
        let text = id.to_string();
        let given = view(&event, &text, self.now());
        let keys = self.keys(function, &given);
        let cancels = self.function(function).program.cancels(&given);
        if let Err(skip) = self.make_way(function, &keys, turn) {
            self.meta.last_event = last_event;
            return Err(Refusal::skipped(&self.function(function).record.spec.name, skip));
        }
        let starts_at = starts_at.or(event.ts).filter(|_| events.len() == 1);
        let cause = (id, StartedBy::of(&event.name));
        let run = self.add_run(function, cause, keys);
        let rest = events.iter().skip(1).map(|(id, _)| *id).collect();
        let memo_count = u32::try_from(memos.len()).unwrap_or(u32::MAX);
        let made = self.opened(run);
        (made.rest, made.rerun_of, made.cancels) = (rest, Some(rerun_of), cancels);
        (made.memo_count, made.state_bytes) = (memo_count, state_bytes(&memos));
        for (memo, number) in memos.iter().zip(0..) {
            let key = memo_key(run, number);
            turn.writes.push(Write::Insert { key, value: encode(memo) });
        }
        for (id, event) in &mut events {
            event.runs.push((function, run));
            turn.writes.push(Write::Put { key: event_key(*id), value: encode(event) });
            if !is_replaced {
                self.keep_event(*id, turn);
            }
        }
        if is_replaced {
            let event = record(self.now(), event, (vec![(function, run)], Vec::new()), None);
            let event = EventRecord { made_for: Some(rerun_of), ..event };
            turn.writes.push(Write::Insert { key: event_key(id), value: encode(&event) });
        }
        self.begin(run, starts_at, turn);
        Ok((run, id))
    }
}

/// A memo that another run made: nothing of it was started here.
fn taken((name, kind, outcome): (String, StepKind, Outcome), now: Timestamp) -> Memo {
    Memo { name, kind, start_count: 0, asked_at: now, recorded_at: now, outcome }
}

fn state_bytes(memos: &[Memo]) -> u64 {
    let sizes = memos.iter().map(|memo| u64::try_from(memo.outcome.len()).unwrap_or(u64::MAX));
    sizes.fold(0, u64::saturating_add)
}

fn no_step(run: RunId, name: &str, origin: &Origin) -> String {
    let memos = origin.memos.iter().map(|memo| memo.name.as_str());
    let names: Vec<&str> =
        memos.chain(origin.pending.iter().map(|(name, _)| name.as_str())).collect();
    let shown = names.iter().take(STEPS_NAMED).copied().collect::<Vec<_>>().join("', '");
    let more = names.len().saturating_sub(STEPS_NAMED);
    let steps = match (names.len(), more) {
        (0, _) => "it has recorded none".to_owned(),
        (_, 0) => format!("its steps are '{shown}'"),
        (_, more) => format!("its steps are '{shown}' and {more} more"),
    };
    let returned = origin
        .memos
        .last()
        .filter(|last| last.kind == StepKind::Run && matches!(last.outcome, Outcome::Data(_)));
    let keep = returned.map_or(String::new(), |last| {
        let last = &last.name;
        format!("; to keep all of them, repeat it from '{last}' with what that has returned as its output")
    });
    format!("run {run} has no step '{name}': {steps}{keep}")
}
