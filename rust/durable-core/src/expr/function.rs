//! The functions there are: how they are called, and what they do.

use super::budget::{Budget, Stop};
use super::json::{self, Writer};
use super::number::Number;
use super::program::Kind;
use super::value::{Text, Value};
use super::{encoded, moment};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Lowercase,
    Uppercase,
    B64decode,
    JsonParse,
    Date,
    Now,
    NowPlus,
    NowMinus,
    Int,
    Double,
    String,
    Bool,
}

/// How a function is called.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// As people write it, for messages.
    pub(super) usage: &'static str,
    /// What it takes, what stands before the dot first. `Unknown` takes anything.
    pub(super) takes: &'static [Kind],
    pub(super) gives: Kind,
    pub(super) form: Form,
}

/// What stands before the parenthesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `f(x)`
    Plain,
    /// `x.f()`
    Dotted,
    /// Both.
    Either,
}

const fn plain(
    function: Function,
    (name, usage): (&'static str, &'static str),
    takes: &'static [Kind],
    gives: Kind,
) -> Signature {
    Signature { name, function, usage, takes, gives, form: Form::Plain }
}

const fn dotted(function: Function, name: &'static str, usage: &'static str) -> Signature {
    let takes = &[Kind::Text, Kind::Text];
    Signature { name, function, usage, takes, gives: Kind::Bool, form: Form::Dotted }
}

const SIGNATURES: [Signature; 16] = [
    Signature {
        form: Form::Either,
        ..plain(Function::Size, ("size", "size(value)"), &[Kind::Unknown], Kind::Number)
    },
    dotted(Function::Contains, "contains", "text.contains(part)"),
    dotted(Function::StartsWith, "startsWith", "text.startsWith(beginning)"),
    dotted(Function::EndsWith, "endsWith", "text.endsWith(end)"),
    plain(Function::Lowercase, ("lowercase", "lowercase(text)"), &[Kind::Text], Kind::Text),
    plain(Function::Uppercase, ("uppercase", "uppercase(text)"), &[Kind::Text], Kind::Text),
    plain(Function::B64decode, ("b64decode", "b64decode(text)"), &[Kind::Text], Kind::Text),
    plain(Function::JsonParse, ("json_parse", "json_parse(text)"), &[Kind::Text], Kind::Map),
    plain(Function::Date, ("date", "date(text or number)"), &[Kind::Unknown], Kind::Moment),
    plain(Function::Now, ("now", "now()"), &[], Kind::Moment),
    plain(Function::NowPlus, ("now_plus", "now_plus(\"1h30m\")"), &[Kind::Text], Kind::Moment),
    plain(Function::NowMinus, ("now_minus", "now_minus(\"7d\")"), &[Kind::Text], Kind::Moment),
    plain(Function::Int, ("int", "int(value)"), &[Kind::Unknown], Kind::Number),
    plain(Function::Double, ("double", "double(value)"), &[Kind::Unknown], Kind::Number),
    plain(Function::String, ("string", "string(value)"), &[Kind::Unknown], Kind::Text),
    plain(Function::Bool, ("bool", "bool(value)"), &[Kind::Unknown], Kind::Bool),
];

impl Signature {
    pub(super) fn of_name(name: &str) -> Option<&'static Self> {
        const ALL: &[Signature] = &SIGNATURES;
        ALL.iter().find(|signature| signature.name == name)
    }

    pub(super) fn names() -> String {
        SIGNATURES.map(|signature| signature.name).join(", ")
    }
}

