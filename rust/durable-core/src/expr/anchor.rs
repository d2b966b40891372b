//! What an expression demands of one field of `async`, so that among many waits an event finds those it may meet.
//!
//! An anchor is a field with a value, or with a bound for its value. An expression has a list of them such that
//! whatever meets it has one: of `a && b` the better of both lists (an equality before a bound, then the shorter), of
//! `a || b` both. Equal values have equal marks, so that marks, or their hashes, find all that can match, and a
//! little more; a bound counts as within.

use std::hash::Hasher;
use std::sync::Arc;

use super::evaluate::Evaluator;
use super::function::Function;
use super::number::Number;
use super::program::{Builder, Comparison, Node, NodeId, Program, Variable};
use super::value::Value;
use super::{Expression, Given};

/// A field of `async` and what its value must be.
#[derive(Clone, Debug)]
pub(crate) struct Anchor<'a> {
    /// As in `async.data.order_id`.
    pub(crate) path: &'a str,
    /// The number of that path in its expression.
    pub(crate) place: usize,
    pub(crate) demand: Demand<'a>,
}

#[derive(Clone, Debug)]
pub(crate) enum Demand<'a> {
    Equal(Found<'a>),
    AtLeast(Bound),
    AtMost(Bound),
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a>(Value<'a>);

/// Where a range begins or ends. All numbers come before all texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    Number(Number),
    Text(Box<str>),
}

/// With more of them an expression is looked at for each event instead.
const MOST_ANCHORS: usize = 64;

impl Expression {
    /// Anchors of which each `async` that meets the expression has one. `None`: it has no such list.
    pub(crate) fn anchors<'a>(&'a self, given: &'a Given<'a>) -> Option<Vec<Anchor<'a>>> {
        let mut finder = Finder { program: &self.0, evaluator: Evaluator::new(&self.0, given) };
        finder.find(self.0.root)
    }

    /// The expression that is the path of this number and nothing else.
    pub(crate) fn reader(&self, place: usize) -> Option<Self> {
        let path = self.0.paths.get(place)?;
        let mut builder = Builder::new(&path.shown);
        let part = builder.add_path(path.clone(), (0, path.shown.len())).ok()?;
        Some(Self(Arc::new(builder.finish(part.id))))
    }

    /// Its value; `None` where that costs too much.
    pub(crate) fn found<'a>(&'a self, given: &'a Given<'a>) -> Option<Found<'a>> {
        Evaluator::new(&self.0, given).value(self.0.root).ok().map(Found)
    }
}

impl Found<'_> {
    /// Writes its mark. Lists and maps share one, `null` and what is missing another.
    pub(crate) fn mark(&self, hasher: &mut impl Hasher) {
        let kind = match &self.0 {
            Value::Missing | Value::Null => 0,
            Value::Bool(it) => 1 + u8::from(*it),
            Value::Number(_) => 3,
            Value::Text(_) => 4,
            Value::Json(_) | Value::List(_) | Value::Map(_) => 5,
            Value::Moment(_) => 6,
        };
        hasher.write_u8(kind);
        if let Value::Number(number) = &self.0 {
            number.mark(hasher);
        } else if let Value::Text(text) = &self.0 {
            hasher.write(text.as_bytes());
        }
    }

    /// What it is where it is compared: an explicit `null` stands for 0 and for the empty text.
    pub(crate) fn bounds(&self) -> [Option<Bound>; 2] {
        match &self.0 {
            Value::Number(number) => [Some(Bound::Number(*number)), None],
            Value::Text(text) => [None, Some(Bound::Text((**text).into()))],
            Value::Null => [Some(Bound::Number(Number::ZERO)), Some(Bound::Text("".into()))],
            Value::Missing
            | Value::Bool(_)
            | Value::Moment(_)
            | Value::Json(_)
            | Value::List(_)
            | Value::Map(_) => [None, None],
        }
    }
}

impl Bound {
    /// Whether one of both is before the other at all.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Number(_), Self::Number(_)) | (Self::Text(_), Self::Text(_)))
    }
}

struct Finder<'a> {
    program: &'a Program,
    evaluator: Evaluator<'a>,
}

