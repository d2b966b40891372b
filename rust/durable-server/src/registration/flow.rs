//! Flow control as SDKs declare it.

use durable_core::flow::policy::Scope;
use durable_core::{
    Batch, CancelOn, Concurrency, Debounce, Policies, RateLimit, Singleton, SingletonMode,
    Throttle, Timeouts,
};
use serde_json::Value;

use super::json::Fields;
use crate::length::length_ms;
use crate::names::event_from_sdk;

/// A batch waits for so long where an application does not say, ms.
const BATCH_MS: u64 = 10_000;

pub(super) fn policies(fields: &Fields<'_>) -> Result<Policies, String> {
    let (concurrency, run_concurrency) = concurrency(fields)?;
    Ok(Policies {
        concurrency,
        run_concurrency,
        throttle: fields.object("throttle")?.map(|of| throttle(&of)).transpose()?,
        rate_limit: fields.object("rateLimit")?.map(|of| rate_limit(&of)).transpose()?,
        idempotency: expression(fields, "idempotency")?,
        priority: match fields.object("priority")? {
            Some(priority) => expression(&priority, "run")?,
            None => None,
        },
        debounce: fields.object("debounce")?.map(|of| debounce(&of)).transpose()?,
        batch: fields.object("batchEvents")?.map(|of| batch(&of)).transpose()?,
        singleton: fields.object("singleton")?.map(|of| singleton(&of)).transpose()?,
        timeouts: fields.object("timeouts")?.map(|of| timeouts(&of)).transpose()?.flatten(),
        cancel_on: fields.list("cancel")?.iter().map(cancel).collect::<Result<_, _>>()?,
        ..Policies::default()
    })
}

/// A number, a limit, a list of limits, or those of steps and those of whole runs.
fn concurrency(fields: &Fields<'_>) -> Result<(Vec<Concurrency>, Option<Concurrency>), String> {
    let Some(value) = fields.get("concurrency") else { return Ok((Vec::new(), None)) };
    if let Some(object) = value.as_object().filter(|map| !map.contains_key("limit")) {
        let of = |name: &str| object.get(name).map_or(Ok(Vec::new()), limits);
        return Ok((of("step")?, of("fn")?.into_iter().next()));
    }
    Ok((limits(value)?, None))
}

fn limits(value: &Value) -> Result<Vec<Concurrency>, String> {
    let limits: Result<Vec<_>, String> = match value {
        Value::Array(members) => members.iter().map(limit).collect(),
        Value::Null => Ok(Vec::new()),
        Value::Number(_) | Value::Object(_) | Value::Bool(_) | Value::String(_) => {
            limit(value).map(|one| vec![one])
        }
    };
    // A limit of 0 is none.
    limits.map(|limits| limits.into_iter().filter(|one| one.limit > 0).collect())
}

fn limit(value: &Value) -> Result<Concurrency, String> {
    if let Some(number) = value.as_u64() {
        let limit = u32::try_from(number).unwrap_or(u32::MAX);
        return Ok(Concurrency { limit, key: None, scope: Scope::Fn });
    }
    let fields = Fields::of(value, "concurrency")?;
    // Go's SDK writes it with a capital letter.
    let scope = fields.text("scope")?.map(str::to_ascii_lowercase);
    let scope = match scope.as_deref() {
        None | Some("fn" | "") => Scope::Fn,
        Some("env") => Scope::Env,
        Some("account") => Scope::Account,
        Some(other) => {
            return Err(format!("concurrency: '{other}' is no scope: fn, env or account"));
        }
    };
    Ok(Concurrency {
        limit: fields.small("limit")?.unwrap_or(0),
        key: expression(&fields, "key")?,
        scope,
    })
}

fn throttle(fields: &Fields<'_>) -> Result<Throttle, String> {
    Ok(Throttle {
        limit: fields.small("limit")?.unwrap_or(0),
        period_ms: length(fields, "throttle", "period")?.unwrap_or(0),
        burst: fields.small("burst")?.unwrap_or(0),
        key: expression(fields, "key")?,
    })
}

fn rate_limit(fields: &Fields<'_>) -> Result<RateLimit, String> {
    let limit = fields.small("limit")?.unwrap_or(0);
    Ok(RateLimit {
        limit,
        period_ms: length(fields, "rateLimit", "period")?.unwrap_or(0),
        burst: limit.saturating_sub(1),
        key: expression(fields, "key")?,
    })
}

fn debounce(fields: &Fields<'_>) -> Result<Debounce, String> {
    Ok(Debounce {
        period_ms: length(fields, "debounce", "period")?.unwrap_or(0),
        key: expression(fields, "key")?,
        timeout_ms: length(fields, "debounce", "timeout")?,
    })
}

