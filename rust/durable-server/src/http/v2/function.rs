//! A function as this version shows it: what starts it, and what protects what stands behind it.

use durable_core::{Batch, Concurrency, CronTrigger};
use durable_core::{FunctionRecord, FunctionSpec, Policies, SingletonMode};
use serde_json::{Map, Value, json};

use crate::names::{event_for_sdk, own_id};

/// Tries beyond the first where nobody says.
const RETRIES: u8 = 4;

pub(super) fn function_json(record: &FunctionRecord) -> Value {
    let spec = &record.spec;
    json!({
        "id": own_id(spec),
        "name": spec.name,
        "slug": spec.name,
        "isPaused": record.is_paused,
        "isArchived": record.is_archived,
        "app": {"id": spec.app},
        "triggers": triggers(spec),
        "configuration": configuration(spec),
    })
}

fn triggers(spec: &FunctionSpec) -> Vec<Value> {
    let event = |name: &String| {
        let value = event_for_sdk(name);
        match spec.policies.conditions.get(name) {
            Some(condition) => json!({"type": "EVENT", "value": value, "condition": condition}),
            None => json!({"type": "EVENT", "value": value}),
        }
    };
    let cron = |cron: &CronTrigger| json!({"type": "CRON", "value": cron_text(cron)});
    spec.triggers.iter().map(event).chain(spec.crons.iter().map(cron)).collect()
}

fn cron_text(cron: &CronTrigger) -> String {
    if cron.tz == "UTC" { cron.text.clone() } else { format!("TZ={} {}", cron.tz, cron.text) }
}

fn configuration(spec: &FunctionSpec) -> Value {
    let Policies { concurrency, run_concurrency, throttle, rate_limit, debounce, .. } =
        &spec.policies;
    let Policies { batch, singleton, priority, cancel_on, .. } = &spec.policies;
    let mut all = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    };
    let is_default = spec.retries == RETRIES;
    put("retries", Some(json!({"value": spec.retries, "isDefault": is_default})));
    put("priority", priority.clone().map(Value::from));
    let limits: Vec<Value> = concurrency.iter().chain(run_concurrency).map(limit).collect();
    put("concurrency", Some(limits.into()));
    put(
        "throttle",
        throttle.as_ref().map(|one| {
            let (limit, burst) = (one.limit, one.burst);
            keyed(
                json!({"limit": limit, "burst": burst, "period": length(one.period_ms)}),
                one.key.as_deref(),
            )
        }),
    );
    put(
        "rateLimit",
        rate_limit.as_ref().map(|one| {
            keyed(json!({"limit": one.limit, "period": length(one.period_ms)}), one.key.as_deref())
        }),
    );
    put(
        "debounce",
        debounce
            .as_ref()
            .map(|one| keyed(json!({"period": length(one.period_ms)}), one.key.as_deref())),
    );
    put("eventsBatch", batch.as_ref().map(in_batches));
    put(
        "singleton",
        singleton.as_ref().map(|one| {
            let mode = match one.mode {
                SingletonMode::Skip => "SKIP",
                SingletonMode::Cancel => "CANCEL",
            };
            keyed(json!({"mode": mode}), one.key.as_deref())
        }),
    );
    let cancellations = cancel_on.iter().map(|one| {
        json!({
            "event": event_for_sdk(&one.event),
            "timeout": one.timeout_ms.map(length),
            "condition": one.condition,
        })
    });
    put("cancellations", Some(cancellations.collect()));
    all.into()
}

fn limit(one: &Concurrency) -> Value {
    let scope = match one.scope {
        durable_core::flow::policy::Scope::Fn => "FUNCTION",
        durable_core::flow::policy::Scope::Env => "ENVIRONMENT",
        durable_core::flow::policy::Scope::Account => "ACCOUNT",
    };
    let limit = json!({"value": one.limit, "isPlanLimit": false});
    keyed(json!({"scope": scope, "limit": limit}), one.key.as_deref())
}

fn in_batches(one: &Batch) -> Value {
    keyed(json!({"maxSize": one.max_size, "timeout": length(one.timeout_ms)}), one.key.as_deref())
}

fn keyed(mut value: Value, key: Option<&str>) -> Value {
    if let (Some(key), Some(fields)) = (key, value.as_object_mut()) {
        fields.insert("key".to_owned(), key.into());
    }
    value
}

/// As SDKs write lengths.
fn length(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use durable_core::{Backoff, CatchUp};

    use super::*;

    #[test]
    fn a_function_is_shown_as_it_was_declared() {
        let policies: Policies = serde_json::from_value(json!({
            "conditions": {"durable/function.failed": "event.data.x == 1"},
            "concurrency": [{"limit": 2, "key": "event.data.k", "scope": "env"}],
            "throttle": {"limit": 3, "period_ms": 60_000, "burst": 1},
            "rate_limit": null, "idempotency": null, "priority": null, "run_concurrency": null,
            "debounce": {"period_ms": 1_500}, "batch": null,
            "singleton": {"mode": "cancel"}, "timeouts": null,
            "cancel_on": [{"event": "stop", "timeout_ms": 1_000}],
        }))
        .unwrap();
        let cron = CronTrigger {
            text: "0 9 * * *".to_owned(),
            tz: "Europe/Paris".to_owned(),
            jitter_ms: 0,
            catch_up: CatchUp::default(),
        };
        let spec = FunctionSpec {
            triggers: vec!["durable/function.failed".to_owned()],
            crons: vec![cron],
            backoff: Backoff::default(),
            policies,
            ..FunctionSpec::new("shop", "shop-f")
        };
        let shown = function_json(&FunctionRecord::new(spec));
        assert_eq!((&shown["id"], &shown["slug"]), (&json!("f"), &json!("shop-f")));
        let event = json!({"type": "EVENT", "value": "inngest/function.failed", "condition": "event.data.x == 1"});
        assert_eq!(shown["triggers"][0], event);
        assert_eq!(shown["triggers"][1]["value"], "TZ=Europe/Paris 0 9 * * *");
        let set = &shown["configuration"];
        assert_eq!(set["concurrency"][0]["scope"], "ENVIRONMENT");
        assert_eq!(set["throttle"], json!({"limit": 3, "burst": 1, "period": "60s"}));
        assert_eq!(
            (&set["debounce"], &set["singleton"]),
            (&json!({"period": "1500ms"}), &json!({"mode": "CANCEL"}))
        );
        assert_eq!(set["cancellations"][0]["event"], "stop");
        assert!(set.get("rateLimit").is_none());
    }
}