impl<'a> Finder<'a> {
    fn find(&mut self, id: NodeId) -> Option<Vec<Anchor<'a>>> {
        match self.program.node(id) {
            Node::All(row) => {
                row.iter().filter_map(|id| self.find(*id)).min_by_key(|all| cost(all))
            }
            Node::Any(row) => {
                let all: Option<Vec<_>> = row.iter().map(|id| self.find(*id)).collect();
                all.map(|all| all.concat()).filter(|all| all.len() <= MOST_ANCHORS)
            }
            Node::Compare(Comparison::Equal, left, right) => {
                self.equality(*left, *right).or_else(|| self.equality(*right, *left))
            }
            Node::Compare(Comparison::In, needle, hay) => self.membership(*needle, *hay),
            Node::Compare(Comparison::Less | Comparison::LessOrEqual, left, right) => {
                let below = self.range(*left, *right, Demand::AtMost);
                below.or_else(|| self.range(*right, *left, Demand::AtLeast))
            }
            Node::Compare(Comparison::Greater | Comparison::GreaterOrEqual, left, right) => {
                let above = self.range(*left, *right, Demand::AtLeast);
                above.or_else(|| self.range(*right, *left, Demand::AtMost))
            }
            Node::Null
            | Node::Bool(_)
            | Node::Number(_)
            | Node::Text(_)
            | Node::Path(_)
            | Node::Variable(_)
            | Node::Field(..)
            | Node::Index(..)
            | Node::Has(_)
            | Node::Not(_)
            | Node::Negate(_)
            | Node::Compare(Comparison::Unequal, ..)
            | Node::Calculate(..)
            | Node::Choose(..)
            | Node::List(_)
            | Node::Map(_)
            | Node::Call(..)
            | Node::Fold(_) => None,
        }
    }

    fn equality(&mut self, field: NodeId, value: NodeId) -> Option<Vec<Anchor<'a>>> {
        let (path, place) = self.path(field)?;
        let demand = equal_to(self.constant(value)?)?;
        Some(vec![Anchor { path, place, demand }])
    }

    fn membership(&mut self, needle: NodeId, hay: NodeId) -> Option<Vec<Anchor<'a>>> {
        let (path, place) = self.path(needle)?;
        let hay = self.constant(hay)?;
        let hay = self.evaluator.open(hay).ok()?;
        let length = hay.len().filter(|length| *length <= MOST_ANCHORS)?;
        let anchor = |at| Some(Anchor { path, place, demand: equal_to(hay.element(at))? });
        (0..length).map(anchor).collect()
    }

    /// A field on that side of a number or a text.
    fn range(
        &mut self,
        field: NodeId,
        bound: NodeId,
        side: fn(Bound) -> Demand<'a>,
    ) -> Option<Vec<Anchor<'a>>> {
        let (path, place) = self.path(field)?;
        let [number, text] = Found(self.constant(bound)?).bounds();
        let bound = number.xor(text)?; // `null` is both
        Some(vec![Anchor { path, place, demand: side(bound) }])
    }

    /// A field of `async`.
    fn path(&self, id: NodeId) -> Option<(&'a str, usize)> {
        let Node::Path(place) = self.program.node(id) else { return None };
        let path = self.program.paths.get(*place)?;
        (path.variable == Variable::Async).then_some((&*path.shown, *place))
    }

    /// The value of what reads neither `async` nor the clock.
    fn constant(&mut self, id: NodeId) -> Option<Value<'a>> {
        if self.is_constant(id) { self.evaluator.value(id).ok() } else { None }
    }

    fn is_constant(&self, id: NodeId) -> bool {
        let all = |ids: &[NodeId]| ids.iter().all(|id| self.is_constant(*id));
        match self.program.node(id) {
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => true,
            Node::Path(index) => {
                let path = self.program.paths.get(*index);
                path.is_some_and(|path| path.variable == Variable::Event)
            }
            Node::Field(of, _) | Node::Has(of) | Node::Not(of) | Node::Negate(of) => {
                self.is_constant(*of)
            }
            Node::Index(left, right)
            | Node::Compare(_, left, right)
            | Node::Calculate(_, left, right) => all(&[*left, *right]),
            Node::Choose(one, two, three) => all(&[*one, *two, *three]),
            Node::All(row) | Node::Any(row) | Node::List(row) => all(row),
            Node::Map(members) => members.iter().all(|(key, value)| all(&[*key, *value])),
            Node::Call(function, arguments) => !reads_clock(*function) && all(arguments),
            Node::Variable(_) | Node::Fold(_) => false,
        }
    }
}

