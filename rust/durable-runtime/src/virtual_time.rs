//! A virtual clock's leaps: from deadline to deadline, when nothing is under way.

use durable_core::Counts;

use crate::outbox::Item;
use crate::shard_loop::ShardLoop;

impl ShardLoop {
    /// Moves a virtual clock if it may move. True: it moved, or someone is to be told; a turn is due.
    pub(crate) fn leap(&mut self) -> bool {
        let clock = &self.shared.clock;
        if !clock.is_virtual() || !self.is_quiet() {
            return false;
        }
        let next = self.shard.next_deadline();
        if let Some((ticket, target)) = self.advances.front().copied() {
            if let Some(next) = next.filter(|next| *next <= target) {
                clock.jump(next);
            } else {
                clock.jump(target);
                self.advances.pop_front();
                self.shared.outbox.put([Item::Idle(ticket)]);
            }
            return true;
        }
        let is_parked = |counts: &Counts| counts.functions.iter().any(|f| f.parked.total() > 0);
        match next.filter(|_| clock.is_auto() && is_parked(&self.shard.counts())) {
            Some(next) => {
                clock.jump(next);
                true
            }
            None => false,
        }
    }

    /// Nothing executes, nothing is on its way to the disk, and whoever executes has nothing to do.
    fn is_quiet(&self) -> bool {
        let shared = &self.shared;
        self.shard.counts().executing_count == 0
            && shared.pipeline.is_idle()
            && shared.outbox.is_quiet()
            && shared.mailbox.is_empty()
    }
}
