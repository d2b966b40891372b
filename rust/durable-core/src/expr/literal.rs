//! Numbers and texts as they are written in an expression.

use super::number::Number;

/// What is wrong in a literal, in bytes from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: &'static str,
}

const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// Whether a text begins here: a quote, with `r` before it where backslashes are to stay.
pub(super) fn begins_text(rest: &str) -> bool {
    let unprefixed = rest.trim_start_matches(['r', 'R', 'b', 'B']);
    rest.len().saturating_sub(unprefixed.len()) <= 2 && unprefixed.starts_with(['"', '\''])
}

/// The text that begins here, and how many bytes it takes with its quotes.
pub(super) fn text(rest: &str) -> Result<(Box<str>, usize), Slip> {
    let unprefixed = rest.trim_start_matches(['r', 'R', 'b', 'B']);
    let prefix_length = rest.len().saturating_sub(unprefixed.len());
    let prefix = rest.get(..prefix_length).unwrap_or_default();
    if !matches!(prefix, "" | "r" | "R") {
        return Err(Slip {
            from: 0,
            to: prefix_length,
            message: "bytes are no value here: write a text",
        });
    }
    let quote = QUOTES.into_iter().find(|quote| unprefixed.starts_with(quote)).unwrap_or("'");
    let start = prefix_length.saturating_add(quote.len());
    let mut reader = Reader { rest, at: start, made: String::new() };
    while !reader.ahead().starts_with(quote) {
        let letter = reader.letter().filter(|letter| quote.len() > 1 || *letter != '\n');
        match letter {
            None => {
                return Err(Slip {
                    from: 0,
                    to: start,
                    message: "this text has no end: a quote is missing",
                });
            }
            Some('\\') if prefix.is_empty() => reader.escape()?,
            Some(letter) => reader.made.push(letter),
        }
    }
    let end = reader.at.saturating_add(quote.len());
    Ok((reader.made.into_boxed_str(), end))
}

struct Reader<'t> {
    rest: &'t str,
    at: usize,
    made: String,
}

impl<'t> Reader<'t> {
    fn ahead(&self) -> &'t str {
        self.rest.get(self.at..).unwrap_or_default()
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.ahead().chars().next()?;
        self.at = self.at.saturating_add(letter.len_utf8());
        Some(letter)
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<(), Slip> {
        let from = self.at.saturating_sub(1);
        let letter = self.letter();
        let made = match letter {
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            Some(same @ ('\\' | '\'' | '"' | '`' | '?')) => Some(same),
            Some('x' | 'X') => self.code(2, 16),
            Some('u') => self.code(4, 16),
            Some('U') => self.code(8, 16),
            Some('0'..='3') => {
                self.at = self.at.saturating_sub(1);
                self.code(3, 8)
            }
            _ => None,
        };
        let message = "this escape is unknown: a backslash itself is written \\\\";
        let made = made.ok_or(Slip { from, to: self.at, message })?;
        self.made.push(made);
        Ok(())
    }

    fn code(&mut self, digits: usize, base: u32) -> Option<char> {
        let code = self.ahead().get(..digits)?;
        let is_plain = code.chars().all(|digit| digit.is_digit(base));
        self.at = self.at.saturating_add(if is_plain { digits } else { 0 });
        if is_plain { char::from_u32(u32::from_str_radix(code, base).ok()?) } else { None }
    }
}

/// `12`, `0x1F`, `12u`, `1.5`, `.5`, `1e3`.
pub(super) fn number(written: &str) -> Option<Number> {
    let unmarked = written.strip_suffix(['u', 'U']);
    let digits = unmarked.unwrap_or(written);
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let is_plain = hexadecimal.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u64::from_str_radix(hexadecimal, 16).ok().filter(|_| is_plain)?;
        return Number::whole(i128::from(number));
    }
    let is_whole = digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_whole {
        return digits.parse().ok().and_then(Number::whole);
    }
    if unmarked.is_some() { None } else { Number::parse(digits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_in_all_their_forms() {
        let rows = [
            ("'a' rest", "a"),
            ("\"it's\"", "it's"),
            (r"'\n\t\\\'\x41\u00e9\U0001F600\101'", "\n\t\\'A\u{e9}\u{1F600}A"),
            (r"r'\n'", r"\n"),
            ("'''a\n'b'\n'''", "a\n'b'\n"),
            ("''", ""),
            ("'größe'", "größe"),
        ];
        for (written, expected) in rows {
            assert_eq!(text(written).map(|(text, _)| text.into_string()), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_in_a_text_has_its_place() {
        let rows = [
            ("'abc", (0, 1)),
            ("'a\nb'", (0, 1)),
            (r"'a\qb'", (2, 4)),
            (r"'\ud800'", (1, 7)),
            (r"'\x4é'", (1, 3)),
            ("b'a'", (0, 1)),
            (r"'\", (1, 2)),
        ];
        for (written, place) in rows {
            let slip = text(written).expect_err(written);
            assert_eq!((slip.from, slip.to), place, "{written}");
        }
    }

    #[test]
    fn numbers_are_read_in_all_their_forms() {
        let rows = [
            ("12", Some("12")),
            ("0x1F", Some("31")),
            ("12u", Some("12")),
            ("1.5", Some("1.5")),
            (".5", Some("0.5")),
            ("1e3", Some("1000")),
            ("18446744073709551615u", Some("18446744073709551615")),
            ("18446744073709551616", None),
            ("1e999", None),
            ("1.5u", None),
            ("12abc", None),
            ("0x", None),
            ("0x+1", None),
            ("1_000", None),
            ("1.2.3", None),
        ];
        for (written, expected) in rows {
            let shown = number(written).map(Number::show);
            assert_eq!(shown.as_deref(), expected, "{written}");
        }
    }
}
