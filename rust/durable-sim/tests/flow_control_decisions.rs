//! What flow control decides, under crashes, restarts, deploys and pauses: never a limit exceeded, never one left
//! unused while something that could use it waits, no event of a debounce or batch lost or twice.
//!
//! `DURABLE_DECISIONS=10000000 cargo test -p durable-sim --profile ci --test flow_control_decisions` is the long
//! form; `durable-sim decisions` the same with a summary.

use durable_sim::campaign::Campaign;

#[test]
fn forty_thousand_decisions_are_those_of_the_model() {
    let count = std::env::var("DURABLE_DECISIONS").ok().and_then(|text| text.parse().ok());
    let campaign = Campaign::of_decisions(0, count.unwrap_or(40_000));
    let first = campaign.findings.first().map(ToString::to_string);
    assert_eq!(first, None, "after {} decisions", campaign.decisions());
}