fn batch(fields: &Fields<'_>) -> Result<Batch, String> {
    Ok(Batch {
        max_size: fields.small("maxSize")?.unwrap_or(0),
        timeout_ms: length(fields, "batchEvents", "timeout")?.unwrap_or(BATCH_MS),
        key: expression(fields, "key")?,
        condition: expression(fields, "if")?,
    })
}

fn singleton(fields: &Fields<'_>) -> Result<Singleton, String> {
    let mode = match fields.text("mode")? {
        None | Some("skip") => SingletonMode::Skip,
        Some("cancel") => SingletonMode::Cancel,
        Some(other) => return Err(format!("singleton: '{other}' is no mode: skip or cancel")),
    };
    Ok(Singleton { mode, key: expression(fields, "key")? })
}

fn timeouts(fields: &Fields<'_>) -> Result<Option<Timeouts>, String> {
    let start_ms = length(fields, "timeouts", "start")?;
    let finish_ms = length(fields, "timeouts", "finish")?;
    let is_any = start_ms.is_some() || finish_ms.is_some();
    Ok(is_any.then_some(Timeouts { start_ms, finish_ms }))
}

fn cancel(value: &Value) -> Result<CancelOn, String> {
    let fields = Fields::of(value, "cancel")?;
    let event = fields.text("event")?.ok_or("cancel: it has no event")?;
    Ok(CancelOn {
        event: event_from_sdk(event).into_owned(),
        condition: expression(&fields, "if")?,
        timeout_ms: length(&fields, "cancel", "timeout")?,
    })
}

/// A text that is not empty.
fn expression(fields: &Fields<'_>, name: &str) -> Result<Option<String>, String> {
    Ok(fields.text(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
}

fn length(fields: &Fields<'_>, whose: &str, name: &str) -> Result<Option<u64>, String> {
    let Some(text) = fields.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || format!("{whose}: its {name} '{text}' is no length of time, as '10s' or '2h'");
    length_ms(text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<Policies, String> {
        policies(&Fields::of(value, "a function")?)
    }

    #[test]
    fn every_form_of_concurrency_is_taken() {
        let of = |value: Value| {
            let read = read(&json!({ "concurrency": value })).unwrap();
            let count = read.concurrency.iter().map(|one| one.limit).collect::<Vec<_>>();
            (count, read.run_concurrency.map(|one| one.limit))
        };
        assert_eq!(of(json!(3)), (vec![3], None));
        assert_eq!(of(json!({"limit": 2, "key": "event.data.x"})), (vec![2], None));
        assert_eq!(
            of(json!([{"limit": 2}, {"limit": 4, "key": "'a'", "scope": "env"}])),
            (vec![2, 4], None)
        );
        assert_eq!(of(json!([{"limit": 3, "scope": "Fn"}])), (vec![3], None));
        assert_eq!(of(json!({"step": [{"limit": 2}], "fn": [{"limit": 1}]})), (vec![2], Some(1)));
        assert_eq!(of(json!(0)), (vec![], None));
        assert_eq!(of(json!(null)), (vec![], None));
    }

    #[test]
    fn lengths_are_whole_milliseconds_and_nulls_are_absent() {
        let read = read(&json!({
            "throttle": {"limit": 5, "period": "1m", "burst": 2, "key": null},
            "rateLimit": {"limit": 10, "period": "1h"},
            "debounce": {"period": "2s", "timeout": "1d"},
            "batchEvents": {"maxSize": 5, "timeout": "3s", "key": "event.data.k", "if": ""},
            "timeouts": {"start": null, "finish": "10s"},
            "singleton": {"mode": "cancel"},
            "priority": {"run": "event.data.p"},
            "cancel": [{"event": "stop", "if": "event.data.id == async.data.id", "timeout": "1h"}],
        }))
        .unwrap();
        let throttle = read.throttle.unwrap();
        assert_eq!((throttle.limit, throttle.period_ms, throttle.burst), (5, 60_000, 2));
        assert_eq!(read.rate_limit.unwrap().burst, 9);
        assert_eq!(read.debounce.unwrap().timeout_ms, Some(86_400_000));
        let batch = read.batch.unwrap();
        assert_eq!((batch.max_size, batch.timeout_ms, batch.condition), (5, 3_000, None));
        assert_eq!(read.timeouts, Some(Timeouts { start_ms: None, finish_ms: Some(10_000) }));
        assert_eq!(read.singleton.unwrap().mode, SingletonMode::Cancel);
        assert_eq!(read.priority.as_deref(), Some("event.data.p"));
        assert_eq!(read.cancel_on[0].timeout_ms, Some(3_600_000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |value: Value| read(&value).unwrap_err();
        assert!(
            wrong(json!({"debounce": {"period": "soon"}})).contains("debounce: its period 'soon'")
        );
        assert!(wrong(json!({"singleton": {"mode": "x"}})).contains("no mode"));
        assert!(wrong(json!({"concurrency": {"limit": 1, "scope": "all"}})).contains("no scope"));
    }
}
