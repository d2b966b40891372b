//! What the server says of itself, a line at a time: for people, or as JSON. Never what is in events, results or keys.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Map, Value};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// For people.
    Text,
    /// An object a line.
    Json,
    /// There are none.
    Off,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
}

impl Log {
    /// Says what happened, with what names it: ids, addresses, numbers.
    pub(crate) fn say(self, level: Level, what: &str, fields: &[(&str, String)]) {
        if self == Self::Off {
            return;
        }
        let line = self.line(level, what, fields);
        // Whoever does not read it does not want to know.
        let _written = writeln!(std::io::stderr().lock(), "{line}").is_ok();
    }

    fn line(self, level: Level, what: &str, fields: &[(&str, String)]) -> String {
        let word = match level {
            Level::Info => "info",
            Level::Warning => "warning",
        };
        if self == Self::Json {
            let mut object = Map::new();
            object.insert("level".to_owned(), word.into());
            object.insert("message".to_owned(), what.into());
            object.extend(
                fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))),
            );
            return Value::from(object).to_string();
        }
        let mut line = format!("{word}: {what}");
        for (name, value) in fields {
            // Writing into a text always succeeds.
            let _written = write!(line, "  {name}={value:?}").is_ok();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let fields = [("run", "01X".to_owned()), ("error", "a\n\"b\"".to_owned())];
        let text = Log::Text.line(Level::Warning, "a call failed", &fields);
        assert_eq!(text, r#"warning: a call failed  run="01X"  error="a\n\"b\"""#);
        let json = Log::Json.line(Level::Info, "a call failed", &fields);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&read["level"], &read["error"]), (&"info".into(), &"a\n\"b\"".into()));
        assert!(!json.contains('\n'));
    }
}
