//! Whatever the text and whatever the bytes: no panic, and the same answer twice.

use std::fmt::Write;

use durable_core::{EventView, Expression, Given, Scope, Timestamp};
use proptest::prelude::*;

/// Pieces of which texts are made that often compile.
const PIECES: [&str; 48] = [
    "event",
    ".data",
    ".a",
    ".b",
    ".items",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "'a'",
    "\"b\"",
    "'",
    "\\",
    "1",
    "2.5",
    "-",
    "!",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "&&",
    "||",
    "?",
    ":",
    ",",
    ".exists(x, ",
    ".map(y, ",
    ".filter(z, ",
    "x",
    "y",
    "has(",
    "size(",
    "lowercase(",
    "json_parse(",
    "date(",
    "now()",
    "null",
    "true",
    "async",
    "ü",
];

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        (-1e9..1e9_f64).prop_map(|it| it.to_string()),
        any::<String>().prop_map(|it| serde_json::to_string(&it).expect("a text")),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let key = prop_oneof![Just("a"), Just("b"), Just("items"), Just("\\u0061")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|elements| format!("[{}]", elements.join(" ,"))),
            prop::collection::vec((key, inner), 0..6).prop_map(|members| {
                let mut text = "{ ".to_owned();
                for (index, (key, value)) in members.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(text, "{comma}\"{key}\" :{value}").expect("it is a String");
                }
                text + "}"
            }),
        ]
    })
}

fn evaluate(text: &str, data: &[u8]) {
    let Ok(expression) = Expression::compile(text, Scope::EventAndAsync) else { return };
    let event = EventView { id: "i", name: "n", data, ts_ms: 1, user: Some(data), version: None };
    let given = Given { event, other: Some(event), now: Timestamp::from_millis(1) };
    assert_eq!(expression.key(&given), expression.key(&given));
    assert_eq!(expression.number(&given), expression.number(&given));
    assert_eq!(expression.matches(&given), expression.matches(&given));
}

/// What `serde_json` reads, as compact JSON with sorted keys, is what a key shows.
fn same_as_the_real_parser(json: &str, path: &str, pointer: &str) {
    let data = format!("{{\"a\": {json}}}");
    let parsed: serde_json::Value = serde_json::from_str(&data).expect("it is JSON");
    let expression =
        Expression::compile(&format!("[event.data.{path}]"), Scope::Event).expect("it compiles");
    let event =
        EventView { id: "", name: "", data: data.as_bytes(), ts_ms: 0, user: None, version: None };
    let durable_core::Key::Value(shown) =
        expression.key(&Given { event, other: None, now: Timestamp::default() })
    else {
        panic!("a list is a key")
    };
    let read: serde_json::Value = serde_json::from_str(&shown).expect("a list's key is JSON");
    let expected = parsed.pointer(pointer).unwrap_or(&serde_json::Value::Null);
    assert_eq!(numbers(read.get(0).expect("an element")), numbers(expected), "{shown}");
}

/// All numbers as texts of floats, for 1 and 1.0 are the same here.
fn numbers(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => format!("#{:?}", number.as_f64()).into(),
        serde_json::Value::Array(elements) => elements.iter().map(numbers).collect(),
        serde_json::Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), numbers(value))).collect()
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {
            value.clone()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_on_any_bytes(text in any::<String>(), data in any::<Vec<u8>>()) {
        evaluate(&text, &data);
    }

    #[test]
    fn texts_of_pieces_on_json(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24), data in json()) {
        evaluate(&pieces.concat(), data.as_bytes());
    }

    #[test]
    fn sensible_texts_on_broken_json(data in json(), cut in 0_usize..200) {
        let cut = data.get(..cut.min(data.len())).unwrap_or(&data);
        for text in [
            "event.data.a == event.data.b || event.data.items.exists(i, i.a == 1)",
            "size(event.data.items) > 1 && event.data.a in event.data.items",
            "event.data.a + event.data.b",
            "event.data",
            "event.user.a.b.a",
        ] {
            evaluate(text, data.as_bytes());
            evaluate(text, cut.as_bytes());
        }
    }

    #[test]
    fn what_is_read_is_what_a_real_parser_reads(json in json()) {
        for (path, pointer) in [("a", "/a"), ("a.a", "/a/a"), ("a.b.items", "/a/b/items"), ("a['a']['b']", "/a/a/b")] {
            same_as_the_real_parser(&json, path, pointer);
        }
    }
}
