//! `POST /v2/apps/{app}/functions/{function}/invoke`: one run of a function, whatever its triggers.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use durable_runtime::{Invoked, Kind};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::json as unread_json;
use super::super::{Server, events};
use super::answer::{self, Answered, Refused};
use crate::names::function_of;

#[derive(Debug, Deserialize)]
struct Given<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default, rename = "idempotencyKey", alias = "idempotency_key")]
    key: Option<String>,
}

pub(super) async fn invoke(
    State(server): State<Server>,
    Path((app, function)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let given: Given<'_> = serde_json::from_slice(&body)
        .map_err(|error| Refused::invalid(format!("no JSON object: {error}")))?;
    let data = given.data.filter(|data| data.get() != "null");
    let data = data.ok_or_else(|| Refused::missing("Data is required: a JSON object"))?;
    let unread = unread_json::refusal(data.get());
    let data = unread.map_or_else(|| events::data_of(Some(data)), Err);
    let data = data.map_err(|why| Refused::format(format!("Data: {why}")))?;
    let functions = server.engine.functions()?;
    let found = function_of(&functions, &app, &function).filter(|found| !found.is_archived);
    let found = found.ok_or_else(|| Refused::not_found("Function not found"))?;
    let key = given.key.filter(|key| !key.is_empty());
    let invoked = server.engine.invoke_once(found.spec.name.clone(), data, key).await;
    let (status, run) = match invoked {
        Ok(Invoked::Now(run, _)) => (StatusCode::OK, run),
        Ok(Invoked::Before(run, _)) => (StatusCode::CONFLICT, run),
        Err(error) if error.kind == Kind::Skipped => {
            let is_rate = error.text.contains("rate_limit");
            let code = if is_rate { "rate_limited" } else { "function_skipped" };
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.text));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(answer::data(status, &json!({"runId": run.to_string()})))
}
