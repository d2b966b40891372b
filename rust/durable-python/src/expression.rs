//! Expressions and crons as the decorators check them: places are counted in characters, as Python does.

use durable_core::cron::{Cron, WrongCron};
use durable_core::{EventView, Expression, Given, Scope};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::{EventTuples, event};
use crate::error::raise;

/// A mistake or a path: its text, where it is, and how long.
type Place = (String, usize, usize);

/// What is wrong with an expression; None where nothing is.
#[pyfunction]
#[pyo3(signature = (text, scope, *, plain = false))]
pub(crate) fn check_expression(text: &str, scope: &str, plain: bool) -> PyResult<Option<Place>> {
    let scope = match scope {
        "event" => Scope::Event,
        "async" => Scope::EventAndAsync,
        _ => return Err(PyValueError::new_err("the scope is 'event' or 'async'")),
    };
    let compile = if plain { Expression::compile_plain } else { Expression::compile };
    let mistake = compile(text, scope).err();
    Ok(mistake.map(|mistake| in_characters(text, mistake.message, mistake.at, mistake.length)))
}

/// Each field that an expression reads, in the text's order; nothing where it is wrong.
#[pyfunction]
pub(crate) fn expression_paths(text: &str) -> Vec<Place> {
    let Ok(expression) = Expression::compile(text, Scope::EventAndAsync) else { return Vec::new() };
    let paths = expression.paths().into_iter();
    paths.map(|path| in_characters(text, path.path, path.at, path.length)).collect()
}

/// The value of a key for each of these events, as flow control would have it; None where it has none.
#[pyfunction]
pub(crate) fn expression_keys(
    text: &str,
    events: EventTuples<'_>,
) -> PyResult<Vec<Option<String>>> {
    let expression = of_event(text)?;
    let key = |tuple| {
        let event = event(tuple);
        let now = event.ts.unwrap_or_default();
        let view = EventView {
            id: event.user_id.as_deref().unwrap_or_default(),
            name: &event.name,
            data: &event.data,
            ts_ms: now.as_millis(),
            user: event.user.as_deref(),
            version: event.version.as_deref(),
        };
        expression.key(&Given { event: view, other: None, now }).into_value()
    };
    Ok(events.into_iter().map(key).collect())
}

/// An expression over `event`.
pub(crate) fn of_event(text: &str) -> PyResult<Expression> {
    let expression = Expression::compile(text, Scope::Event);
    expression.map_err(|mistake| raise("invalid", mistake.to_string()))
}

/// What is wrong with a cron: True where it is its time zone, what, where in the text, how long; None where nothing
/// is.
#[pyfunction]
pub(crate) fn check_cron(text: &str, tz: &str) -> Option<(bool, String, usize, usize)> {
    match Cron::parse(text, tz).err()? {
        WrongCron::Zone(why) => Some((true, why, 0, tz.chars().count())),
        WrongCron::Text(mistake) => {
            let (why, at, length) =
                in_characters(text, mistake.message, mistake.at, mistake.length);
            Some((false, why, at, length))
        }
    }
}

fn in_characters(text: &str, what: String, at: usize, length: usize) -> Place {
    let count = |from: usize, to: usize| text.get(from..to).map_or(0, |part| part.chars().count());
    (what, count(0, at), count(at, at.saturating_add(length)))
}
