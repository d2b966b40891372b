//! `GET /v2/runs`: runs by when they were queued, newest or oldest first; those of a function, and of an event.

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use durable_core::{
    EventId, Expression, FunctionRecord, RunId, RunStatus, RunView, Scope, Timestamp,
};
use durable_runtime::{Engine, RunFilter, Selection};
use serde_json::Value;

use super::super::Server;
use super::answer::{self, Answered, Refused};
use super::question::{Question, meets, wrong_expression};
use super::run::{event_of, run_json, status_of};
use crate::names::{function_of, is_named};

const KNOWN: [&str; 13] = [
    "cursor",
    "limit",
    "from",
    "until",
    "timeField",
    "status",
    "appId",
    "functionId",
    "order",
    "includeOutput",
    "include",
    "query",
    "isDeferred",
];
const STATUSES: [&str; 7] =
    ["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED", "SKIPPED"];
/// Runs on a page where nothing is said, and the most.
const LIMITS: (usize, usize) = (20, 100);
const LIMITS_OF_EVENT: (usize, usize) = (20, 40);
/// Runs that are looked at in one go, and for one question: the rest is behind its cursor.
const LOOK: usize = 200;
const MOST_SEEN: usize = 10_000;
const MOST_QUERY_BYTES: usize = 2_048;

/// Which runs.
struct Wanted {
    limit: usize,
    cursor: Option<RunId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Empty: any.
    status: BTreeSet<String>,
    apps: Vec<String>,
    functions: Vec<String>,
    is_oldest_first: bool,
    /// There are no deferred runs here.
    is_deferred: bool,
    has_output: bool,
    condition: Option<Expression>,
}

type Asked = Query<Vec<(String, String)>>;

/// `GET /v2/runs`.
pub(super) async fn all(State(server): State<Server>, Query(asked): Asked) -> Answered {
    let wanted = Wanted::read(asked)?;
    answer::read(move || page(&server.engine, &wanted)).await
}

/// `GET /v2/apps/{app}/functions/{function}/runs`.
pub(super) async fn of_function(
    State(server): State<Server>,
    Path((app, function)): Path<(String, String)>,
    Query(asked): Asked,
) -> Answered {
    let mut wanted = Wanted::read(asked)?;
    answer::read(move || {
        function_of(&server.engine.functions()?, &app, &function)
            .ok_or_else(|| Refused::not_found("Function not found"))?;
        wanted.apps = vec![app];
        wanted.functions = vec![function];
        page(&server.engine, &wanted)
    })
    .await
}

