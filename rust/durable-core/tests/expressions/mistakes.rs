//! What is wrong in a text is found at compile time, with its place; and what a text reads is told.

use durable_core::{Expression, Mistake, Scope};

fn mistake(text: &str) -> Mistake {
    match Expression::compile(text, Scope::Event) {
        Ok(_) => panic!("{text} compiles"),
        Err(mistake) => mistake,
    }
}

/// The text with `[` and `]` around the mistake's place; and a word of the message.
#[test]
fn mistakes_have_their_place_and_say_what_would_do() {
    let rows = [
        ("[]", "is empty"),
        ("   []", "is empty"),
        ("event.data.x ==[]", "a value is missing at the end"),
        ("event.data.x [=] 1", "write =="),
        ("event.data.x == 1 [&] true", "write &&"),
        ("event.data.x == 1 [and] true", "write &&"),
        ("event.data.x == 1 [or] true", "write ||"),
        ("[not] event.data.x", "write !"),
        ("[evnt].data.x == 1", "there is 'event'"),
        ("event.data.x == [vip]", "in quotes"),
        ("[async].data.x == 1", "one event waits for another"),
        ("[event.customer_id] == 1", "event.data.customer_id"),
        ("[event] == 1", "id, name, data, ts, user, v"),
        ("event.data.x == 1 || [\"vip\"]", "takes true or false here, not a text"),
        ("[1] && event.data.x", "not a number"),
        ("![\"x\"]", "not a text"),
        ("[1 + 2] ? 1 : 2", "not a number"),
        ("[1 < 2] < 3", "two values at a time"),
        ("1 < [\"x\"]", "a number and a text are in no order"),
        ("[[1]] < 3", "in no order"),
        ("1 in [\"abc\"]", "a list or a map here, not a text"),
        ("[\"a\"] - 1", "takes a number here"),
        ("[true + 1]", "cannot join"),
        ("[lower](event.data.x)", "there are size, contains"),
        ("lowercase[(event.data.x, 1)]", "takes 1 in parentheses, not 2"),
        ("now[(1)]", "takes 0"),
        ("lowercase([5])", "takes a text here"),
        ("event.data.x.[lowercase]()", "is written lowercase(text)"),
        ("[contains](event.data.x, 'y')", "is written text.contains(part)"),
        ("event.data.x.[matches]('a+')", "there is no function 'matches'"),
        ("now_plus([\"5 parsecs\"])", "30s"),
        ("date([\"tomorrow\"])", "2024-02-29"),
        ("has([1])", "takes a field"),
        ("event.data.items.exists([event], true)", "choose another name"),
        ("event.data.items.exists(i[)]", "after the name"),
        ("event.data.items.exists(i, [i.n + 'x'])", "true or false"),
        ("['abc'].exists(i, true)", "walks over a list"),
        ("event.data.x == [']abc", "has no end"),
        ("event.data.x == 'a[\\q]b'", "written \\\\"),
        ("event.data.x == [12abc]", "is not a number"),
        ("event.data.x [#] 1", "cannot stand here"),
        ("event.data.gr[ö]ße == 1", "in brackets and quotes"),
        ("(event.data.x[]", "to close the parenthesis"),
        ("event.data.x[)]", "cannot stand here"),
        ("event.data.[+] 1", "a name is missing after the dot"),
        ("{[1]: 2} == event.data", "takes a text here"),
    ];
    for (marked, words) in rows {
        let (text, start, length) = place(marked).expect("a mark");
        let found = mistake(&text);
        let shown = format!("{text}\n{found}\n{found:?}");
        assert!(found.message.contains(words), "{shown}");
        assert_eq!((found.at, found.length), (start, length), "{shown}");
    }
}

