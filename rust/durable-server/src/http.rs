//! What is asked over HTTP: the routes, who is let in, and the shape of answers.

mod answer;
mod app;
mod body;
mod cancellations;
mod endpoints;
mod events;
mod guard;
mod json;
mod metrics;
mod realtime;
mod rest;
mod run_state;
mod ui;
mod v2;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use durable_runtime::Engine;

use crate::apps::Apps;
use crate::config::Config;
use crate::connect::{self, Workers};
use crate::executor::Executor;
use crate::keys::Keys;
use crate::reach::Reach;
use crate::realtime::{Hub, Tokens};

pub(crate) use cancellations::Cancellations;

/// What every answer is made of.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) reach: Reach,
    pub(crate) workers: Arc<Workers>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) cancellations: Cancellations,
    pub(crate) config: Arc<Config>,
    pub(crate) held: Held,
}

pub(crate) use body::Held;

/// All routes.
pub(crate) fn router(server: Server) -> Router {
    let asked = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/fn/register", post(app::register))
        .route("/fn/remove", delete(app::remove))
        .route("/invoke/{function}", post(app::invoke))
        .route("/v0/connect/start", post(connect::start))
        .route("/v0/connect/flush", post(connect::flush))
        .route("/v0/runs/{run}/actions", get(run_state::actions))
        .route("/v0/runs/{run}/batch", get(run_state::batch))
        .route("/v0/runs/{run}", delete(rest::cancel_silently))
        .route("/v0/telemetry", post(app::telemetry))
        .route("/v1/checkpoint/{run}/async", post(run_state::checkpoint))
        .route("/v1/http/runs/{run}/async", post(run_state::checkpoint))
        .route("/v1/checkpoint", post(endpoints::begin))
        .route("/v1/http/runs", post(endpoints::begin))
        .route("/v1/checkpoint/{run}/steps", post(endpoints::record))
        .route("/v1/http/runs/{run}/steps", post(endpoints::record))
        .route("/v1/realtime/token", post(realtime::token))
        .route("/v1/signals", post(rest::signal))
        .route("/v1/events", get(rest::events))
        .route("/v1/events/{event}", get(rest::event))
        .route("/v1/events/{event}/runs", get(rest::runs_of_event))
        .route("/v1/runs/{run}", get(rest::run).delete(rest::cancel))
        .route("/v1/runs/{run}/jobs", get(rest::jobs))
        .route("/v1/runs/{run}/metadata", post(rest::metadata))
        .route("/v1/apps/{app}/functions", get(rest::functions))
        .route("/v1/cancellations", get(cancellations::list).post(cancellations::create))
        .route("/v1/cancellations/{id}", delete(cancellations::stop))
        .route("/v1/traces/userland", post(app::spans))
        .route("/v1/prom/{env}", get(metrics::metrics))
        .route("/ui/api/runs", get(ui::runs))
        .route("/ui/api/runs/{run}", get(ui::run))
        .route("/ui/api/runs/{run}/rerun", post(ui::rerun))
        .route("/ui/api/events", get(ui::events).post(ui::send))
        .route("/ui/api/functions", get(ui::functions))
        .nest("/v2", v2::routes())
        .nest("/api/v2", v2::routes())
        .route_layer(from_fn_with_state(server.clone(), body::only_whole))
        .route_layer(from_fn_with_state(server.clone(), guard::only_with_key));
    let sent = Router::new()
        .route("/e/{key}", post(events::send))
        .route_layer(from_fn_with_state(server.clone(), body::only_whole))
        .route_layer(from_fn_with_state(server.clone(), events::only_with_key));
    // Their bodies come in pieces.
    let streamed = Router::new()
        .route("/v1/realtime/publish", post(realtime::publish))
        .route("/v1/realtime/publish/tee", post(realtime::tee))
        .route_layer(from_fn(body::only_plain))
        .route_layer(from_fn_with_state(server.clone(), guard::only_with_key));
    Router::new()
        .route("/", get(ui::page))
        .route("/ui/{file}", get(ui::file))
        .route("/health", get(app::health))
        .route("/openapi.json", get(answer::openapi))
        .route("/dev", get(app::info))
        .route("/v1/checkpoint/{run}/output", get(endpoints::output))
        .route("/v1/http/runs/{run}/output", get(endpoints::output))
        .route("/v0/connect", get(connect::serve))
        .route("/v1/realtime/connect", get(realtime::connect))
        .route("/v1/realtime/sse", get(realtime::events))
        .fallback(answer::no_such_place)
        .layer(from_fn(body::without))
        .merge(asked)
        .merge(sent)
        .merge(streamed)
        .layer(DefaultBodyLimit::disable()) // each has its own
        .layer(from_fn_with_state(server.clone(), guard::only_from_here))
        .layer(from_fn(v2::in_own_envelope))
        .with_state(server)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The routes as they are written above.
    fn routes() -> BTreeSet<String> {
        let source = include_str!("http.rs");
        let above = source.split("#[cfg(test)]").next().unwrap_or_default();
        let under = |prefix: &'static str| {
            written(include_str!("http/v2.rs")).map(move |path| format!("{prefix}{path}"))
        };
        let own = written(above).map(str::to_owned);
        own.chain(under("/v2")).chain(under("/api/v2")).collect()
    }

    fn written(source: &'static str) -> impl Iterator<Item = &'static str> {
        source.split(".route(").skip(1).filter_map(|part| part.split('"').nth(1))
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let described: serde_json::Value = serde_json::from_str(super::answer::OPENAPI).unwrap();
        let paths = described["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(routes(), paths);
    }
}
