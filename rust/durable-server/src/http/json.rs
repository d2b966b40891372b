//! JSON from outside, looked through before it is kept: what one reader takes and another refuses is refused here.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a list, or the only value; `Err` says why there are none.
pub(super) fn members(body: &[u8], most: usize) -> Result<Vec<&RawValue>, String> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let broken = |error: serde_json::Error| format!("the body is no JSON: {error}");
    if !is_list {
        return serde_json::from_slice(body).map(|one| vec![one]).map_err(broken);
    }
    let has_more = Cell::new(false);
    let mut reading = serde_json::Deserializer::from_slice(body);
    let read = reading.deserialize_seq(Members { most, has_more: &has_more });
    let read = read.and_then(|members| reading.end().map(|()| members));
    if has_more.get() {
        return Err(format!("a request has at most {most} events: send them in several"));
    }
    read.map_err(broken)
}

/// Stops at the first that is too many: the rest is not even looked at.
struct Members<'a> {
    most: usize,
    has_more: &'a Cell<bool>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(one) = given.next_element()? {
            if found.len() >= self.most {
                self.has_more.set(true);
                return Err(A::Error::custom("too many"));
            }
            found.push(one);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_while_they_are_read() {
        let texts = |body: &'static [u8]| -> Result<Vec<&str>, String> {
            Ok(members(body, 2)?.into_iter().map(RawValue::get).collect())
        };
        assert_eq!(texts(br#" [1, {"a":[2]}] "#), Ok(vec!["1", r#"{"a":[2]}"#]));
        assert_eq!(texts(b"{}"), Ok(vec!["{}"]));
        let wrong = |body| texts(body).unwrap_err();
        assert!(wrong(b"[1,2,3").contains("at most 2 events"), "and what follows is not read");
        assert!(wrong(b"[1,2").contains("no JSON") && wrong(b"[1] 2").contains("no JSON"));
        assert!(wrong(b"").contains("no JSON"));
    }
}
