//! What an expression demands of one field of `async`, so that among many waits an event finds those it may meet.
//!
//! An anchor is a field with a value. An expression has a list of them such that whatever meets it has one: of
//! `a && b` the shorter of both lists, of `a || b` both. The value is kept as its mark: equal values have equal
//! marks, so that marks, or their hashes, find all that can match, and a little more.

use super::evaluate::Evaluator;
use super::function::Function;
use super::program::{Comparison, Node, NodeId, Program, Variable};
use super::value::Value;
use super::{Expression, Given};

/// A field of `async`, as in `async.data.order_id`, and the mark of the value that it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Anchor {
    pub(crate) path: String,
    pub(crate) mark: Vec<u8>,
}

/// With more of them an expression is looked at for each event instead.
const MOST_ANCHORS: usize = 64;

impl Expression {
    /// Anchors of which each `async` that meets the expression has one. `None`: it has no such list.
    pub(crate) fn anchors(&self, given: &Given<'_>) -> Option<Vec<Anchor>> {
        let mut finder = Finder { program: &self.0, evaluator: Evaluator::new(&self.0, given) };
        let mut anchors = finder.find(self.0.root)?;
        anchors.sort_unstable();
        anchors.dedup();
        Some(anchors)
    }

    /// The mark of the value it gives; `None` where that has none.
    pub(crate) fn mark(&self, given: &Given<'_>) -> Option<Vec<u8>> {
        mark(&Evaluator::new(&self.0, given).value(self.0.root).ok()?)
    }
}

struct Finder<'a> {
    program: &'a Program,
    evaluator: Evaluator<'a>,
}

impl<'a> Finder<'a> {
    fn find(&mut self, id: NodeId) -> Option<Vec<Anchor>> {
        match self.program.node(id) {
            Node::All(row) => row.iter().filter_map(|id| self.find(*id)).min_by_key(Vec::len),
            Node::Any(row) => {
                let all: Option<Vec<_>> = row.iter().map(|id| self.find(*id)).collect();
                all.map(|all| all.concat()).filter(|all| all.len() <= MOST_ANCHORS)
            }
            Node::Compare(Comparison::Equal, left, right) => {
                self.equality(*left, *right).or_else(|| self.equality(*right, *left))
            }
            Node::Compare(Comparison::In, needle, hay) => self.membership(*needle, *hay),
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
            | Node::Compare(
                Comparison::Unequal
                | Comparison::Less
                | Comparison::LessOrEqual
                | Comparison::Greater
                | Comparison::GreaterOrEqual,
                ..,
            )
            | Node::Calculate(..)
            | Node::Choose(..)
            | Node::List(_)
            | Node::Map(_)
            | Node::Call(..)
            | Node::Fold(_) => None,
        }
    }

    fn equality(&mut self, field: NodeId, value: NodeId) -> Option<Vec<Anchor>> {
        let path = self.path(field)?;
        let mark = mark(&self.constant(value)?)?;
        Some(vec![Anchor { path, mark }])
    }

    fn membership(&mut self, needle: NodeId, hay: NodeId) -> Option<Vec<Anchor>> {
        let path = self.path(needle)?;
        let hay = self.constant(hay)?;
        let hay = self.evaluator.open(hay).ok()?;
        let length = hay.len().filter(|length| *length <= MOST_ANCHORS)?;
        let anchor = |place| Some(Anchor { path: path.clone(), mark: mark(&hay.element(place))? });
        (0..length).map(anchor).collect()
    }

    /// A field of `async`.
    fn path(&self, id: NodeId) -> Option<String> {
        let Node::Path(index) = self.program.node(id) else { return None };
        let path = self.program.paths.get(*index)?;
        (path.variable == Variable::Async).then(|| path.show())
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

/// Lists and maps share one; a moment has none, since no field is one. `null` and what is missing are one as well.
fn mark(value: &Value<'_>) -> Option<Vec<u8>> {
    let (kind, text) = match value {
        Value::Missing | Value::Null => (0, String::new()),
        Value::Bool(it) => (1, it.to_string()),
        Value::Number(number) => (2, number.show()),
        Value::Text(text) => (3, (**text).to_owned()),
        Value::Json(_) | Value::List(_) | Value::Map(_) => (4, String::new()),
        Value::Moment(_) => return None,
    };
    let mut mark = vec![kind];
    mark.extend_from_slice(text.as_bytes());
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::super::{EventView, Scope};
    use super::*;
    use crate::time::Timestamp;

    fn view(data: &[u8]) -> EventView<'_> {
        EventView { id: "e", name: "a", data, ts_ms: 7, user: None, version: None }
    }

    fn anchors(text: &str) -> Option<Vec<String>> {
        let expression = Expression::compile(text, Scope::EventAndAsync).expect(text);
        let event = view(br#"{"id":"x","n":1.0,"list":[1,"a",null]}"#);
        let found = expression.anchors(&Given { event, other: None, now: Timestamp::default() });
        let show = |anchor: Anchor| {
            let (kind, text) = anchor.mark.split_first().expect("a kind");
            format!("{} {kind} {}", anchor.path, String::from_utf8_lossy(text))
        };
        found.map(|found| found.into_iter().map(show).collect())
    }

    #[test]
    fn equality_comes_first_and_what_says_nothing_is_left_out() {
        let rows: [(&str, Option<&[&str]>); 14] = [
            ("event.data.id == async.data.id", Some(&["async.data.id 3 x"])),
            ("async.data.id == 'y'", Some(&["async.data.id 3 y"])),
            ("async.data.n == event.data.n + 1", Some(&["async.data.n 2 2"])),
            ("async.data.n == event.data.none", Some(&["async.data.n 0 "])),
            ("async.data.n > 3 && async.data.b == true", Some(&["async.data.b 1 true"])),
            ("async.data.n in event.data.list && async.v == '1'", Some(&["async.v 3 1"])),
            (
                "async.data.n in event.data.list",
                Some(&["async.data.n 0 ", "async.data.n 2 1", "async.data.n 3 a"]),
            ),
            (
                "async.data.n == 1 || async.data.m == 2",
                Some(&["async.data.m 2 2", "async.data.n 2 1"]),
            ),
            ("async.data.n == 1 || async.data.m > 2", None),
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

    /// Whatever meets an expression has one of its anchors.
    #[test]
    fn equal_values_have_equal_marks() {
        let values =
            ["null", "true", "1", "1.0", "1e0", "\"1\"", "\"a\"", "[1]", "{\"a\":1}", "1e19"];
        for one in values {
            for other in values {
                let expression =
                    Expression::compile("event.data.x == async.data.x", Scope::EventAndAsync);
                let expression = expression.expect("it is one");
                let (one, other) = (format!("{{\"x\":{one}}}"), format!("{{\"x\":{other}}}"));
                let (event, other) = (view(one.as_bytes()), view(other.as_bytes()));
                let given = Given { event, other: Some(other), now: Timestamp::default() };
                let anchors = expression.anchors(&given).expect("an equality");
                let field = Expression::compile("async.data.x", Scope::EventAndAsync);
                let mark = field.expect("a field").mark(&given).expect("a mark");
                let has_one = anchors.iter().any(|anchor| anchor.mark == mark);
                assert!(has_one || !expression.matches(&given), "{one} {other:?}");
            }
        }
    }
}
