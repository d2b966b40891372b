//! Texts and events made to cost much: for the tests of the budget, and for the bench that measures it.

/// A text and an event's data that are hard to evaluate, with their name.
#[derive(Debug)]
pub(crate) struct Bomb {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) data: String,
}

const MEGABYTE: usize = 1024 * 1024;

fn bomb(name: &'static str, text: impl Into<String>, data: impl Into<String>) -> Bomb {
    Bomb { name, text: text.into(), data: data.into() }
}

fn field(name: &str, json: &str) -> String {
    format!("{{\"{name}\":{json}}}")
}

fn list(element: &str, count: usize) -> String {
    format!("[{}]", vec![element; count].join(","))
}

/// All of them.
pub(crate) fn bombs() -> Vec<Bomb> {
    let mut all = loops();
    all.extend(texts());
    all.extend(documents());
    all
}

fn loops() -> Vec<Bomb> {
    let thousand = field("l", &list("1", 1_000));
    let nest = (0..8).fold("x7 == -1".to_owned(), |body, depth| {
        let name = 7 - depth;
        format!("event.data.l.exists(x{name}, {body})")
    });
    let maps = (0..5).fold("event.data.l".to_owned(), |of, _| format!("{of}.map(x, [x, x])"));
    let ten = "[1,1,1,1,1,1,1,1,1,1]";
    let made = (0..6).fold("1".to_owned(), |body, depth| format!("{ten}.map(x{depth}, {body})"));
    vec![
        bomb("macros in macros", nest, thousand.clone()),
        bomb("lists doubled", maps, thousand.clone()),
        bomb("a million made", made, "{}"),
        bomb("map over filter", "event.data.l.map(x, event.data.l.filter(y, y == x))", thousand),
        bomb(
            "dates in a loop",
            "event.data.l.exists(x, date('Thu, 29 Feb 2024 12:00:00 GMT') == x || date(x) == x)",
            field("l", &list("\"2024-02-29T12:00:00.123456+01:00\"", 5_000)),
        ),
        bomb(
            "durations in a loop",
            "event.data.l.exists(x, now_plus('1h30m') == x)",
            field("l", &list("1", 9_000)),
        ),
        bomb(
            "numbers written in a loop",
            "event.data.l.exists(x, string(x) == '' || string(now()) == x)",
            field("l", &list("1.2345678901234567e-300", 9_000)),
        ),
        bomb("a huge list", "event.data.l.exists(x, x == 2)", field("l", &list("1", 2 * MEGABYTE))),
        bomb("in a huge list", "2 in event.data.l", field("l", &list("1", 2 * MEGABYTE))),
        bomb(
            "a list just small enough",
            "event.data.l.all(x, x >= 1)",
            field("l", &list("1", 10_000)),
        ),
        bomb(
            "long conditions",
            vec!["event.data.l.exists(x, x == 2)"; 400].join(" || "),
            field("l", &list("1", 1_000)),
        ),
    ]
}

fn texts() -> Vec<Bomb> {
    let long = "a".repeat(MEGABYTE);
    let data =
        format!("{{\"s\":\"{long}\",\"t\":\"{long}\",\"e\":\"{}\"}}", "\\n".repeat(MEGABYTE));
    let plus = "event.data.s + event.data.s".to_owned();
    let letters = field("s", &format!("\"{}\"", "ß".repeat(100_000)));
    vec![
        bomb(
            "text doubling",
            format!("['aaaaaaaa']{}", ".map(a, a+a+a+a+a+a+a+a)".repeat(6)),
            "{}",
        ),
        bomb("long texts joined", plus, data.clone()),
        bomb(
            "long texts compared",
            vec!["event.data.s == event.data.t"; 500].join(" && "),
            data.clone(),
        ),
        bomb(
            "a long text searched",
            vec!["event.data.s.contains('aaaaaaaaaaaaaaab')"; 300].join(" || "),
            data.clone(),
        ),
        bomb("many escapes", "event.data.e == 'x'", data),
        bomb(
            "letters that grow",
            vec!["size(uppercase(event.data.s)) < 1"; 400].join(" || "),
            letters,
        ),
        bomb(
            "numbers of many digits",
            "event.data.l.all(x, x > 0)",
            field("l", &list(&"9".repeat(400), 5_000)),
        ),
    ]
}

fn documents() -> Vec<Bomb> {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let maps = format!("{}1{}", "{\"a\":".repeat(300_000), "}".repeat(300_000));
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"k{key}\":{key}")).collect();
    let twice = vec!["\"a\":{\"b\":1}"; 300_000].join(",");
    let sorted: Vec<String> =
        (0..4_000).map(|key| format!("\"{}{key}\":1", "k".repeat(500))).collect();
    let inner = field("a", &list("1", 100_000)).replace('"', "\\\"");
    let pairs = list("[]", MEGABYTE);
    vec![
        bomb(
            "deep lists compared",
            "event.data.x == event.data.y",
            format!("{{\"x\":{deep},\"y\":{deep}}}"),
        ),
        bomb("deep maps as a key", "event.data.x", field("x", &maps)),
        bomb("a deep path", format!("event.data{} == 1", ".a".repeat(31)), maps),
        bomb("many keys", "event.data.k199999 == 1", format!("{{{}}}", keys.join(","))),
        bomb(
            "many keys opened",
            "event.data.m == event.data.m",
            field("m", &format!("{{{}}}", keys.join(","))),
        ),
        bomb("one key many times", "event.data.a.b == 1", format!("{{{twice}}}")),
        bomb(
            "long keys sorted",
            "event.data.m == 1 || event.data.m == {'a': 1}",
            field("m", &format!("{{{}}}", sorted.join(","))),
        ),
        bomb(
            "json_parse again and again",
            vec!["size(json_parse(event.data.s).a) < 1"; 300].join(" || "),
            field("s", &format!("\"{inner}\"")),
        ),
        bomb(
            "json_parse of brackets",
            "json_parse(event.data.s).a == 1",
            field("s", &format!("\"{deep}\"")),
        ),
        bomb(
            "b64decode",
            vec!["size(b64decode(event.data.s)) < 1"; 300].join(" || "),
            field("s", &format!("\"{}\"", "YWFh".repeat(50_000))),
        ),
        bomb(
            "a large event",
            "event.data.z == 1 || async.data.z == 1",
            field("x", &list(&pairs, 1)),
        ),
        bomb("a large list as a key", "event.data.l", field("l", &list("1.5", MEGABYTE / 4))),
        bomb(
            "a list opened in a loop",
            "event.data.l.exists(x, event.data.l[999] == x + 1)",
            field("l", &list("1", 1_000)),
        ),
        bomb(
            "a map opened in a loop",
            "event.data.l.exists(x, event.data.m.z == x)",
            format!(
                "{{\"l\":{},\"m\":{{{}}}}}",
                list("1", 1_000),
                keys.get(..1_000).unwrap_or_default().join(",")
            ),
        ),
    ]
}
