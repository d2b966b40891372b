//! What an expression costs: to compile, and on events of the usual and of a large size.

#[path = "../tests/expressions/bombs.rs"]
mod bombs;

use divan::{Bencher, black_box};
use durable_core::{EventView, Expression, Given, Scope, Timestamp};

const CONDITION: &str =
    "event.data.amount > 100 && event.data.customer.plan == 'pro' && event.data.country != 'FR'";

fn main() {
    divan::main();
}

fn compiled(text: &str) -> Expression {
    match Expression::compile(text, Scope::EventAndAsync) {
        Ok(expression) => expression,
        Err(mistake) => unreachable!("{mistake}"),
    }
}

/// An order with so many bytes of lines, and the customer behind them.
fn order(bytes: usize) -> String {
    let line = r#"{"sku": "A-1234", "title": "Coffee, 250 g", "count": 2, "price": 7.95},"#;
    let lines = line.repeat(bytes / line.len());
    let lines = lines.trim_end_matches(',');
    format!(
        r#"{{"order_id": "ord_01HZX", "amount": 123.5, "country": "DE", "lines": [{lines}],
            "customer": {{"id": "cus_42", "plan": "pro", "email": "ada@example.com"}}}}"#
    )
}

fn given(data: &str) -> Given<'_> {
    let data = data.as_bytes();
    let event = EventView { id: "01", name: "order", data, ts_ms: 1, user: None, version: None };
    Given { event, other: Some(event), now: Timestamp::from_millis(1_800_000_000_000) }
}

#[divan::bench(args = ["event.data.customer.id", CONDITION])]
fn compile(text: &str) -> Expression {
    compiled(black_box(text))
}

#[divan::bench(args = [500, 50_000])]
fn key_of_one_path(bencher: Bencher<'_, '_>, bytes: usize) {
    let (expression, data) = (compiled("event.data.customer.id"), order(bytes - 200));
    bencher.bench_local(|| expression.key(black_box(&given(&data))));
}

#[divan::bench(args = [500, 50_000])]
fn three_comparisons(bencher: Bencher<'_, '_>, bytes: usize) {
    let (expression, data) = (compiled(CONDITION), order(bytes - 200));
    assert!(expression.matches(&given(&data)), "all three are asked");
    bencher.bench_local(|| expression.matches(black_box(&given(&data))));
}

/// The worst there is: each must stay below 10 ms.
#[divan::bench(args = bombs::bombs().iter().map(|bomb| bomb.name).collect::<Vec<_>>(), sample_count = 20, sample_size = 1)]
fn bomb(bencher: Bencher<'_, '_>, name: &str) {
    let Some(bomb) = bombs::bombs().into_iter().find(|bomb| bomb.name == name) else { return };
    let expression = compiled(&bomb.text);
    bencher.bench_local(|| expression.key(black_box(&given(&bomb.data))));
}
