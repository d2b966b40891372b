//! Cancellation of many runs at once, which is worked off while its caller waits: what has been answered is done, and
//! nothing is kept of it. While it is under way it is listed and can be stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use durable_core::{Expression, RunId, RunStatus, Scope, Timestamp};
use durable_runtime::{Engine, Result, RunFilter, Selection};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Server, answer};
use crate::keys::chance_id;
use crate::length::moment_ms;
use crate::names::{ENVIRONMENT, function_of, uuid_of};

/// Runs that are looked at in one go.
const PAGE: usize = 1_000;
/// So far ahead of this one a caller's clock may be, ms.
const AHEAD_MS: u64 = 5_000;

/// What is being worked off, by its id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancellations(Arc<Mutex<BTreeMap<String, Value>>>);

/// One of them, for as long as somebody waits for it.
struct UnderWay {
    all: Cancellations,
    id: String,
}

impl UnderWay {
    fn begin(all: &Cancellations, mut value: Value) -> (Self, Value) {
        let id = chance_id().to_string();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("id".to_owned(), id.clone().into());
        }
        all.0.lock().insert(id.clone(), value.clone());
        (Self { all: all.clone(), id }, value)
    }

    fn is_stopped(&self) -> bool {
        !self.all.0.lock().contains_key(&self.id)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.id);
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    app_id: String,
    #[serde(default)]
    function_id: String,
    #[serde(default)]
    started_after: Option<String>,
    #[serde(default)]
    started_before: Option<String>,
    #[serde(default, rename = "if")]
    condition: Option<String>,
}

impl Wanted {
    /// Which runs, or what is wrong with the question.
    fn selection(&self, now: Timestamp) -> Result<Selection, String> {
        let moment = |name: &str, text: &str| {
            let ms = moment_ms(text).ok_or_else(|| {
                format!("{name} '{text}' is no moment: write it as in '2026-01-31T12:00:00Z'")
            })?;
            Ok::<_, String>(Timestamp::from_millis(ms))
        };
        if self.app_id.is_empty() || self.function_id.is_empty() {
            return Err("app_id and function_id are needed: whose runs are cancelled?".to_owned());
        }
        let before = self.started_before.as_deref().ok_or("started_before is needed")?;
        let until = moment("started_before", before)?;
        if until.as_millis() > now.as_millis().saturating_add(AHEAD_MS) {
            return Err(format!(
                "started_before '{before}' is to come: runs that are not there yet cannot be cancelled"
            ));
        }
        let after = self.started_after.as_deref();
        let since = after.map(|text| moment("started_after", text)).transpose()?;
        if since.is_some_and(|since| since > until) {
            return Err("started_after is behind started_before: no run is between".to_owned());
        }
        let text = self.condition.as_deref().filter(|text| !text.trim().is_empty());
        let condition = text.map(|text| Expression::compile(text, Scope::Event)).transpose();
        let condition = condition.map_err(|mistake| format!("if: {mistake}"))?;
        let status = vec![RunStatus::Queued, RunStatus::Running, RunStatus::Parked];
        Ok(Selection { status, since, until: Some(until), condition, ..Selection::default() })
    }
}

/// `POST /v1/cancellations`.
pub(super) async fn create(State(server): State<Server>, body: Bytes) -> Response {
    let wrong = |why: &str| answer::refused(StatusCode::BAD_REQUEST, why);
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return wrong(&format!("no cancellation: {error}")),
    };
    let selection = match wanted.selection(server.engine.now()) {
        Ok(selection) => selection,
        Err(why) => return wrong(&why),
    };
    let functions = match server.engine.functions() {
        Ok(functions) => functions,
        Err(error) => return answer::failed(&error),
    };
    let Some(function) = function_of(&functions, &wanted.app_id, &wanted.function_id) else {
        let why = format!("'{}' has no function '{}'", wanted.app_id, wanted.function_id);
        return answer::refused(StatusCode::NOT_FOUND, &why);
    };
    let name = function.spec.name.clone();
    let (under_way, value) = UnderWay::begin(
        &server.cancellations,
        json!({
            "environment_id": ENVIRONMENT,
            "function_internal_id": uuid_of(&name),
            "function_id": name,
            "started_after": wanted.started_after,
            "started_before": wanted.started_before,
            "if": wanted.condition,
        }),
    );
    match work_off(&server.engine, Selection { function: Some(name), ..selection }, under_way).await
    {
        Ok(count) => answer::data(StatusCode::OK, &with_count(value, count)),
        Err(error) => answer::failed(&error),
    }
}

fn with_count(mut value: Value, count: usize) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("cancelled_count".to_owned(), count.into());
    }
    value
}