fn reads_clock(function: Function) -> bool {
    matches!(function, Function::Now | Function::NowPlus | Function::NowMinus)
}

/// No field is a moment.
fn equal_to(value: Value<'_>) -> Option<Demand<'_>> {
    (!matches!(value, Value::Moment(_))).then_some(Demand::Equal(Found(value)))
}

/// How much a list of anchors lets through.
fn cost(anchors: &[Anchor<'_>]) -> (bool, usize) {
    let is_range = |anchor: &Anchor<'_>| !matches!(anchor.demand, Demand::Equal(_));
    (anchors.iter().any(is_range), anchors.len())
}

#[cfg(test)]
mod tests {
    use super::super::value::Text;
    use super::super::{EventView, Scope};
    use super::*;
    use crate::time::Timestamp;

    fn view(data: &[u8]) -> EventView<'_> {
        EventView { id: "e", name: "a", data, ts_ms: 7, user: None, version: None }
    }

    fn value_of(bound: &Bound) -> Value<'_> {
        match bound {
            Bound::Number(number) => Value::Number(*number),
            Bound::Text(text) => Value::Text(Text::Borrowed(text)),
        }
    }

    fn anchors(text: &str) -> Option<Vec<String>> {
        let expression = Expression::compile(text, Scope::EventAndAsync).expect(text);
        let event = view(br#"{"id":"x","n":1.0,"list":[1,"a",null]}"#);
        let given = Given { event, other: None, now: Timestamp::default() };
        let show = |anchor: &Anchor<'_>| {
            let (side, value) = match &anchor.demand {
                Demand::Equal(Found(value)) => ("==", value.clone()),
                Demand::AtLeast(bound) => (">=", value_of(bound)),
                Demand::AtMost(bound) => ("<=", value_of(bound)),
            };
            let value = if let Value::Number(number) = value {
                number.show()
            } else if let Value::Text(text) = value {
                format!("'{}'", &*text)
            } else {
                format!("{value:?}")
            };
            format!("{} {side} {value}", anchor.path)
        };
        expression.anchors(&given).map(|found| found.iter().map(show).collect())
    }

    #[test]
    fn equality_comes_first_and_what_says_nothing_is_left_out() {
        let rows: [(&str, Option<&[&str]>); 19] = [
            ("event.data.id == async.data.id", Some(&["async.data.id == 'x'"])),
            ("async.data.id == 'y'", Some(&["async.data.id == 'y'"])),
            ("async.data.n == event.data.n + 1", Some(&["async.data.n == 2"])),
            ("async.data.n == event.data.none", Some(&["async.data.n == Missing"])),
            ("async.data.n > 3 && async.data.b == true", Some(&["async.data.b == Bool(true)"])),
            ("async.data.n in event.data.list && async.v == '1'", Some(&["async.v == '1'"])),
            (
                "async.data.n in event.data.list",
                Some(&["async.data.n == 1", "async.data.n == 'a'", "async.data.n == Null"]),
            ),
            (
                "async.data.n == 1 || async.data.m == 2",
                Some(&["async.data.n == 1", "async.data.m == 2"]),
            ),
            (
                "async.data.n == 1 || async.data.m > 2",
                Some(&["async.data.n == 1", "async.data.m >= 2"]),
            ),
            ("async.data.n < event.data.n", Some(&["async.data.n <= 1"])),
            ("event.data.id <= async.data.n", Some(&["async.data.n >= 'x'"])),
            ("event.data.n >= async.ts && event.data.list == 1", Some(&["async.ts <= 1"])),
            ("async.data.n < event.data.none", None),
            ("async.data.n < null", None),
            ("async.data.n != 1", None),
            ("lowercase(async.data.n) == 'a'", None),
            ("async.data.n == async.data.m", None),
            ("async.ts == now()", None),
            ("!(async.data.n == 1)", None),
        ];
        for (text, expected) in rows {
            let expected: Option<Vec<String>> =
                expected.map(|list| list.iter().map(ToString::to_string).collect());
            assert_eq!(anchors(text), expected, "{text}");
        }
    }
}
