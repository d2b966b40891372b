//! Expressions over events: the `if`, `key` and `priority` of a function's settings, and what a wait asks for.
//!
//! The language is CEL as users of the reference server know it: loosely typed, and a missing field is no
//! error. An expression is compiled once, where it is written, and every mistake that can be found is found
//! there, with its place. Evaluating is pure (the moment is an argument), reads of the event's JSON only the
//! paths that are named, and is bounded whatever the text and the event: see [`budget`].
//!
//! The parser is our own (`lex`, `parse`: a Pratt parser). The crate `cel` was looked at first, at 0.15: its
//! parser cannot be had without ANTLR's run time and its own interpreter (34 s and 27 crates of a clean build;
//! its Pratt parser is hidden from the documentation and brings the same), it writes macros out as loops at
//! parsing, which undoes what a cost limit and a mistake's place need, and its evaluator does not know the
//! reference's rules for missing fields.

mod anchor;
mod budget;
mod compare;
mod encoded;
mod evaluate;
mod function;
mod json;
mod known;
mod lex;
mod literal;
mod mistake;
mod moment;
mod number;
mod parse;
mod program;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;

use crate::time::Timestamp;
use evaluate::Evaluator;
use program::Program;

pub(crate) use anchor::{Anchor, Bound, Demand, Found};
pub use known::Known;
pub use mistake::Mistake;
pub use program::FieldPath;

/// The most bytes an expression's text may have.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// How deep an expression may nest, and how deep it looks into data.
const MAX_DEPTH: usize = 32;

/// A compiled expression. A clone is the same one.
#[derive(Clone)]
pub struct Expression(Arc<Program>);

/// Which variables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `event`.
    Event,
    /// `event`, which started the run, and `async`, which came later.
    EventAndAsync,
}

/// What an expression is evaluated on.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The variable `event`.
    pub event: EventView<'a>,
    /// The variable `async`.
    pub other: Option<EventView<'a>>,
    /// What `now()` says.
    pub now: Timestamp,
}

/// An event as an expression sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// `event.id`.
    pub id: &'a str,
    /// `event.name`.
    pub name: &'a str,
    /// `event.data`: a JSON object.
    pub data: &'a [u8],
    /// `event.ts`: milliseconds since the Unix epoch.
    pub ts_ms: u64,
    /// `event.user`: JSON.
    pub user: Option<&'a [u8]>,
    /// `event.v`.
    pub version: Option<&'a str>,
}

/// What a flow control key says of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A missing field, null, or an error.
    Missing,
    /// A text as it is, a number as people write it, `true` or `false`, a list or a map as compact JSON with
    /// sorted keys. A text and a number that look the same are the same key.
    Value(String),
}

impl Key {
    /// The value, where there is one.
    pub fn into_value(self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl Expression {
    /// Reads an expression, with all that can be known to be wrong in it.
    pub fn compile(text: &str, scope: Scope) -> Result<Self, Mistake> {
        Self::read(text, scope, true)
    }

    /// The same where macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`) are refused.
    pub fn compile_plain(text: &str, scope: Scope) -> Result<Self, Mistake> {
        Self::read(text, scope, false)
    }

    fn read(text: &str, scope: Scope, has_macros: bool) -> Result<Self, Mistake> {
        let program = parse::compile(text, scope, has_macros);
        program.map(|program| Self(Arc::new(program))).map_err(mistake::Found::into_mistake)
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Each field it reads, as often as the text names it, in the text's order.
    pub fn paths(&self) -> Vec<FieldPath> {
        self.0.fields.clone()
    }

    /// Whether it is true of `given`. Anything but `true` is not: no other value stands for it, nor an error.
    pub fn matches(&self, given: &Given<'_>) -> bool {
        Evaluator::new(&self.0, given).matches()
    }

    /// The key it gives `given`.
    pub fn key(&self, given: &Given<'_>) -> Key {
        Evaluator::new(&self.0, given).key()
    }

    /// The value it gives where it is to say as well whether something applies at all: `None` for a
    /// missing field, null, an error, and `false`.
    pub fn key_unless_false(&self, given: &Given<'_>) -> Option<String> {
        Evaluator::new(&self.0, given).key_unless_false()
    }

    /// The number it gives `given`, a fraction cut off, held within what an `i64` holds.
    pub fn number(&self, given: &Given<'_>) -> Option<i64> {
        Evaluator::new(&self.0, given).number()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.text).finish()
    }
}
