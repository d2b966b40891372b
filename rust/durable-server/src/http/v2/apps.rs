//! Applications and their functions.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use durable_core::FunctionRecord;
use serde_json::{Value, json};

use super::super::Server;
use super::answer::{self, Answered, Refused};
use super::function::function_json;
use super::question::Question;
use crate::connect::is_dialled;
use crate::names::{function_of, own_id};
use crate::outgoing::shown;

/// Of a list where nothing is said, and the most.
const LIMITS: (usize, usize) = (20, 100);

/// `GET /v2/apps`: by their names.
pub(super) async fn all(
    State(server): State<Server>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Answered {
    let asked = Question::read(asked, &["cursor", "limit"])?;
    let functions = server.engine.functions()?;
    let rows =
        by_app(&functions).into_iter().map(|(name, of)| (name.to_owned(), app_json(name, &of)));
    listed(&asked, rows)
}

/// `GET /v2/apps/{app}`.
pub(super) async fn app(State(server): State<Server>, Path(app): Path<String>) -> Answered {
    let functions = server.engine.functions()?;
    let all = by_app(&functions);
    let of = all.get(app.as_str()).ok_or_else(no_app)?;
    Ok(answer::data(StatusCode::OK, &app_json(&app, of)))
}

/// `GET /v2/apps/{app}/functions`: by their names.
pub(super) async fn functions(
    State(server): State<Server>,
    Path(app): Path<String>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Answered {
    let asked = Question::read(asked, &["cursor", "limit"])?;
    let functions = server.engine.functions()?;
    let mut all = by_app(&functions);
    let of = all.remove(app.as_str()).ok_or_else(no_app)?;
    let rows =
        of.into_iter().map(|record| (own_id(&record.spec).to_owned(), function_json(record)));
    listed(&asked, rows.collect::<BTreeMap<_, _>>().into_iter())
}

/// `GET /v2/apps/{app}/functions/{function}`.
pub(super) async fn function(
    State(server): State<Server>,
    Path((app, function)): Path<(String, String)>,
) -> Answered {
    let functions = server.engine.functions()?;
    let found = function_of(&functions, &app, &function);
    let found = found.ok_or_else(|| Refused::not_found("Function not found"))?;
    Ok(answer::data(StatusCode::OK, &function_json(found)))
}

fn no_app() -> Refused {
    Refused::not_found("App not found")
}

/// A page of what is in the order of its names.
fn listed(asked: &Question, rows: impl Iterator<Item = (String, Value)>) -> Answered {
    let limit = asked.limit(LIMITS)?;
    let cursor = asked.one("cursor").unwrap_or_default();
    let mut rows = rows.skip_while(|(name, _)| name.as_str() <= cursor);
    let shown: Vec<(String, Value)> = rows.by_ref().take(limit).collect();
    let last = shown.last().map(|(name, _)| name.clone()).filter(|_| rows.next().is_some());
    let rows: Vec<Value> = shown.into_iter().map(|(_, row)| row).collect();
    Ok(answer::page(&rows, last, limit))
}

fn by_app(functions: &[FunctionRecord]) -> BTreeMap<&str, Vec<&FunctionRecord>> {
    let mut apps: BTreeMap<&str, Vec<&FunctionRecord>> = BTreeMap::new();
    for record in functions {
        apps.entry(&record.spec.app).or_default().push(record);
    }
    apps
}

fn app_json(name: &str, functions: &[&FunctionRecord]) -> Value {
    let live: Vec<_> = functions.iter().filter(|record| !record.is_archived).collect();
    let endpoint = live.iter().find_map(|record| record.spec.endpoint.as_deref());
    let mut json = json!({
        "id": name,
        "name": name,
        "isArchived": live.is_empty(),
        "functionCount": live.len(),
    });
    // One whose functions live in the server's own process is called by nobody.
    if let (Some(endpoint), Some(fields)) = (endpoint, json.as_object_mut()) {
        let method = if is_dialled(endpoint) { "CONNECT" } else { "SERVE" };
        fields.insert("method".to_owned(), method.into());
        let sync = json!({"status": "success", "url": shown(endpoint)});
        fields.insert("latestSync".to_owned(), sync);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_behind_its_cursor() {
        let rows = || ["a", "b", "c"].into_iter().map(|name| (name.to_owned(), json!(name)));
        let asked = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            Question::read(given.collect(), &["cursor", "limit"]).unwrap()
        };
        for given in [&[("limit", "2")][..], &[("limit", "2"), ("cursor", "b")], &[]] {
            assert!(listed(&asked(given), rows()).is_ok());
        }
    }
}