/// Page by page: who no longer waits for the rest leaves it undone.
async fn work_off(
    engine: &Arc<Engine>,
    mut selection: Selection,
    under_way: UnderWay,
) -> Result<usize> {
    let mut count = 0_usize;
    let newest = engine.runs(&RunFilter { limit: 1, ..RunFilter::default() })?.0;
    selection.upto = newest.first().map(|(id, _)| *id); // what is made meanwhile is left alone
    while selection.upto.is_some() && !under_way.is_stopped() {
        let engine = Arc::clone(engine);
        // It waits for the disk.
        let page = tokio::task::spawn_blocking(move || {
            let found = cancel_page(&engine, &selection);
            (selection, found)
        });
        let (asked, found) = page.await.map_err(|broken| {
            durable_runtime::Error::new(durable_runtime::Kind::Broken, broken.to_string())
        })?;
        let (cancelled, last) = found?;
        count = count.saturating_add(cancelled);
        if last.is_none() {
            break;
        }
        selection = Selection { after: last, ..asked };
    }
    Ok(count)
}

fn cancel_page(engine: &Engine, selection: &Selection) -> Result<(usize, Option<RunId>)> {
    let (runs, last) = engine.select(selection, PAGE)?;
    let cancelled = engine.cancel_many(runs)?;
    Ok((cancelled.into_iter().filter(|is_cancelled| *is_cancelled).count(), last))
}

/// `GET /v1/cancellations`: those that are being worked off.
pub(super) async fn list(State(server): State<Server>) -> Response {
    let all: Vec<Value> = server.cancellations.0.lock().values().cloned().collect();
    answer::data(StatusCode::OK, &all.into())
}

/// `DELETE /v1/cancellations/{id}`: what it has not cancelled yet is left alone.
pub(super) async fn stop(State(server): State<Server>, Path(id): Path<String>) -> Response {
    if server.cancellations.0.lock().remove(&id).is_some() {
        return answer::data(StatusCode::OK, &json!({"ok": true}));
    }
    let why =
        "there is no such cancellation under way: what was answered is done, and kept no more";
    answer::refused(StatusCode::NOT_FOUND, why)
}

#[cfg(test)]
mod tests {
    use durable_core::{FunctionSpec, NewEvent};

    use super::*;

    fn wrong(json: &str) -> String {
        let wanted: Wanted = serde_json::from_str(json).unwrap();
        wanted.selection(Timestamp::from_millis(1_000_000)).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_said() {
        let whose = r#""app_id":"a","function_id":"f""#;
        let with = |rest: &str| wrong(&format!("{{{whose},{rest}}}"));
        assert!(
            wrong(r#"{"app_id":"a","started_before":"1970-01-01T00:00:00Z"}"#).contains("whose")
        );
        assert!(wrong(&format!("{{{whose}}}")).contains("started_before is needed"));
        assert!(with(r#""started_before":"soon""#).contains("'soon' is no moment"));
        assert!(with(r#""started_before":"1970-01-01T00:16:45.001Z""#).contains("is to come"));
        let empty =
            r#""started_before":"1970-01-01T00:00:01Z","started_after":"1970-01-01T00:00:02Z""#;
        assert!(with(empty).contains("no run is between"));
        let cel = r#""started_before":"1970-01-01T00:00:01Z","if":"event.data.x =="#;
        assert!(with(&format!("{cel}\"")).contains("if: "));
    }

    #[tokio::test]
    async fn what_was_stopped_goes_no_further() {
        let engine = Engine::open(&durable_runtime::Config::new("memory:")).unwrap();
        let engine = Arc::new(engine);
        let triggers = vec!["a".to_owned()];
        let spec = FunctionSpec { triggers, ..FunctionSpec::new("app", "f") };
        let registering = Arc::clone(&engine);
        let registered = move || registering.register("app", vec![spec]);
        tokio::task::spawn_blocking(registered).await.unwrap().unwrap();
        let event = NewEvent { name: "a".to_owned(), ..NewEvent::default() };
        engine.send(vec![event]).await.unwrap();
        let all = Cancellations::default();
        let selection = || {
            let status = vec![RunStatus::Queued];
            Selection { status, ..Selection::default() }
        };
        let (stopped, _) = UnderWay::begin(&all, json!({}));
        all.0.lock().clear();
        assert_eq!(work_off(&engine, selection(), stopped).await, Ok(0));
        let (other, _) = UnderWay::begin(&all, json!({}));
        assert_eq!(work_off(&engine, selection(), other).await, Ok(1));
        assert!(all.0.lock().is_empty());
    }

    #[test]
    fn a_clock_may_be_five_seconds_ahead() {
        let json = r#"{"app_id":"a","function_id":"f","started_before":"1970-01-01T00:16:45Z"}"#;
        let wanted: Wanted = serde_json::from_str(json).unwrap();
        wanted.selection(Timestamp::from_millis(1_000_000)).unwrap();
    }

    #[test]
    fn one_is_listed_for_as_long_as_somebody_waits() {
        let all = Cancellations::default();
        let (one, value) = UnderWay::begin(&all, json!({}));
        assert_eq!(all.0.lock().values().collect::<Vec<_>>(), [&value]);
        assert!(!one.is_stopped());
        all.0.lock().clear();
        assert!(one.is_stopped());
        drop(UnderWay::begin(&all, json!({})));
        assert!(all.0.lock().is_empty());
    }
}