impl Function {
    /// What is wrong with a text that is written as the argument.
    pub(super) fn refusal(self, text: &str) -> Option<&'static str> {
        if self == Self::Date && moment::parse(text).is_none() {
            return Some("this is no date: write \"2024-02-29\" or \"2024-02-29T12:00:00Z\"");
        }
        let is_length = matches!(self, Self::NowPlus | Self::NowMinus);
        (is_length && moment::duration(text).is_none()).then_some(
            "this is no duration: write \"30s\", \"5m\", \"2h\", \"1d\", \"1w\" or \"1h30m\"",
        )
    }

    /// Of what is missing or `null`: `size` is 0, what asks says false, what makes a value makes nothing.
    pub(super) fn apply<'a>(
        self,
        arguments: &[Value<'a>],
        now: crate::time::Timestamp,
        budget: &mut Budget,
    ) -> Result<Value<'a>, Stop> {
        let subject = arguments.first().unwrap_or(&Value::Missing);
        let is_absent = arguments.iter().any(Value::is_absent);
        match self {
            Self::Size => size(subject, budget),
            Self::Contains | Self::StartsWith | Self::EndsWith if is_absent => {
                Ok(Value::Bool(false))
            }
            Self::Contains | Self::StartsWith | Self::EndsWith => {
                let [Value::Text(text), Value::Text(part)] = arguments else {
                    return Err(Stop::Error);
                };
                self.search(text, part, budget).map(Value::Bool)
            }
            Self::Now => moment::of_clock(now).map(Value::Moment).ok_or(Stop::Error),
            _ if is_absent => Ok(Value::Missing),
            Self::Date => date(subject, budget),
            Self::Int => int(subject, budget),
            Self::Double => double(subject, budget),
            Self::String => {
                let mut writer = Writer::default();
                writer.plain(subject, budget)?;
                made(&writer.text, budget)
            }
            Self::Bool => bool(subject),
            Self::Lowercase
            | Self::Uppercase
            | Self::B64decode
            | Self::JsonParse
            | Self::NowPlus
            | Self::NowMinus => {
                let Value::Text(text) = subject else { return Err(Stop::Error) };
                self.apply_to_text(text, now, budget)
            }
        }
    }

    fn search(self, text: &str, part: &str, budget: &mut Budget) -> Result<bool, Stop> {
        let is_everywhere = self == Self::Contains;
        budget.read(if is_everywhere { text.len().saturating_add(part.len()) } else { 0 })?;
        budget.skip(part.len())?;
        Ok(if is_everywhere {
            text.contains(part)
        } else if self == Self::StartsWith {
            text.starts_with(part)
        } else {
            text.ends_with(part)
        })
    }

    fn apply_to_text<'a>(
        self,
        text: &Text<'a>,
        now: crate::time::Timestamp,
        budget: &mut Budget,
    ) -> Result<Value<'a>, Stop> {
        if self == Self::JsonParse {
            return json::parse(text, budget);
        }
        if matches!(self, Self::NowPlus | Self::NowMinus) {
            budget.convert()?;
            let length = moment::duration(text).ok_or(Stop::Error)?;
            let now = moment::of_clock(now).ok_or(Stop::Error)?;
            let moved = if self == Self::NowPlus {
                now.checked_add(length)
            } else {
                now.checked_sub(length)
            };
            return moved.map(Value::Moment).or(Err(Stop::Error));
        }
        budget.visit(text.len() / 4)?; // letters beyond ASCII are looked up one by one
        budget.keep(text.len().saturating_mul(4))?; // a letter can become three
        let changed = if self == Self::Lowercase {
            text.to_lowercase()
        } else if self == Self::Uppercase {
            text.to_uppercase()
        } else {
            encoded::decode(text).ok_or(Stop::Error)?
        };
        made(&changed, budget)
    }
}

/// A text that was made here, once more copied into place.
pub(super) fn made<'a>(text: &str, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    budget.visit(2)?;
    budget.keep(text.len())?;
    Ok(Value::Text(Text::shared(text)))
}

fn size<'a>(value: &Value<'_>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    let count = match value {
        Value::Missing | Value::Null => 0,
        Value::Text(text) => {
            budget.skip(text.len())?;
            text.chars().count()
        }
        Value::Json(json) => json::count(json, budget)?,
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.len(),
        Value::Bool(_) | Value::Number(_) | Value::Moment(_) => return Err(Stop::Error),
    };
    Ok(Value::Number(Number::of_count(count)))
}

fn date<'a>(value: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    budget.convert()?;
    let moment = if let Value::Text(text) = value {
        moment::parse(text)
    } else if let Value::Number(number) = value {
        moment::of_number(*number)
    } else if let Value::Moment(moment) = value {
        Some(*moment)
    } else {
        None
    };
    moment.map(Value::Moment).ok_or(Stop::Error)
}

fn parsed(value: &Value<'_>, budget: &mut Budget) -> Result<Number, Stop> {
    budget.convert()?;
    let number = if let Value::Text(text) = value {
        Number::parse(text).filter(|_| text.len() <= 64)
    } else if let Value::Number(number) = value {
        Some(*number)
    } else if let Value::Moment(moment) = value {
        Some(Number::Int(moment.as_second()))
    } else {
        None
    };
    number.ok_or(Stop::Error)
}

fn int<'a>(value: &Value<'_>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    let number = match parsed(value, budget)? {
        Number::Float(fraction) => Number::Int(Number::Float(fraction).truncated()),
        whole @ (Number::Int(_) | Number::Large(_)) => whole,
    };
    Ok(Value::Number(number))
}

fn double<'a>(value: &Value<'_>, budget: &mut Budget) -> Result<Value<'a>, Stop> {
    Number::float(parsed(value, budget)?.as_float()).map(Value::Number).ok_or(Stop::Error)
}

fn bool<'a>(value: &Value<'_>) -> Result<Value<'a>, Stop> {
    let known = if let Value::Text(text) = value { text.parse().ok() } else { value.as_bool() };
    known.map(Value::Bool).ok_or(Stop::Error)
}
