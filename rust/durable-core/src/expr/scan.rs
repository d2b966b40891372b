//! Walks over JSON text without reading what nobody asks for.
//!
//! `serde_json` was measured in its place: passing over 4 MiB takes it up to 8 ms, this 4 ms, and where a
//! text stands in the place of an object it sets memory aside for all of the text. What this walks over was
//! read by a real parser before (events when they came, `json_parse` before it goes on), so it checks no
//! more than it needs to stay on the way; on anything else it ends with an error or says what it finds.

use super::budget::{Budget, Stop};
use super::program::Tree;

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Scan<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Scan<'j> {
    pub(super) fn new(json: &'j str) -> Self {
        Self { json, at: 0 }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let blanks = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.at = self.at.saturating_add(blanks);
        rest.get(blanks).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at = self.at.saturating_add(usize::from(is_next));
        is_next
    }

    /// Passes over one value, and gives its text.
    pub(super) fn value(&mut self) -> Result<&'j str, Stop> {
        let first = self.peek().ok_or(Stop::Error)?;
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        let length = match first {
            b'"' => text_length(rest),
            b'{' | b'[' => nest_length(rest),
            b',' | b':' | b'}' | b']' => None,
            _ => Some(rest.iter().position(|byte| ends_word(*byte)).unwrap_or(rest.len())),
        };
        let start = self.at;
        self.at = start.saturating_add(length.ok_or(Stop::Error)?);
        self.json.get(start..self.at).ok_or(Stop::Error)
    }

    /// Calls `each` with each element of an array.
    pub(super) fn elements(
        mut self,
        mut each: impl FnMut(&'j str) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.take(b'[') {
            return Err(Stop::Error);
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self.value()?)?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Stop::Error);
            }
        }
    }

    /// Calls `each` with each key of an object, in quotes, and with this, which stands before its value.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&'j str, &mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.take(b'{') {
            return Err(Stop::Error);
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.value()?;
            if !key.starts_with('"') || !self.take(b':') {
                return Err(Stop::Error);
            }
            each(key, self)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Stop::Error);
            }
        }
    }

    /// Puts the JSON of each path of `tree` into `found`, all in one pass. Of a key that stands twice the last
    /// one counts, as it does for the handler that reads the same event.
    pub(super) fn look(
        &mut self,
        tree: &Tree,
        found: &mut [Option<&'j str>],
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        if let Some(place) = tree.path.and_then(|path| found.get_mut(path)) {
            *place = Some(self.value()?);
            return Ok(());
        }
        if self.peek() != Some(b'{') {
            self.value()?;
            return Ok(());
        }
        self.members(|key, scan| {
            budget.visit(1)?;
            let child = match plain(key) {
                Some(name) => tree.child(name),
                None => tree.child(&unescape(key, budget)?),
            };
            let Some(child) = child else { return scan.value().map(|_| ()) };
            child.forget(found, budget)?;
            scan.look(child, found, budget)
        })
    }
}

impl Tree {
    fn forget(&self, found: &mut [Option<&str>], budget: &mut Budget) -> Result<(), Stop> {
        budget.visit(1)?;
        if let Some(place) = self.path.and_then(|path| found.get_mut(path)) {
            *place = None;
        }
        self.children.iter().try_for_each(|(_, child)| child.forget(found, budget))
    }
}

/// A JSON text without its quotes, where it stands as it is.
pub(super) fn plain(quoted: &str) -> Option<&str> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

/// A JSON text without its quotes and backslashes.
pub(super) fn unescape(quoted: &str, budget: &mut Budget) -> Result<String, Stop> {
    budget.read(quoted.len())?;
    budget.keep(quoted.len().saturating_mul(4))?; // it grows, is copied, and is copied by the caller
    serde_json::from_str(quoted).or(Err(Stop::Error))
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace()
}

/// How many bytes the text takes that begins with this quote, both quotes counted.
fn text_length(quoted: &[u8]) -> Option<usize> {
    let text = quoted.get(1..)?;
    let plain = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text.get(plain) == Some(&b'"') {
        return plain.checked_add(2);
    }
    let mut is_escaped = false;
    let inner = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    inner.checked_add(2)
}

/// How many bytes the array or object takes that begins here.
fn nest_length(nest: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    loop {
        match nest.get(at)? {
            b'"' => at = at.checked_add(text_length(nest.get(at..)?)?)?,
            b'{' | b'[' => {
                depth = depth.wrapping_add(1);
                at = at.wrapping_add(1);
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at = at.wrapping_add(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at = at.wrapping_add(1),
        }
    }
}
