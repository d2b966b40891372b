//! What an expression says of an event: the tables of the specification, row by row.

#[cfg(test)]
#[path = "expressions/bombs.rs"]
mod bombs;
#[cfg(test)]
#[path = "expressions/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "expressions/mistakes.rs"]
mod mistakes;
#[cfg(test)]
#[path = "expressions/random.rs"]
mod random;

use durable_core::{EventView, Expression, Given, Key, Scope, Timestamp};

/// 2024-02-29T12:00:00Z
const NOW_MS: u64 = 1_709_208_000_000;

const DATA: &str = r#"{
    "zero": 0, "one": 1, "five": 5, "whole": 1.0, "half": 0.5, "large": 18446744073709551615, "huge": 1e21,
    "text": "foo", "empty": "", "digit": "5", "yes": true, "no": false, "nil": null,
    "email": "Ada@Example.COM", "note": "line\none \"two\" \u00fc", "größe": 3, "a b": {"c.d": 7},
    "list": [1, "x", null, 2.0], "none": [], "map": {"b": 1.0, "a": [true, {"k": "v"}]}, "bare": {},
    "items": [{"sku": "a", "n": 2}, {"sku": "b", "n": 5}, {"sku": "c"}],
    "deep": {"er": {"est": {"id": "d"}}}, "twice": 1, "twice": {"x": 2},
    "b64": "eyJraW5kIjogInZpcCIsICJuIjogWzEsIDJdfQ==", "embedded": "{\"kind\": \"vip\", \"s\": \"q\\\"q\"}",
    "at": "2024-03-01T00:00:00+01:00", "ms": 1709208000000
}"#;

fn view(data: &[u8]) -> EventView<'_> {
    let user = Some(br#"{"id": "u1"}"#.as_slice());
    EventView {
        id: "01EV",
        name: "shop/order.placed",
        data,
        ts_ms: NOW_MS,
        user,
        version: Some("v2"),
    }
}

