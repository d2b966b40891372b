//! Values out of JSON, one level at a time, and back.

use std::cmp::Ordering;
use std::rc::Rc;

use super::MAX_DEPTH;
use super::budget::{Budget, Stop};
use super::number::Number;
use super::scan::{Scan, plain, unescape};
use super::value::{Member, Text, Value};

/// The value of a JSON text; arrays and objects stay closed.
pub(super) fn value<'a>(json: &Text<'a>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    let first = json.bytes().next().ok_or(Stop::Error)?;
    match first {
        b'{' | b'[' => Ok(Value::Json(json.clone())),
        b'"' => text(json, json, budget).map(Value::Text),
        b'n' if **json == *"null" => Ok(Value::Null),
        b't' if **json == *"true" => Ok(Value::Bool(true)),
        b'f' if **json == *"false" => Ok(Value::Bool(false)),
        _ => {
            budget.skip(json.len())?;
            Number::parse(json).map(Value::Number).ok_or(Stop::Error)
        }
    }
}

/// The text that `quoted`, a piece of `whole`, stands for.
fn text<'a>(whole: &Text<'a>, quoted: &str, budget: &mut Budget) -> Result<Text<'a>, Stop> {
    budget.skip(quoted.len())?;
    match plain(quoted) {
        Some(inner) => Ok(whole.piece(inner)),
        None => unescape(quoted, budget).map(|made| Text::shared(&made)),
    }
}

/// Opens an array or an object: its elements, or its members, sorted, the last one of each key.
pub(super) fn open<'a>(json: &Text<'a>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    budget.skip(json.len())?;
    if json.starts_with('[') {
        let mut elements: Vec<Value<'a>> = Vec::new();
        Scan::new(json).elements(|element| {
            budget.push::<Value<'a>>()?;
            elements.push(value(&json.piece(element), budget)?);
            Ok(())
        })?;
        return Ok(Value::List(Rc::from(elements)));
    }
    let mut members: Vec<Member<'a>> = Vec::new();
    Scan::new(json).members(|key, scan| {
        budget.push::<Member<'a>>()?;
        let inner = scan.value()?;
        members.push((text(json, key, budget)?, value(&json.piece(inner), budget)?));
        Ok(())
    })?;
    Ok(Value::Map(sorted(members, budget)?))
}

/// Sorted by key; of equal keys the last one stays.
pub(super) fn sorted<'a>(
    mut members: Vec<Member<'a>>,
    budget: &mut Budget,
) -> Result<Rc<[Member<'a>]>, Stop> {
    let halvings = usize::try_from(members.len().max(1).ilog2()).unwrap_or(0);
    let key_bytes: usize = members.iter().map(|(key, _)| key.len()).sum();
    budget.visit(members.len().saturating_mul(halvings) / 8)?;
    budget.skip(key_bytes.saturating_mul(halvings))?;
    members.reverse();
    members.sort_by(by_key); // stable: of equal keys the last one now stands first
    members.dedup_by(|(later, _), (kept, _)| **later == **kept);
    Ok(Rc::from(members))
}

fn by_key(left: &Member<'_>, right: &Member<'_>) -> Ordering {
    (*left.0).cmp(&*right.0)
}

/// How many elements or members there are.
pub(super) fn count(json: &Text<'_>, budget: &mut Budget) -> Result<usize, Stop> {
    budget.skip(json.len())?;
    let mut count = 0_usize;
    if json.starts_with('[') {
        Scan::new(json).elements(|_| {
            count = count.saturating_add(1);
            Ok(())
        })?;
        return Ok(count);
    }
    open(json, budget)?.len().ok_or(Stop::Error) // a key may stand twice
}

/// One member of a value; missing where there is none.
pub(super) fn field<'a>(
    value: &Value<'a>,
    name: &str,
    budget: &mut Budget,
) -> Result<Value<'a>, Stop> {
    match value {
        Value::Json(json) if json.starts_with('{') => closed_field(json, name, budget),
        Value::Map(members) => {
            let place = members.binary_search_by(|(key, _)| (**key).cmp(name));
            let member = place.ok().and_then(|place| members.get(place));
            Ok(member.map_or(Value::Missing, |(_, value)| value.clone()))
        }
        Value::Missing
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Moment(_)
        | Value::Json(_)
        | Value::List(_) => Ok(Value::Missing),
    }
}

