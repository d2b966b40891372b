//! What an expression reads of `event`, cut out of it: kept while the expression waits for its `async`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::program::{Field, Program, Tree, Variable};
use super::scan::Scan;
use super::{EventView, Expression};
use crate::run::put_json_text;

/// The fields of an event that an expression reads; the others are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    id: String,
    name: String,
    data: Bytes,
    ts_ms: u64,
    user: Option<Bytes>,
    version: Option<String>,
}

impl Known {
    /// As an event of which the expression finds all that it looks for.
    pub(crate) fn view(&self) -> EventView<'_> {
        EventView {
            id: &self.id,
            name: &self.name,
            data: &self.data,
            ts_ms: self.ts_ms,
            user: self.user.as_deref(),
            version: self.version.as_deref(),
        }
    }
}

impl Expression {
    /// Whether it reads anything of `event`.
    pub(crate) fn reads_event(&self) -> bool {
        self.0.paths.iter().any(|path| path.variable == Variable::Event)
    }

    /// What it reads of `event`.
    pub(crate) fn known(&self, event: &EventView<'_>) -> Known {
        let paths = || self.0.paths.iter().filter(|path| path.variable == Variable::Event);
        let reads = |field| paths().any(|path| path.field == field);
        let text = |field, text: &str| if reads(field) { text.to_owned() } else { String::new() };
        let [data, user, ..] = &self.0.trees;
        Known {
            id: text(Field::Id, event.id),
            name: text(Field::Name, event.name),
            data: if reads(Field::Data) { cut(&self.0, data, event.data) } else { Bytes::new() },
            ts_ms: if reads(Field::Ts) { event.ts_ms } else { 0 },
            user: event.user.filter(|_| reads(Field::User)).map(|json| cut(&self.0, user, json)),
            version: event.version.filter(|_| reads(Field::Version)).map(str::to_owned),
        }
    }
}

/// A JSON text with nothing but what a tree looks for; what costs too much to find is not there.
fn cut(program: &Program, tree: &Tree, json: &[u8]) -> Bytes {
    let mut found = vec![None; program.paths.len()];
    if let Ok(json) = str::from_utf8(json) {
        let _complete = Scan::new(json).look(tree, &mut found, &mut Budget::new()).is_ok();
    }
    let mut text = String::with_capacity(USUAL_BYTES);
    let has_any = put(tree, &found, &mut text);
    if has_any { Bytes::copy_from_slice(text.as_bytes()) } else { Bytes::from_static(b"{}") }
}

/// What is kept is seldom longer.
const USUAL_BYTES: usize = 64;

/// Writes what was found below a place; false where that is nothing.
fn put(tree: &Tree, found: &[Option<&str>], text: &mut String) -> bool {
    if let Some(path) = tree.path {
        let json = found.get(path).copied().flatten();
        text.push_str(json.unwrap_or_default());
        return json.is_some();
    }
    let start = text.len();
    let mut is_any = false;
    for (name, child) in &tree.children {
        let before = text.len();
        text.push(if is_any { ',' } else { '{' });
        put_json_text(text, name);
        text.push(':');
        if put(child, found, text) {
            is_any = true;
        } else {
            text.truncate(before);
        }
    }
    if is_any {
        text.push('}');
    } else {
        text.truncate(start);
    }
    is_any
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Scope};
    use super::*;
    use crate::time::Timestamp;

    fn event(data: &str) -> EventView<'_> {
        let data = data.as_bytes();
        EventView { id: "e", name: "a", data, ts_ms: 7, user: Some(b"{\"n\":1}"), version: None }
    }

    fn data_of(text: &str, data: &str) -> String {
        let expression = Expression::compile(text, Scope::EventAndAsync).expect(text);
        String::from_utf8(expression.known(&event(data)).data.to_vec()).expect("JSON")
    }

    #[test]
    fn only_what_is_read_is_kept() {
        let json = r#"{"a":1,"b":{"c":[2,{"d":3}],"x":4},"e \"f\"":null,"big":"xxxxxxxxxxxx"}"#;
        let rows = [
            ("event.data.a == async.data.a", r#"{"a":1}"#),
            ("event.data.b.c[1].d == 3 && event.data.a == 1", r#"{"a":1,"b":{"c":[2,{"d":3}]}}"#),
            ("event.data['e \"f\"'] == async.data.a", r#"{"e \"f\"":null}"#),
            ("event.data.none.at_all == async.data.a", "{}"),
            ("event.data.b.none == async.data.a", "{}"),
            ("async.data.a == 1", ""),
            ("event.ts < async.ts", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(data_of(text, json), expected, "{text}");
        }
        assert_eq!(data_of("event.data == async.data", json), json);
    }

    #[test]
    fn an_expression_says_the_same_of_what_is_kept() {
        let json = r#"{"a":1,"b":{"c":[2,{"d":3}]},"n":null}"#;
        let other = event(r#"{"a":1,"d":3}"#);
        let texts = [
            "event.data.a == async.data.a",
            "event.data.b.c[1].d == async.data.d && event.user.n == 1 && event.ts == 7",
            "event.data.n == async.data.none && has(event.data.n) && !has(event.data.m)",
            "event.id == 'e' && event.name == async.name && event.v == null",
            "event.data.b.c.exists(x, x == 2) && event.data.b.c.size() == 2",
            "event.data.a == 2",
        ];
        for text in texts {
            let expression = Expression::compile(text, Scope::EventAndAsync).expect(text);
            let matches = |event| {
                let now = Timestamp::default();
                expression.matches(&Given { event, other: Some(other), now })
            };
            let (whole, known) = (event(json), expression.known(&event(json)));
            assert_eq!(matches(whole), text != "event.data.a == 2", "{text}");
            assert_eq!(matches(known.view()), matches(whole), "{text}");
        }
    }
}
