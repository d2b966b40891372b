//! JSON that is read and written by hand.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The members of a list, or the one value that stands where a list might.
pub(crate) fn one_or_list<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<Vec<T>> {
    if json.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(json)
    } else {
        serde_json::from_slice(json).map(|one| vec![one])
    }
}

/// A text as JSON.
pub(crate) fn put_text(json: &mut Vec<u8>, text: &str) {
    // Every text has its JSON, and memory takes it.
    let _written = serde_json::to_writer(json, text).is_ok();
}

/// The same by itself.
pub(crate) fn text(text: &str) -> Bytes {
    let mut json = Vec::new();
    put_text(&mut json, text);
    json.into()
}

/// JSON that everybody can read, as it is but for halves of characters, which no text has: `Err` says why not all of it
/// can be read.
pub(crate) fn readable(json: &str) -> Result<Bytes, String> {
    if refusal(json).is_none() {
        return Ok(Bytes::from(json.to_owned()));
    }
    let whole = without_halves(json);
    refusal(&whole).map_or_else(
        || Ok(Bytes::from(whole)),
        |why| Err(format!("not everybody could read it as JSON: {why}")),
    )
}

/// `\ud83d` without its other half becomes `\ufffd`, as other languages read it.
fn without_halves(json: &str) -> String {
    let (mut whole, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        whole.push_str(before);
        let length = match (half_of(escape), half_of(escape.get(6..).unwrap_or_default())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                whole.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end),
        };
        let (escape, behind) = escape.split_at(length);
        whole.push_str(escape);
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

/// The number of an escape `\uXXXX` that this text begins with.
fn half_of(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Why not everybody can read this JSON: a number beyond what floats hold, half a character, nesting.
pub(crate) fn refusal(json: &str) -> Option<String> {
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
    fn one_is_a_list_of_one() {
        let read = |json: &str| one_or_list::<u8>(json.as_bytes()).ok();
        assert_eq!(read(" 1 "), Some(vec![1]));
        assert_eq!(read("\n [1, 2]"), Some(vec![1, 2]));
        assert_eq!(read("[]"), Some(Vec::new()));
        assert_eq!((read(""), read("[1"), read("1, 2")), (None, None, None));
    }

    #[test]
    fn a_text_is_read_as_it_was() {
        let mut json = Vec::new();
        put_text(&mut json, "a\"\n");
        assert_eq!(json, br#""a\"\n""#);
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

    #[test]
    fn half_a_character_is_read_as_others_read_it() {
        let read = |json: &str| readable(json).map(|json| String::from_utf8(json.into()).unwrap());
        for whole in [r#"{"a": 1.50}"#, r#""\ud83d\ude00 \n""#, r#""\\ud83d""#] {
            assert_eq!(read(whole).unwrap(), whole);
        }
        assert_eq!(
            read(r#"["a\ud83d", "\ude00\ud83d\ude00"]"#).unwrap(),
            r#"["a\ufffd", "\ufffd\ud83d\ude00"]"#
        );
        assert_eq!(read(r#""\\\ud83d""#).unwrap(), r#""\\\ufffd""#);
        assert!(read("1e999").unwrap_err().contains("not everybody"));
    }
}