fn given(data: &[u8]) -> Given<'_> {
    let other =
        Some(EventView { data: br#"{"id": "o1", "text": "foo", "amount": 7}"#, ..view(data) });
    Given { event: view(data), other, now: Timestamp::from_millis(NOW_MS) }
}

fn compiled(text: &str) -> Expression {
    match Expression::compile(text, Scope::EventAndAsync) {
        Ok(expression) => expression,
        Err(mistake) => unreachable!("{mistake}"),
    }
}

/// `$name` stands for `event.data.name`, `miss` is in no data.
fn key(text: &str) -> Key {
    compiled(&text.replace('$', "event.data.")).key(&given(DATA.as_bytes()))
}

fn value(text: &str) -> String {
    match key(text) {
        Key::Missing => "-".to_owned(),
        Key::Value(value) => value,
    }
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter(|(text, expected)| value(text) != *expected)
        .map(|(text, expected)| format!("{text}: {} and not {expected}", value(text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The semantics, section 7: a missing field equals `null` and nothing else; an ordering with it is false.
#[test]
fn a_missing_field_is_null_and_in_no_order() {
    check(&[
        ("$miss == 'x'", "false"),
        ("$miss == 0", "false"),
        ("$miss == ''", "false"),
        ("$miss == false", "false"),
        ("$miss == $miss2", "false"),
        ("$miss == $miss", "false"),
        ("$miss == null", "true"),
        ("null == $miss", "true"),
        ("$miss == $nil", "true"),
        ("$miss != 'x'", "true"),
        ("$miss != 0", "true"),
        ("$miss != ''", "true"),
        ("$miss != null", "false"),
        ("$miss < 5", "false"),  // the reference: true
        ("$miss <= 5", "false"), // the reference: true
        ("$miss > 5", "false"),
        ("$miss >= 5", "false"),
        ("5 < $miss", "false"),
        ("5 <= $miss", "false"),
        ("5 > $miss", "false"),  // the reference: true
        ("5 >= $miss", "false"), // the reference: true
        ("$miss < $miss2", "false"),
        ("$miss < null", "false"),
    ]);
}

/// The reference's rows for operations with a missing field (its section 9.3).
#[test]
fn operations_go_on_without_a_missing_field() {
    check(&[
        ("$text + $miss", "foo"),
        ("$miss + $text", "foo"),
        ("$one + $miss", "1"),
        ("$miss + $miss2", "-"), // the reference: false
        ("$miss - 1", "-"),
        ("-$miss", "-"),
        ("!$miss", "false"),
        ("size($miss)", "0"),
        ("$miss.size()", "0"),
        ("$miss in ['x']", "false"),
        ("'x' in $miss", "false"),
        ("$miss.contains('x')", "false"),
        ("$text.contains($miss)", "false"),
        ("$miss.startsWith('x')", "false"),
        ("$miss.exists(x, true)", "false"),
        ("$miss.all(x, true)", "false"),
        ("$miss.exists_one(x, true)", "false"),
        ("$miss.map(x, x)", "-"),
        ("size($miss.filter(x, true))", "0"),
        ("$miss.a.b", "-"),
        ("$miss[0]", "-"),
        ("$nil.a", "-"),
        ("$text.a", "-"),
        ("$list.a", "-"),
        ("$list[9]", "-"),
        ("$list[0 - 1]", "-"),
        ("$list[0.5]", "-"),
        ("$map['z']", "-"),
        ("lowercase($miss)", "-"),
        ("date($miss) == null", "true"),
        ("has($miss)", "false"),
        ("has($nil)", "true"),
        ("has($deep.er.est)", "true"),
        ("has($deep.er.miss)", "false"),
    ]);
}

/// An explicit null in an ordering stands for the other side's zero, as in the reference.
#[test]
fn an_explicit_null_is_the_zero_of_what_it_is_compared_with() {
    check(&[
        ("null == 'x'", "false"),
        ("null != 'x'", "true"),
        ("null == null", "true"),
        ("$nil == null", "true"),
        ("null < 5", "true"),
        ("null > 0", "false"),
        ("null <= 0", "true"),
        ("0 > $nil", "false"),
        ("'foo' < null", "false"),
        ("$nil < 'foo'", "true"),
        ("null < null", "false"),
        ("$nil < $yes", "false"),
    ]);
}

#[test]
fn or_and_and_take_any_value_as_the_reference_does() {
    check(&[
        ("$miss || $text", "foo"),
        ("$empty || $zero || $five", "5"),
        ("$miss || $empty", ""),
        ("$text || $five", "foo"),
        ("$text && $five", "5"),
        ("$text && $miss", "-"),
        ("$empty && $five", ""),
        ("$none || $text", "[]"),
        ("$bare && $text", "foo"),
        ("$yes || $no", "true"),
        ("$yes && $no", "false"),
        ("$miss ? 'a' : 'b'", "b"),
        ("$none ? 'a' : 'b'", "a"),
        ("$zero ? 'a' : 'b'", "b"),
        ("$text ? 'a' : 'b'", "a"),
        ("$text < 1 || $yes", "true"), // unlike kinds are in no order
        ("$text - 1 == 0 || $yes", "true"), // an error on the left of what decides
        ("$yes || $text - 1 == 0", "true"),
        ("$text - 1 == 0 && $no", "false"),
        ("$text - 1 == 0 || $no", "-"),
        ("$text - 1 == 0 && $yes", "-"),
    ]);
}

#[test]
fn a_boolean_position_takes_only_true() {
    let matches =
        |text: &str| compiled(&text.replace('$', "event.data.")).matches(&given(DATA.as_bytes()));
    for text in
        ["$yes", "true", "$one == 1", "!$no", "$text == async.data.text", "$yes && $miss == null"]
    {
        assert!(matches(text), "{text}");
    }
    for text in
        ["$no", "$miss", "$nil", "$one", "$text", "$list", "$text - 1", "!$text", "$yes && $text"]
    {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn equality_is_by_value_and_never_an_error() {
    check(&[
        ("$one == $whole", "true"),
        ("$one == 1.0", "true"),
        ("$digit == $five", "false"),
        ("$five == '5'", "false"),
        ("$large == 18446744073709551615u", "true"),
        ("$large == 18446744073709551615.0", "false"),
        ("$list == [1.0, 'x', null, 2]", "true"),
        ("$list == [1, 'x', null]", "false"),
        ("$map == {'a': [true, {'k': 'v'}], 'b': 1}", "true"),
        ("{'a': 1, 'a': 2} == {'a': 2}", "true"),
        ("$map == $map", "true"),
        ("$map == $bare", "false"),
        ("$list == $map", "false"),
        ("$none == $bare", "false"),
        ("$text == 'foo'", "true"),
        ("$text < 'goo'", "true"),
        ("$no < $yes", "true"),
        ("$list < $map", "false"),
        ("$twice", "{\"x\":2}"),
        ("$twice.x", "2"),
        ("1 in $list", "true"),
        ("null in $list", "true"),
        ("3 in $list", "false"),
        ("'a' in $map", "true"),
        ("'z' in $map", "false"),
        ("1 in $map", "false"),
        ("'f' in $text", "-"),
    ]);
}

/// The reference's 9.4, as we decided: lists and maps are compact JSON, and missing is a value of its own.
#[test]
fn keys_are_what_people_would_write() {
    check(&[
        ("$text", "foo"),
        ("$empty", ""),
        ("$one", "1"),
        ("$whole", "1"),
        ("$half", "0.5"),
        ("$huge", "1e+21"),
        ("$large", "18446744073709551615"),
        ("$yes", "true"),
        ("$no", "false"),
        ("$nil", "-"),
        ("$miss", "-"),
        ("$note", "line\none \"two\" ü"),
        ("$list", "[1,\"x\",null,2]"),
        ("$map", "{\"a\":[true,{\"k\":\"v\"}],\"b\":1}"),
        ("$bare", "{}"),
        ("[$miss, $note]", "[null,\"line\\none \\\"two\\\" ü\"]"),
        ("$text + '-' + $five", "foo-5"),
        ("$text + $list", "foo[1,\"x\",null,2]"),
        ("$yes + $text", "truefoo"),
        ("string($five) + string($yes)", "5true"),
        ("$list + $none", "[1,\"x\",null,2]"),
        ("event.id", "01EV"),
        ("event.name", "shop/order.placed"),
        ("event.ts", "1709208000000"),
        ("event.v", "v2"),
        ("event.user.id", "u1"),
        ("event.name.first", "-"),
        ("async.data.id", "o1"),
        ("event['data'].text", "foo"),
        ("event.data[\"größe\"]", "3"),
        ("event.data['a b']['c.d']", "7"),
        ("$deep.er.est.id + $deep.er.est['i' + 'd']", "dd"),
        ("$deep.er", "{\"est\":{\"id\":\"d\"}}"),
        ("$digit == string($five)", "true"),
    ]);
    assert_eq!(key("$digit"), key("$five"), "a text and a number that look the same");
}

#[test]
fn numbers_are_calculated_without_wrapping() {
    check(&[
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 % 4", "3"),
        ("7 / 2.0", "3.5"),
        ("$one + $half", "1.5"),
        ("2 + 3 * 4 - 1", "13"),
        ("(2 + 3) * 4", "20"),
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("$large + 1", "-"),
        ("1 / 0", "-"),
        ("1 / 0.0", "-"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("int('12') + int(2.9) + int(-2.9)", "12"),
        ("double(1) / 2", "0.5"),
        ("bool('true')", "true"),
        ("int($text)", "-"),
        ("0x1F", "31"),
        ("- -1", "1"),
        ("true ? 1 : 1 / 0", "1"),
        ("1 < 2 ? 2 < 1 ? 'a' : 'b' : 'c'", "b"),
    ]);
}

#[test]
fn functions_do_what_the_reference_does() {
    check(&[
        ("lowercase($email)", "ada@example.com"),
        ("uppercase('straße')", "STRASSE"),
        ("lowercase($five)", "-"),
        ("size('größe')", "5"),
        ("size($list) + size($map) + $list.size()", "10"),
        ("$email.contains('@') && $email.startsWith('Ada') && $email.endsWith('.COM')", "true"),
        ("$list.contains('x')", "-"),
        ("json_parse(b64decode($b64)).kind", "vip"),
        ("json_parse($embedded).s", "q\"q"),
        ("json_parse($embedded)", "{\"kind\":\"vip\",\"s\":\"q\\\"q\"}"),
        ("json_parse('[1]')", "-"),
        ("json_parse('{')", "-"),
        ("b64decode('%')", "-"),
        ("now()", "2024-02-29T12:00:00Z"),
        ("now_plus('1h30m')", "2024-02-29T13:30:00Z"),
        ("now_minus('7d')", "2024-02-22T12:00:00Z"),
        ("now_plus($text)", "-"),
        ("date('2024-02-29') < now()", "true"),
        ("date($at) > now() && date($at) < now_plus('1d')", "true"),
        ("date($ms) == now() && date(event.ts) == date('2024-02-29T12:00:00Z')", "true"),
        ("date(1709208000) == now()", "true"),
        ("date(5)", "-"),
        ("date($text)", "-"),
        ("now() < $five", "false"),
    ]);
}

#[test]
fn macros_walk_over_lists_and_keys() {
    check(&[
        ("$items.exists(i, i.sku == 'b')", "true"),
        ("$items.exists(i, i.sku == 'z')", "false"),
        ("$items.all(i, has(i.sku))", "true"),
        ("$items.all(i, i.n > 1)", "false"),
        ("$items.exists_one(i, i.n == 5)", "true"),
        ("$items.map(i, i.sku)", "[\"a\",\"b\",\"c\"]"),
        ("$items.map(i, i.n > 2, i.sku)", "[\"b\"]"),
        ("$items.filter(i, i.n < 3).map(i, i.sku)", "[\"a\"]"),
        ("$items.map(i, i.n)", "[2,5,null]"),
        ("$map.all(k, k in ['a', 'b'])", "true"),
        ("$none.all(x, false)", "true"),
        ("$items.map(i, $items.filter(j, j.sku == i.sku).size())", "[1,1,1]"),
        ("$items.exists(i, i.sku - 1 == 0)", "-"),
        ("$items.exists(i, i.sku - 1 == 0 || i.sku == 'c')", "true"),
        ("$items.exists(i, i.sku)", "-"),
        ("$text.exists(c, true)", "-"),
        ("$items[1].sku + $items[0]['sku']", "ba"),
        ("[[1, 2], [3]].exists(l, l.exists(n, n == 3))", "true"),
    ]);
}

#[test]
fn a_priority_is_any_number_cut_off_at_its_fraction() {
    let number =
        |text: &str| compiled(&text.replace('$', "event.data.")).number(&given(DATA.as_bytes()));
    let rows = [
        ("$five", Some(5)),
        ("-1.9", Some(-1)),
        ("$half", Some(0)),
        ("$huge", Some(i64::MAX)),
        ("-$huge", Some(i64::MIN)),
        ("$large", Some(i64::MAX)),
        ("$yes ? 120 : 0", Some(120)),
        ("$miss", None),
        ("$nil", None),
        ("$text", None),
        ("$yes", None),
        ("1 / 0", None),
    ];
    for (text, expected) in rows {
        assert_eq!(number(text), expected, "{text}");
    }
}

#[test]
fn data_that_is_no_json_gives_nothing() {
    let wrong: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"\"x\"",
        b"{\"text\"}",
        b"{\"text\":}",
        b"{\"text\":tru}",
        b"\xff",
        b"{]",
    ];
    for data in wrong {
        assert_eq!(compiled("event.data.text").key(&given(data)), Key::Missing, "{data:?}");
        assert!(!compiled("event.data.a.b == 1 || event.data.a != 1").matches(&given(b"{\"a\":1")));
    }
    let alone = Given { other: None, ..given(DATA.as_bytes()) };
    assert!(compiled("async.data.x == null && async.name == null").matches(&alone));
}