/// The text without its first pair of brackets, where the place begins, and how long it is.
fn place(marked: &str) -> Option<(String, usize, usize)> {
    let start = marked.find('[')?;
    let mut depth = 0_usize;
    let length = marked.get(start..)?.bytes().position(|byte| {
        depth = match byte {
            b'[' => depth + 1,
            b']' => depth - 1,
            _ => depth,
        };
        depth == 0
    })?;
    let inner = marked.get(start + 1..start + length)?;
    let after = marked.get(start + length + 1..)?;
    Some((format!("{}{inner}{after}", marked.get(..start)?), start, inner.len()))
}

#[test]
fn a_mistake_is_shown_with_carets_under_its_place() {
    let shown = mistake("event.data['größe'] > 'ä' && evnt.id == 1").to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1], "  event.data['größe'] > 'ä' && evnt.id == 1");
    let column = lines[1]
        .chars()
        .collect::<Vec<_>>()
        .windows(4)
        .position(|word| word == ['e', 'v', 'n', 't']);
    assert_eq!(lines[2].find('^'), column);
    assert!(lines[2].ends_with(" ^^^^"));
}

#[test]
fn texts_that_are_too_long_or_too_deep_are_refused() {
    let long = format!("event.data.x == '{}'", "a".repeat(16 * 1024));
    assert!(mistake(&long).message.contains("16384"));
    let nests = [
        format!("{}1{}", "(".repeat(33), ")".repeat(33)),
        format!("{}event.data.x", "!".repeat(33)),
        format!("{}1{}", "[".repeat(40), "]".repeat(40)),
        format!("1{}", " + 1".repeat(40)),
        format!("[1]{}", "[0]".repeat(40)),
        format!("event.data{}", ".a".repeat(40)),
        "true ? 1 : ".repeat(40) + "1",
        "(".repeat(8_000),
        "!".repeat(8_000),
        "[".repeat(8_000),
        "{'a':".repeat(3_000),
        "1 + (".repeat(3_000),
        "lowercase(".repeat(1_500),
        "event.data.x.map(a, ".repeat(500),
    ];
    for text in nests {
        let message = mistake(&text).message;
        assert!(
            message.contains("deeper than 32") || message.contains("another name"),
            "{message}"
        );
    }
    let rows = [
        format!("{}1{}", "(".repeat(31), ")".repeat(31)),
        vec!["event.data.x == 1"; 500].join(" || "),
        format!("event.data.x in [{}]", vec!["'abcdef'"; 1_000].join(", ")),
    ];
    for text in rows {
        assert!(Expression::compile(&text, Scope::Event).is_ok(), "{text}");
    }
}

#[test]
fn macros_can_be_refused() {
    for text in ["has(event.data.x)", "event.data.l.exists(x, true)", "event.data.l.map(x, x)"] {
        assert!(Expression::compile(text, Scope::Event).is_ok());
        let mistake = Expression::compile_plain(text, Scope::Event).expect_err(text);
        assert!(mistake.message.contains("cannot be used here"), "{mistake}");
    }
    assert!(Expression::compile_plain("event.data.l.contains('x')", Scope::Event).is_ok());
}

#[test]
fn a_text_is_told_with_the_fields_it_reads() {
    let text = "event.data.a.b == async['data'][\"x y\"] && size(event.data.l[0].z) > event.ts || event.data.a.b";
    let expression = Expression::compile(text, Scope::EventAndAsync).expect("it compiles");
    assert_eq!(expression.text(), text);
    let paths = expression.paths();
    let shown: Vec<&str> = paths.iter().map(|path| path.path.as_str()).collect();
    assert_eq!(
        shown,
        ["event.data.a.b", "async.data[\"x y\"]", "event.data.l", "event.ts", "event.data.a.b"]
    );
    let cut: Vec<&str> = paths.iter().map(|path| &text[path.at..path.at + path.length]).collect();
    assert_eq!(
        cut,
        ["event.data.a.b", "async['data'][\"x y\"]", "event.data.l", "event.ts", "event.data.a.b"]
    );
}

#[test]
fn comments_and_lines_are_passed_over() {
    let text = "event.data.x == 1 // the first\n  && // and\n event.data.y == 2";
    assert!(Expression::compile(text, Scope::Event).is_ok());
}
