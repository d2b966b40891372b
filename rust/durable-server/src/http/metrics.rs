//! `GET /metrics`: numbers in the text format of Prometheus.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use durable_core::FunctionCounts;

use super::Server;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that each function has.
type OfFunction = (&'static str, &'static str, &'static str, fn(&FunctionCounts) -> u64);

const OF_FUNCTIONS: [OfFunction; 7] = [
    ("durable_runs_queued", "gauge", "Runs of which something is ready.", |of| of.queued),
    ("durable_runs_running", "gauge", "Runs of which something executes.", |of| of.running),
    ("durable_runs_parked", "gauge", "Runs that wait.", |of| of.parked.total()),
    ("durable_runs_completed_total", "counter", "Runs that ended well.", |of| of.completed),
    ("durable_runs_failed_total", "counter", "Runs that failed.", |of| of.failed),
    ("durable_runs_cancelled_total", "counter", "Runs that were called off.", |of| of.cancelled),
    ("durable_events_skipped_total", "counter", "Events that were not let start a run.", |of| {
        of.skipped
    }),
];

pub(super) async fn metrics(State(server): State<Server>) -> Response {
    let stats = server.engine.stats();
    let calls = server.executor.counts();
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: u64| {
        heading(&mut text, name, kind, help);
        // Writing into a text always succeeds.
        let _written = writeln!(text, "{name} {value}").is_ok();
    };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    put("durable_runs_live", "gauge", "Runs that have not ended.", count(stats.counts.live_count));
    put(
        "durable_executing",
        "gauge",
        "Pieces of work that execute.",
        stats.counts.executing_count.into(),
    );
    put(
        "durable_mailbox",
        "gauge",
        "Messages that wait for the scheduler.",
        count(stats.mailbox_count),
    );
    put(
        "durable_staged_bytes",
        "gauge",
        "Bytes that are in the log only.",
        count(stats.staged_bytes),
    );
    put("durable_calls_total", "counter", "Functions called over HTTP.", calls.made);
    put(
        "durable_calls_failed_total",
        "counter",
        "Of these, those without a reply of an SDK.",
        calls.failed,
    );
    put("durable_calls_under_way", "gauge", "Functions that are being called.", calls.under_way);
    let listening = count(server.hub.count());
    put("durable_realtime_subscribers", "gauge", "Those who listen to channels.", listening);
    for (name, kind, help, of) in OF_FUNCTIONS {
        heading(&mut text, name, kind, help);
        for function in &stats.counts.functions {
            let (label, value) = (escaped(&function.name), of(function));
            let _written = writeln!(text, "{name}{{function=\"{label}\"}} {value}").is_ok();
        }
    }
    ([(header::CONTENT_TYPE, FORMAT)], text).into_response()
}

fn heading(text: &mut String, name: &str, kind: &str, help: &str) {
    let _written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").is_ok();
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
