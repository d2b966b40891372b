//! Handing out what may run: functions in turn, within their limits, up to their executors' capacity.

use super::enqueue::STRETCH;
use super::{Shard, Turn};
use crate::effect::{Effect, Work};
use crate::flow::ready_queue::{Item, Popped};
use crate::id::{Epoch, FunctionId};
use crate::run::Stretch;
use crate::step::PendingState;
use crate::time::Timestamp;

impl Shard {
    /// Offers as much work as may execute, then writes down what the turn has changed. Always the last
    /// part of a turn.
    pub fn dispatch(&mut self, now: Timestamp, turn: &mut Turn) {
        self.advance_clock(now);
        self.wait_for_timers();
        while let Some(Popped { item, passed }) = self.queues.pop(self.meta.now) {
            if let Some((gate, arrival)) = passed {
                let name = self.queues.gate_name(gate);
                turn.writes.push(super::flow::passed(name, arrival));
            }
            self.offer(item, turn);
        }
        self.close(turn);
    }

    /// Functions with timeouts are served once all that is due has happened.
    fn wait_for_timers(&mut self) {
        let is_behind = self.has_overdue_timers();
        if is_behind != self.is_behind {
            self.is_behind = is_behind;
            for id in (0..).map(FunctionId).take(self.functions.len()) {
                self.serve(id);
            }
        }
    }

    fn offer(&mut self, item: Item, turn: &mut Turn) {
        let (now, last_event) = (self.now(), self.meta.last_event);
        let executor = self.executor_of(item.run);
        let run = self.opened(item.run);
        run.busy_since.get_or_insert(last_event);
        let is_start = run.started_at.is_none();
        let epoch = Epoch(run.epoch.0.saturating_add(1));
        run.epoch = epoch;
        let (step, attempt, step_attempt, failure_count) = if item.number == STRETCH {
            run.stretch = Stretch::Executing(epoch);
            run.started_at.get_or_insert(now);
            run.active_at = now;
            run.report_count = 0;
            let attempt = run.start_count;
            run.start_count = attempt.saturating_add(1);
            (None, attempt, run.step_start_count().saturating_sub(1), run.failure_count)
        } else {
            let pending = run.pending.iter_mut().find(|pending| pending.number == item.number);
            let pending = pending.unwrap_or_else(|| super::broken("a queued step is not pending"));
            pending.state = PendingState::Executing(epoch);
            let attempt = pending.start_count;
            pending.start_count = attempt.saturating_add(1);
            (Some(pending.name.clone()), attempt, attempt, pending.failure_count)
        };
        turn.effects.push(Effect::OfferWork(Work {
            executor,
            run: item.run,
            epoch,
            function: run.function,
            event: run.event,
            rest: run.rest.clone(),
            step,
            attempt,
            step_attempt,
            failure_count,
            memo_count: run.memo_count,
            pending: run.pending.iter().map(|pending| pending.name.clone()).collect(),
        }));
        if is_start {
            self.set_deadline(item.run, turn);
        }
    }
}
