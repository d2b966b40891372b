//! What functions ask of flow control, drawn in all combinations that may be registered.

use durable_core::flow::policy::Scope;
use durable_core::{
    Batch, CancelOn, Concurrency, Debounce, FunctionSpec, Policies, RateLimit, Singleton,
    SingletonMode, Throttle, Timeouts,
};

use super::World;
use crate::model::says::{CONDITIONS, KEYS, MATCHES, PRIORITIES};
use crate::program::EVENTS;

impl World {
    /// All policies of a function: each is there or not.
    pub(super) fn draw_policies(&mut self, spec: &mut FunctionSpec) {
        let most = self.mix.policy_period.as_millis();
        let most = u64::try_from(most).unwrap_or(u64::MAX).max(200);
        let mut policies = Policies::default();
        if self.chance.happens(200)
            && let Some(trigger) = self.chance.pick(&spec.triggers).cloned()
            && let Some(condition) = self.pick(&CONDITIONS)
        {
            policies.conditions.insert(trigger, condition);
        }
        self.draw_concurrency(&mut policies);
        policies.throttle = self.chance.happens(250).then(|| Throttle {
            limit: self.chance.small(1, 3),
            period_ms: self.chance.within(100, most),
            burst: self.chance.small(0, 2),
            key: self.draw_key(),
        });
        policies.timeouts = self.chance.happens(250).then(|| Timeouts {
            start_ms: self.chance.happens(600).then(|| self.chance.within(100, most * 2)),
            finish_ms: self.chance.happens(600).then(|| self.chance.within(100, most * 4)),
        });
        if self.chance.happens(250) {
            self.draw_batch(&mut policies, most);
        } else {
            self.draw_singles(&mut policies, most);
        }
        if policies.batch.is_none() && self.chance.happens(250) {
            policies.cancel_on = (0..self.chance.small(1, 2)).map(|_| self.draw_cancel()).collect();
        }
        if policies.rate_limit.is_none() && self.chance.happens(120) {
            policies.idempotency = self.pick(&KEYS);
        }
        if policies.refusal().is_none() {
            spec.policies = policies;
        }
    }

    fn draw_cancel(&mut self) -> CancelOn {
        let most = self.mix.sleep.as_millis();
        let most = u64::try_from(most).unwrap_or(u64::MAX).max(2);
        CancelOn {
            event: self.pick(&EVENTS).unwrap_or_default(),
            condition: self.pick(&MATCHES).filter(|_| self.chance.happens(850)),
            timeout_ms: self.chance.happens(300).then(|| self.chance.within(1, most)),
        }
    }

    fn draw_concurrency(&mut self, policies: &mut Policies) {
        if self.chance.happens(400) {
            let limit = self.chance.small(1, 4);
            policies.concurrency.push(Concurrency { limit, key: None, scope: Scope::Fn });
        }
        if self.chance.happens(300) {
            policies.concurrency.push(self.draw_keyed_limit());
        }
        if self.chance.happens(80) && policies.concurrency.len() < 2 {
            policies.concurrency.push(self.draw_keyed_limit());
        }
        policies.run_concurrency = self.chance.happens(250).then(|| {
            let limit = self.draw_keyed_limit();
            if self.chance.happens(500) {
                Concurrency { key: None, scope: Scope::Fn, ..limit }
            } else {
                limit
            }
        });
    }

    fn draw_keyed_limit(&mut self) -> Concurrency {
        let scope = match self.chance.below(10) {
            0..=1 => Scope::Env,
            2 => Scope::Account,
            _ => Scope::Fn,
        };
        Concurrency { limit: self.chance.small(1, 3), key: self.pick(&KEYS), scope }
    }

    /// Policies that a batch allows beside it are drawn elsewhere.
    fn draw_batch(&mut self, policies: &mut Policies, most: u64) {
        policies.batch = Some(Batch {
            max_size: self.chance.small(2, 5),
            timeout_ms: self.chance.within(100, most),
            key: self.draw_key(),
            condition: self.chance.happens(300).then(|| self.pick(&CONDITIONS)).flatten(),
        });
    }

    fn draw_singles(&mut self, policies: &mut Policies, most: u64) {
        policies.debounce = self.chance.happens(250).then(|| Debounce {
            period_ms: self.chance.within(100, most),
            key: self.draw_key(),
            timeout_ms: self.chance.happens(500).then(|| self.chance.within(100, most * 2)),
        });
        policies.singleton = self.chance.happens(250).then(|| Singleton {
            mode: if self.chance.happens(500) {
                SingletonMode::Skip
            } else {
                SingletonMode::Cancel
            },
            key: self.draw_key(),
        });
        policies.rate_limit = self.chance.happens(200).then(|| {
            let limit = self.chance.small(1, 4);
            RateLimit {
                limit,
                period_ms: self.chance.within(100, most * 2),
                burst: if self.chance.happens(700) { limit - 1 } else { 0 },
                key: self.draw_key(),
            }
        });
        policies.priority = self.chance.happens(300).then(|| self.pick(&PRIORITIES)).flatten();
    }

    fn draw_key(&mut self) -> Option<String> {
        if self.chance.happens(500) { self.pick(&KEYS) } else { None }
    }

    fn pick(&mut self, among: &[&str]) -> Option<String> {
        self.chance.pick(among).map(|text| (*text).to_owned())
    }
}
