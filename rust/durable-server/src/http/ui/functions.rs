//! `GET /ui/api/functions`: what starts each, what protects it, and how much of that is used now.

use axum::extract::State;
use axum::response::Response;
use durable_core::{FunctionCounts, FunctionId, FunctionRecord, Policies, ScheduleRecord};
use durable_runtime::{Engine, Result};
use serde_json::{Value, json};

use super::super::Server;
use super::{brief, found};

/// The most values of a limit's key that are shown: the busiest.
const MOST_VALUES: usize = 5;

pub(in crate::http) async fn functions(State(server): State<Server>) -> Response {
    found(move || {
        let engine = &server.engine;
        let (functions, crons) = (engine.functions()?, engine.crons()?);
        let counts = engine.stats().counts.functions;
        let mut rows = Vec::with_capacity(functions.len());
        for (id, record) in (0..).map(FunctionId).zip(&functions) {
            let crons: Vec<_> = crons.iter().filter(|cron| cron.function == id).collect();
            let counts = counts.iter().find(|counts| counts.name == record.spec.name);
            rows.push(row(engine, record, &crons, counts)?);
        }
        Ok(json!({"functions": rows, "now": engine.now().as_millis()}))
    })
    .await
}

fn row(
    engine: &Engine,
    record: &FunctionRecord,
    crons: &[&ScheduleRecord],
    counts: Option<&FunctionCounts>,
) -> Result<Value> {
    let spec = &record.spec;
    let conditions = &spec.policies.conditions;
    let triggers = spec
        .triggers
        .iter()
        .map(|event| json!({"event": event, "condition": conditions.get(event)}));
    let triggers: Vec<Value> = triggers.collect();
    let next = crons.iter().filter_map(|cron| cron.next).map(|tick| tick.at).min();
    let given: Vec<Value> =
        spec.crons.iter().map(|cron| json!({"cron": cron.text, "tz": cron.tz})).collect();
    let is_limited = spec.policies != Policies::default();
    let limits = if is_limited { engine.limits(&spec.name, MOST_VALUES)? } else { None };
    Ok(json!({
        "name": spec.name,
        "app": spec.app,
        "endpoint": spec.endpoint,
        "triggers": triggers,
        "crons": given,
        "next_at": brief::moment(next),
        "retries": spec.retries,
        "policies": serde_json::to_value(&spec.policies).unwrap_or_default(),
        "is_archived": record.is_archived,
        "is_paused": record.is_paused,
        "limits": limits.unwrap_or_default(),
        "counts": counts.map(of_counts),
    }))
}

fn of_counts(counts: &FunctionCounts) -> Value {
    json!({
        "queued": counts.queued,
        "running": counts.running,
        "parked": counts.parked.total(),
        "executing": counts.executing,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "skipped": counts.skipped,
    })
}
