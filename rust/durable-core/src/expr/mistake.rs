//! What is wrong in an expression's text, or a cron's, and where.

use std::fmt;

/// Longer lines are not shown: nobody would find the place in them. (And a width of 64 Ki is more than `fmt` takes.)
const MOST_SHOWN: usize = 4_096;

/// Why a text is no expression, or no cron. Shown: the message, the line, and carets under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, and what would do.
    pub message: String,
    /// Where it is, in bytes from the text's beginning.
    pub at: usize,
    /// How many bytes it takes; 0 at the text's end.
    pub length: usize,
    text: String,
}

/// A mistake on its way up, a word on the stack of each function that hands it on: the parser calls itself.
#[derive(Debug)]
pub(super) struct Found(Box<Mistake>);

impl Found {
    pub(super) fn new(text: &str, (at, end): (usize, usize), message: impl Into<String>) -> Self {
        Self(Box::new(Mistake::new(text, (at, end), message)))
    }

    pub(super) fn into_mistake(self) -> Mistake {
        *self.0
    }
}

impl Mistake {
    /// A mistake between two places of a text.
    pub(crate) fn new(text: &str, (at, end): (usize, usize), message: impl Into<String>) -> Self {
        let length = end.saturating_sub(at);
        Self { message: message.into(), at, length, text: text.to_owned() }
    }

    /// The line with the place, and where in it the place begins, in bytes.
    fn line(&self) -> (&str, usize) {
        let before = self.text.get(..self.at).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        (line, self.at.saturating_sub(start))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line();
        if self.text.is_empty() || line.len() > MOST_SHOWN {
            return f.write_str(&self.message);
        }
        let (before, rest) = line.split_at_checked(column).unwrap_or((line, ""));
        let marked = rest.get(..self.length).unwrap_or(rest).chars().count().max(1);
        let indent = before.chars().count();
        write!(f, "{}\n  {line}\n  {:indent$}{:^<marked$}", self.message, "", "")
    }
}

impl std::error::Error for Mistake {}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str, place: (usize, usize), message: &str) -> Mistake {
        Found::new(text, place, message).into_mistake()
    }

    #[test]
    fn carets_stand_under_the_place_whatever_stands_before_it() {
        let mistake = made("größe &\n 'ü' = 1", (16, 17), "write ==");
        assert_eq!(mistake.to_string(), "write ==\n   'ü' = 1\n       ^");
        let mistake = made("a &&", (4, 4), "a value is missing");
        assert_eq!(mistake.to_string(), "a value is missing\n  a &&\n      ^");
        let mistake = made("evnt.id", (0, 4), "unknown");
        assert_eq!(mistake.to_string(), "unknown\n  evnt.id\n  ^^^^");
    }

    #[test]
    fn the_place_is_shown_but_not_in_a_line_without_end() {
        let mistake =
            |text: &str, at: usize| Mistake::new(text, (at, text.len()), "no").to_string();
        assert_eq!(mistake("a b", 2), "no\n  a b\n    ^");
        let long = "x".repeat(70_000);
        assert_eq!((mistake(&long, 0), mistake(&long, 69_999)), ("no".to_owned(), "no".to_owned()));
        assert_eq!(mistake("", 0), "no");
    }
}