impl Wanted {
    fn read(asked: Vec<(String, String)>) -> Result<Self, Refused> {
        let asked = Question::read(asked, &KNOWN)?;
        let (since, until) = (asked.moment("from")?, asked.moment("until")?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Refused::format("from must be before until"));
        }
        let functions: Vec<String> = asked.all("functionId").map(str::to_owned).collect();
        let apps: Vec<String> = asked.all("appId").map(str::to_owned).collect();
        if apps.is_empty() && !functions.is_empty() {
            return Err(Refused::format("appId is required when filtering by functionId"));
        }
        let time = asked.one("timeField").unwrap_or("queuedAt").replace('_', "");
        if !time.eq_ignore_ascii_case("queuedAt") {
            let why = "runs are found by when they were queued: timeField is queuedAt";
            return Err(Refused::not_here(why));
        }
        let status = asked.all("status").map(str::to_ascii_uppercase).collect::<BTreeSet<_>>();
        if !status.iter().all(|word| STATUSES.contains(&word.as_str())) {
            let why = format!("Status is invalid: it is one of {}", STATUSES.join(", "));
            return Err(Refused::format(why));
        }
        let include: Vec<String> = asked.all("include").map(str::to_ascii_lowercase).collect();
        if include.iter().any(|word| !matches!(word.as_str(), "output" | "deferredfrom")) {
            return Err(Refused::format("include is invalid: it is output"));
        }
        Ok(Self {
            limit: asked.limit(LIMITS)?,
            cursor: asked.cursor(RunId::parse)?,
            since,
            until,
            status,
            apps,
            functions,
            is_oldest_first: is_oldest_first(asked.one("order"))?,
            is_deferred: asked.is_true("isDeferred")?,
            has_output: asked.is_true("includeOutput")?
                || include.iter().any(|word| word == "output"),
            condition: asked.one("query").map(condition).transpose()?,
        })
    }

    fn is_met(
        &self,
        engine: &Engine,
        run: &RunView,
        function: Option<&FunctionRecord>,
    ) -> Result<bool, Refused> {
        let is_of = |function: &FunctionRecord| {
            let spec = &function.spec;
            (self.apps.is_empty() || self.apps.contains(&spec.app))
                && (self.functions.is_empty()
                    || self.functions.iter().any(|name| is_named(spec, name)))
        };
        if !self.status.is_empty() && !self.status.contains(status_of(run, function)) {
            return Ok(false);
        }
        if self.is_deferred || !function.is_some_and(is_of) {
            return Ok(false);
        }
        let Some(condition) = &self.condition else { return Ok(true) };
        let now = engine.now();
        for id in &run.events {
            let event = engine.event(*id)?;
            let id = id.to_string();
            if event.is_some_and(|event| meets(condition, (&id, &event), now)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next runs, and whether there are more behind them.
    fn look(&self, engine: &Engine, last: Option<RunId>) -> Result<(Looked, bool), Refused> {
        if self.is_oldest_first {
            let (since, until) = (self.since, self.until);
            let status = self.places().unwrap_or_else(|| [LIVE, ENDED].concat());
            let after = last;
            let selection = Selection { status, since, until, after, ..Selection::default() };
            let (ids, last) = engine.select(&selection, LOOK)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(engine.run(id)?.map(|run| (id, run)));
            }
            return Ok((found, last.is_some()));
        }
        let end = self.until.map(RunId::earliest);
        let filter = RunFilter {
            status: self.places().unwrap_or_default(),
            function: None,
            since: self.since,
            limit: LOOK,
            cursor: last.into_iter().chain(end).min(),
        };
        let (found, next) = engine.runs(&filter)?;
        Ok((found, next.is_some()))
    }

    /// Where the runs lie: with those that live, or that have ended; `None`: with either.
    fn places(&self) -> Option<Vec<RunStatus>> {
        let is_ended =
            |word: &String| matches!(word.as_str(), "COMPLETED" | "FAILED" | "CANCELLED");
        let count = self.status.iter().filter(|word| is_ended(word)).count();
        match count {
            0 if self.status.is_empty() => None,
            0 => Some(LIVE.to_vec()),
            _ if count == self.status.len() => Some(ENDED.to_vec()),
            _ => None,
        }
    }
}

const LIVE: [RunStatus; 3] = [RunStatus::Queued, RunStatus::Running, RunStatus::Parked];
const ENDED: [RunStatus; 3] = [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled];

type Looked = Vec<(RunId, RunView)>;

fn is_oldest_first(order: Option<&str>) -> Result<bool, Refused> {
    match order.unwrap_or("desc").to_ascii_lowercase().as_str() {
        "desc" => Ok(false),
        "asc" => Ok(true),
        _ => Err(Refused::format("order is invalid: it is asc or desc")),
    }
}

fn condition(text: &str) -> Result<Expression, Refused> {
    if text.len() > MOST_QUERY_BYTES {
        let why = format!("Query cannot exceed {MOST_QUERY_BYTES} bytes");
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_long", why));
    }
    Expression::compile(text, Scope::Event).map_err(wrong_expression)
}

/// What a page has so far.
struct Sheet {
    functions: Vec<FunctionRecord>,
    rows: Vec<Value>,
    /// The last run on it.
    shown: Option<RunId>,
    /// The last that was looked at.
    last: Option<RunId>,
}

impl Sheet {
    /// Takes what is wanted of these; true where there was no room for one of them.
    fn take(&mut self, engine: &Engine, wanted: &Wanted, runs: &Looked) -> Result<bool, Refused> {
        for (id, run) in runs {
            let function = self.functions.get(run.function.index());
            let is_met = wanted.is_met(engine, run, function)?;
            if is_met && self.rows.len() == wanted.limit {
                return Ok(true);
            }
            if is_met {
                let event = event_of(engine, run)?;
                let (functions, has_output) = (&self.functions, wanted.has_output);
                self.rows.push(run_json((*id, run), functions, event.as_ref(), has_output));
                self.shown = Some(*id);
            }
            self.last = Some(*id);
        }
        Ok(false)
    }
}

/// One page, and the cursor of the next: the last run on it, or the last that was looked at where many were in vain.
fn page(engine: &Engine, wanted: &Wanted) -> Answered {
    let functions = engine.functions()?;
    let mut sheet = Sheet { functions, rows: Vec::new(), shown: None, last: wanted.cursor };
    let mut seen = 0_usize;
    let cursor = loop {
        let (runs, has_more) = wanted.look(engine, sheet.last)?;
        if sheet.take(engine, wanted, &runs)? {
            break sheet.shown;
        }
        if !has_more || runs.is_empty() {
            break None;
        }
        seen = seen.saturating_add(LOOK);
        if seen >= MOST_SEEN {
            break sheet.last;
        }
    };
    Ok(answer::page(&sheet.rows, cursor.map(|id| id.to_string()), wanted.limit))
}

/// `GET /v2/events/{event}/runs`: newest first.
pub(super) async fn of_event(
    State(server): State<Server>,
    Path(event): Path<String>,
    Query(asked): Asked,
) -> Answered {
    let asked = Question::read(asked, &["cursor", "limit", "includeOutput"])?;
    let id =
        EventId::parse(&event).ok_or_else(|| Refused::format("Event ID must be a valid ULID"))?;
    let (limit, cursor) = (asked.limit(LIMITS_OF_EVENT)?, asked.cursor(RunId::parse)?);
    let has_output = asked.is_true("includeOutput")?;
    answer::read(move || {
        let engine = &server.engine;
        let mut record = engine.event(id)?;
        if record.is_none()
            && let Some(id) = engine.event_sent_as(&event)?
        {
            record = engine.event(id)?;
        }
        let record = record.ok_or_else(|| Refused::not_found("Event not found"))?;
        let functions = engine.functions()?;
        let mut ids: Vec<RunId> = record.runs.iter().map(|(_, run)| *run).collect();
        ids.retain(|id| cursor.is_none_or(|cursor| *id < cursor));
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| has_more).map(ToString::to_string);
        let mut rows: Vec<Value> = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(run) = engine.run(id)? {
                rows.push(run_json((id, &run), &functions, Some(&record), has_output));
            }
        }
        Ok(answer::page(&rows, next, limit))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asked: &[(&str, &str)]) -> Result<Wanted, Refused> {
        Wanted::read(asked.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn runs_are_looked_for_where_they_lie() {
        let places = |status: &str| read(&[("status", status)]).unwrap().places();
        assert_eq!(places("queued"), Some(LIVE.to_vec()));
        assert_eq!(places("FAILED"), Some(ENDED.to_vec()));
        let both = read(&[("status", "FAILED"), ("status", "RUNNING")]).unwrap();
        assert_eq!((both.places(), read(&[]).unwrap().places()), (None, None));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for asked in [
            ("status", "done"),
            ("order", "up"),
            ("timeField", "endedAt"),
            ("include", "all"),
            ("functionId", "f"),
            ("query", "event.data.x =="),
            ("cursor", "1"),
        ] {
            assert!(read(&[asked]).is_err(), "{asked:?}");
        }
    }
}
