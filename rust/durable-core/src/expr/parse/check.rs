//! What can be known to be wrong in an operation before there is an event.

use crate::expr::mistake::Found;
use crate::expr::number::Arithmetic;
use crate::expr::program::{Comparison, Kind, Part};

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Moment => "a moment",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// Refuses what is surely no boolean where `operator` takes one.
pub(super) fn boolean(text: &str, part: Part, operator: &str) -> Result<(), Found> {
    wanted(text, part, Kind::Bool, operator)
}

/// Refuses what is surely no number where `operator` takes one.
pub(super) fn number(text: &str, part: Part, operator: &str) -> Result<(), Found> {
    wanted(text, part, Kind::Number, operator)
}

pub(super) fn wanted(text: &str, part: Part, kind: Kind, by: &str) -> Result<(), Found> {
    if kind == Kind::Unknown || part.kind == Kind::Unknown || part.kind == kind {
        return Ok(());
    }
    let message = format!("'{by}' takes {} here, not {}", kind.name(), part.kind.name());
    Err(Found::new(text, part.place, message))
}

pub(super) fn comparison(
    text: &str,
    comparison: Comparison,
    parts: &[Part],
) -> Result<Kind, Found> {
    match comparison {
        Comparison::Equal | Comparison::Unequal => {}
        Comparison::In => {
            let right = parts.last();
            let is_hay = |part: &&Part| matches!(part.kind, Kind::Unknown | Kind::List | Kind::Map);
            if let Some(right) = right.filter(|part| !is_hay(part)) {
                let message = format!("'in' takes a list or a map here, not {}", right.kind.name());
                return Err(Found::new(text, right.place, message));
            }
        }
        Comparison::Less
        | Comparison::LessOrEqual
        | Comparison::Greater
        | Comparison::GreaterOrEqual => ordered(text, parts)?,
    }
    Ok(Kind::Bool)
}

fn ordered(text: &str, parts: &[Part]) -> Result<(), Found> {
    for part in parts {
        let hint = match part.kind {
            Kind::Bool => {
                "true and false are in no order: compare two values at a time, as in a < b && b < c"
            }
            Kind::List | Kind::Map => "lists and maps are in no order",
            Kind::Unknown | Kind::Null | Kind::Number | Kind::Text | Kind::Moment => continue,
        };
        return Err(Found::new(text, part.place, hint));
    }
    let known = |part: &&Part| !matches!(part.kind, Kind::Unknown | Kind::Null);
    let mut kinds = parts.iter().filter(known);
    if let (Some(left), Some(right)) = (kinds.next(), kinds.next())
        && left.kind != right.kind
    {
        let (left, kind) = (left.kind.name(), right.kind.name());
        return Err(Found::new(text, right.place, format!("{left} and {kind} are in no order")));
    }
    Ok(())
}

/// `+` joins numbers, lists, and a text with anything; the others take numbers.
pub(super) fn calculation(
    text: &str,
    mark: &str,
    operation: Arithmetic,
    parts: &[Part],
) -> Result<Kind, Found> {
    if operation != Arithmetic::Add {
        parts.iter().try_for_each(|part| number(text, *part, mark))?;
        return Ok(Kind::Number);
    }
    let has = |kind: Kind| parts.iter().any(|part| part.kind == kind);
    if has(Kind::Text) {
        return Ok(Kind::Text);
    }
    if let Some(first) =
        parts.first().filter(|first| parts.iter().all(|part| part.kind == first.kind))
        && matches!(first.kind, Kind::Number | Kind::List)
    {
        return Ok(first.kind);
    }
    if has(Kind::Unknown) {
        return Ok(Kind::Unknown);
    }
    let names: Vec<&str> = parts.iter().map(|part| part.kind.name()).collect();
    let message = format!("'+' cannot join {}", names.join(" and "));
    Err(Found::new(text, super::span(parts), message))
}
