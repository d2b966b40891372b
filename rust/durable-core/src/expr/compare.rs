//! What is equal, and what comes first.

use std::cmp::Ordering;
use std::rc::Rc;

use super::budget::{Budget, Stop};
use super::json::{deeper, open};
use super::number::Number;
use super::program::Comparison;
use super::value::{Text, Value};

/// Compares two values. Values of unlike kinds are unequal and in no order; that is no error.
pub(super) fn compare(
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    let ordered = |wanted: fn(Ordering) -> bool, budget: &mut Budget| {
        Ok(order(left, right, budget)?.is_some_and(wanted))
    };
    match comparison {
        Comparison::Equal => equal(left, right, 0, budget),
        Comparison::Unequal => equal(left, right, 0, budget).map(|is_equal| !is_equal),
        Comparison::Less => ordered(Ordering::is_lt, budget),
        Comparison::LessOrEqual => ordered(Ordering::is_le, budget),
        Comparison::Greater => ordered(Ordering::is_gt, budget),
        Comparison::GreaterOrEqual => ordered(Ordering::is_ge, budget),
        Comparison::In => contains(right, left, budget),
    }
}

/// A missing field equals `null`, and nothing else: no other missing field either.
fn equal(
    left: &Value<'_>,
    right: &Value<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    budget.visit(1)?;
    match (left, right) {
        (Value::Null, Value::Null | Value::Missing) | (Value::Missing, Value::Null) => Ok(true),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Number(left), Value::Number(right)) => Ok(left.compare(*right).is_eq()),
        (Value::Moment(left), Value::Moment(right)) => Ok(left == right),
        (Value::Text(left), Value::Text(right)) => {
            budget.skip(if left.len() == right.len() { left.len() } else { 0 })?;
            Ok(**left == **right)
        }
        (Value::Json(json), Value::Json(_) | Value::List(_) | Value::Map(_)) => {
            let left = open(json, budget)?;
            equal_nests(&left, right, deeper(depth)?, budget)
        }
        (Value::List(_) | Value::Map(_), _) => equal_nests(left, right, deeper(depth)?, budget),
        _ => Ok(false),
    }
}

/// The same for an open list or map on the left.
fn equal_nests(
    left: &Value<'_>,
    right: &Value<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    let opened;
    let right = if let Value::Json(json) = right {
        opened = open(json, budget)?;
        &opened
    } else {
        right
    };
    match (left, right) {
        (Value::List(left), Value::List(right)) => equal_lists(
            left,
            right,
            |left, right, budget| equal(left, right, depth, budget),
            budget,
        ),
        (Value::Map(left), Value::Map(right)) => equal_lists(
            left,
            right,
            |(left_key, left), (right_key, right), budget| {
                Ok(**left_key == **right_key && equal(left, right, depth, budget)?)
            },
            budget,
        ),
        _ => Ok(false),
    }
}

fn equal_lists<T>(
    left: &Rc<[T]>,
    right: &Rc<[T]>,
    equal: impl Fn(&T, &T, &mut Budget) -> Result<bool, Stop>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right.iter()) {
        if !equal(left, right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which comes first, if any does. An explicit `null` stands for 0 or the empty text, whatever is opposite.
fn order(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Stop> {
    let zero = Value::Number(Number::ZERO);
    let empty = Value::Text(Text::Borrowed(""));
    let filled = |value, opposite: &Value<'_>| match (value, opposite) {
        (Value::Null, Value::Number(_)) => zero.clone(),
        (Value::Null, Value::Text(_)) => empty.clone(),
        (value, _) => value,
    };
    Ok(match (&filled(left.clone(), right), &filled(right.clone(), left)) {
        (Value::Number(left), Value::Number(right)) => Some(left.compare(*right)),
        (Value::Text(left), Value::Text(right)) => {
            budget.skip(left.len().min(right.len()))?;
            Some((**left).cmp(&**right))
        }
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Moment(left), Value::Moment(right)) => Some(left.cmp(right)),
        _ => None,
    })
}

/// `needle in hay`: an element of a list, or a key of a map. What is missing is in nothing.
fn contains(hay: &Value<'_>, needle: &Value<'_>, budget: &mut Budget) -> Result<bool, Stop> {
    if matches!(needle, Value::Missing) || hay.is_absent() {
        return Ok(false);
    }
    let opened;
    let hay = if let Value::Json(json) = hay {
        opened = open(json, budget)?;
        &opened
    } else {
        hay
    };
    match (hay, needle) {
        (Value::List(elements), _) => {
            for element in elements.iter() {
                if equal(element, needle, 0, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Map(members), Value::Text(name)) => {
            budget.skip(name.len().saturating_mul(16))?; // a few keys may begin alike
            Ok(members.binary_search_by(|(key, _)| (**key).cmp(name)).is_ok())
        }
        (Value::Map(_), _) => Ok(false),
        _ => Err(Stop::Error),
    }
}
