//! Values while an expression is evaluated: borrowed from the event and the text wherever they can be.

use std::ops::{Deref, Range};
use std::rc::Rc;

use super::number::Number;

/// What an expression comes to.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// No such field.
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    Moment(jiff::Timestamp),
    /// An array or an object that nobody has looked into yet: its JSON.
    Json(Text<'a>),
    List(Rc<[Self]>),
    /// Sorted by key, each key once.
    Map(Rc<[Member<'a>]>),
}

pub(super) type Member<'a> = (Text<'a>, Value<'a>);

impl Value<'_> {
    /// What `&&`, `||` and `?:` take for true.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Missing | Self::Null => false,
            Self::Bool(it) => *it,
            Self::Number(number) => !number.is_zero(),
            Self::Text(text) => !text.is_empty(),
            Self::Moment(_) | Self::Json(_) | Self::List(_) | Self::Map(_) => true,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(it) = self { Some(*it) } else { None }
    }

    /// How many elements or keys there are to walk over, in what is open.
    pub(super) fn len(&self) -> Option<usize> {
        if let Self::List(elements) = self {
            return Some(elements.len());
        }
        if let Self::Map(members) = self { Some(members.len()) } else { None }
    }
}

impl Value<'_> {
    /// The element or the key at this place.
    pub(super) fn element(&self, place: usize) -> Self {
        let element = if let Self::List(elements) = self {
            elements.get(place).cloned()
        } else if let Self::Map(members) = self {
            members.get(place).map(|(key, _)| Self::Text(key.clone()))
        } else {
            None
        };
        element.unwrap_or(Self::Missing)
    }
}

/// Text that is borrowed, or a piece of one that was made while evaluating.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>, Range<u32>),
}

impl Text<'_> {
    pub(super) fn shared(text: &str) -> Self {
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self::Shared(Rc::from(text), 0..end)
    }

    /// `part`, which is a piece of this text, without copying it.
    pub(super) fn piece(&self, part: &str) -> Self {
        let start = part.as_ptr().addr().saturating_sub(self.as_ptr().addr());
        let end = start.saturating_add(part.len());
        match self {
            Self::Borrowed(whole) => Self::Borrowed(whole.get(start..end).unwrap_or_default()),
            Self::Shared(whole, range) => {
                let from = |offset: usize| {
                    u32::try_from(offset).unwrap_or(u32::MAX).saturating_add(range.start)
                };
                Self::Shared(Rc::clone(whole), from(start)..from(end))
            }
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(whole, range) => {
                let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
                whole.get(place(range.start)..place(range.end)).unwrap_or_default()
            }
        }
    }
}