fn closed_field<'a>(json: &Text<'a>, name: &str, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    budget.skip(json.len())?;
    let mut found = None;
    Scan::new(json).members(|key, scan| {
        budget.visit(1)?;
        let inner = scan.value()?;
        let is_asked = match plain(key) {
            Some(plain) => plain == name,
            None => unescape(key, budget)? == name,
        };
        if is_asked {
            found = Some(inner);
        }
        Ok(())
    })?;
    found.map_or(Ok(Value::Missing), |inner| value(&json.piece(inner), budget))
}

/// What `json_parse` makes of a text: an object, read by a real parser first.
pub(super) fn parse<'a>(text: &Text<'a>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    budget.read(text.len())?;
    budget.keep(text.len().saturating_mul(3))?; // the parser remembers each open bracket
    let whole: &serde_json::value::RawValue = serde_json::from_str(text).or(Err(Stop::Error))?;
    let json = text.piece(whole.get());
    if json.starts_with('{') { Ok(Value::Json(json)) } else { Err(Stop::Error) }
}

/// Writes a value as a key or as a part of a text: what is inside of lists and maps as compact JSON.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) text: String,
}

impl Writer {
    /// A text as it is, anything else as JSON. Fails for what is missing.
    pub(super) fn plain(&mut self, value: &Value<'_>, budget: &mut Budget) -> Result<(), Stop> {
        match value {
            Value::Missing | Value::Null => Err(Stop::Error),
            Value::Text(text) => self.push(text, budget),
            Value::Moment(moment) => {
                budget.convert()?;
                self.push(&moment.to_string(), budget)
            }
            Value::Bool(_) | Value::Number(_) | Value::Json(_) | Value::List(_) | Value::Map(_) => {
                self.json(value, 0, budget)
            }
        }
    }

    fn push(&mut self, text: &str, budget: &mut Budget) -> Result<(), Stop> {
        budget.skip(text.len())?;
        budget.keep(text.len().saturating_mul(3))?;
        self.text.push_str(text);
        Ok(())
    }

    fn quoted(&mut self, text: &str, budget: &mut Budget) -> Result<(), Stop> {
        budget.read(text.len())?;
        let written = |byte: u8| match byte {
            0..0x20 => 6,
            b'"' | b'\\' => 2,
            _ => 1_usize,
        };
        budget.keep(text.bytes().map(written).sum::<usize>().saturating_mul(3))?;
        let quoted = serde_json::to_string(text).or(Err(Stop::Error))?;
        self.push(&quoted, budget)
    }

    fn json(&mut self, value: &Value<'_>, depth: usize, budget: &mut Budget) -> Result<(), Stop> {
        budget.visit(1)?;
        match value {
            Value::Missing | Value::Null => self.push("null", budget),
            Value::Bool(it) => self.push(if *it { "true" } else { "false" }, budget),
            Value::Number(number) => {
                budget.convert()?;
                self.push(&number.show(), budget)
            }
            Value::Text(text) => self.quoted(text, budget),
            Value::Moment(moment) => {
                budget.convert()?;
                self.quoted(&moment.to_string(), budget)
            }
            Value::Json(json) => {
                let open = open(json, budget)?;
                self.json(&open, depth, budget)
            }
            Value::List(elements) => self.list(elements, deeper(depth)?, budget),
            Value::Map(members) => self.map(members, deeper(depth)?, budget),
        }
    }

    fn list(&mut self, list: &[Value<'_>], depth: usize, budget: &mut Budget) -> Result<(), Stop> {
        let mut mark = "[";
        for element in list {
            self.push(mark, budget)?;
            self.json(element, depth, budget)?;
            mark = ",";
        }
        self.push(if list.is_empty() { "[]" } else { "]" }, budget)
    }

    fn map(&mut self, map: &[Member<'_>], depth: usize, budget: &mut Budget) -> Result<(), Stop> {
        let mut mark = "{";
        for (key, value) in map {
            self.push(mark, budget)?;
            self.quoted(key, budget)?;
            self.push(":", budget)?;
            self.json(value, depth, budget)?;
            mark = ",";
        }
        self.push(if map.is_empty() { "{}" } else { "}" }, budget)
    }
}

/// One level further down into data, as far as that goes.
pub(super) fn deeper(depth: usize) -> Result<usize, Stop> {
    if depth < MAX_DEPTH { Ok(depth.saturating_add(1)) } else { Err(Stop::Error) }
}
