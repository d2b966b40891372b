//! JSON from outside, looked through before it is kept: what one reader takes and another refuses is refused here.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
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

/// Why not everybody can read this JSON: a number beyond what floats hold, half a character, nesting.
pub(super) fn refusal(json: &str) -> Option<String> {
    serde_json::from_str::<Looked>(json).err().map(|error| error.to_string())
}

/// A value of which nothing is kept.
struct Looked;

impl<'de> Deserialize<'de> for Looked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Looked {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Self, A::Error> {
        while given.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Self, A::Error> {
        while given.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
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

    #[test]
    fn what_some_cannot_read_is_refused() {
        for fine in [r#"{"a":[1,-2,1.5e300,null,true,"\ud83d\ude00"]}"#, "0", "[]"] {
            assert_eq!(refusal(fine), None, "{fine}");
        }
        let deep = "[".repeat(1_000);
        for wrong in [r#"{"a":1e999}"#, r#"["\ud800"]"#, r#"{"\udc00":1}"#, "[1", deep.as_str()] {
            assert!(refusal(wrong).is_some(), "{wrong}");
        }
        assert!(refusal(&"9".repeat(400)).is_some());
    }
}
