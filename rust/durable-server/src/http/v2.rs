//! The second version of the REST API, under `/v2` and `/api/v2`, with an envelope for its errors.

mod answer;
mod apps;
mod events;
mod function;
mod invoke;
mod one_run;
mod question;
mod run;
mod runs;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, patch, post};

use super::Server;

/// All routes, without what they begin with.
pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/health", get(answer::health))
        .route("/runs", get(runs::all))
        .route("/runs/{run}", get(one_run::run))
        .route("/runs/{run}/rerun", post(one_run::rerun))
        .route("/runs/{run}/cancel", post(one_run::cancel))
        .route("/events", post(events::send))
        .route("/events/{event}/runs", get(runs::of_event))
        .route("/apps", get(apps::all))
        .route("/apps/{app}", get(apps::app))
        .route("/apps/{app}/functions", get(apps::functions))
        .route("/apps/{app}/functions/{function}", get(apps::function))
        .route("/apps/{app}/functions/{function}/runs", get(runs::of_function))
        .route("/apps/{app}/functions/{function}/invoke", post(invoke::invoke))
        .merge(elsewhere())
}

/// What this server has not, and says so.
fn elsewhere() -> Router<Server> {
    Router::new()
        .route("/runs/{run}/trace", get(answer::no_trace))
        .route("/runs/{run}/scores", post(answer::of_cloud))
        .route("/apps/{app}/syncs", post(answer::no_sync))
        .route("/account", get(answer::of_cloud))
        .route("/envs", get(answer::of_cloud).post(answer::of_cloud))
        .route("/envs/{env}", patch(answer::of_cloud))
        .route("/env/webhooks", get(answer::of_cloud).post(answer::of_cloud))
        .route("/keys/events", get(answer::of_cloud))
        .route("/keys/signing", get(answer::of_cloud))
        .route("/partner/accounts", get(answer::of_cloud).post(answer::of_cloud))
        .route("/sandboxes", get(answer::of_cloud).post(answer::of_cloud))
        .route("/snapshots", get(answer::of_cloud))
}

/// What refuses a question before it is read has another envelope: it is put into this one.
pub(super) async fn in_own_envelope(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_own = ["/v2/", "/api/v2/"].iter().any(|prefix| path.starts_with(prefix));
    let response = next.run(request).await;
    if is_own { answer::enveloped(response).await } else { response }
}
