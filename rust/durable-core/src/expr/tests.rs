//! Bombs, by visits: each ends within its budget, and those that are small enough end with a value.

#[path = "../../tests/expressions/bombs.rs"]
mod bombs;

use super::budget::{MAX_VISITS, Stop};
use super::evaluate::Evaluator;
use super::{EventView, Expression, Given, Scope};
use crate::time::Timestamp;

/// What is left of the visits, and whether the budget was spent.
fn cost(text: &str, data: &str) -> (u32, bool) {
    let expression = match Expression::compile(text, Scope::EventAndAsync) {
        Ok(expression) => expression,
        Err(mistake) => panic!("{mistake}"),
    };
    let data = data.as_bytes();
    let event = EventView { id: "", name: "", data, ts_ms: 0, user: None, version: None };
    let given = Given { event, other: Some(event), now: Timestamp::default() };
    let mut evaluator = Evaluator::new(&expression.0, &given);
    let outcome = evaluator.value(expression.0.root);
    (MAX_VISITS - evaluator.budget.visits(), matches!(outcome, Err(Stop::Spent)))
}

#[test]
fn bombs_are_put_out_and_what_is_large_but_fair_is_not() {
    let fair = ["a list just small enough", "a deep path"];
    for bomb in bombs::bombs() {
        let (visits, is_spent) = cost(&bomb.text, &bomb.data);
        assert!(visits <= MAX_VISITS, "{}: {visits}", bomb.name);
        assert!(!(is_spent && fair.contains(&bomb.name)), "{} takes {visits} visits", bomb.name);
    }
}

#[test]
fn what_is_usual_takes_a_fraction_of_the_budget() {
    let order = r#"{"amount": 5, "customer": {"id": "c"}, "lines": [1, 2, 3]}"#;
    let (visits, is_spent) = cost("event.data.amount > 3 && event.data.customer.id == 'c'", order);
    assert!(visits < 20 && !is_spent, "{visits}");
    let largest = format!("{{\"x\":\"{}\",\"kind\":\"k\"}}", "x".repeat(4 * 1024 * 1024 - 32));
    let (visits, is_spent) = cost("event.data.kind == 'k'", &largest);
    assert!(visits > 60_000 && !is_spent, "the largest event there is: {visits}");
    let half = format!("{{\"x\":\"{}\",\"kind\":\"k\"}}", "x".repeat(3_000_000));
    let (visits, is_spent) = cost("event.data.kind == async.data.kind", &half);
    assert!(!is_spent, "two large events: {visits}");
}
