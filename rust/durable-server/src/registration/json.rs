//! An object's fields, by names in any letter case, with words for what they should have been.

use serde_json::{Map, Value};

/// More values than any application says of itself: made into what can be looked at they are many times their text.
const MOST_VALUES: usize = 200_000;

/// Whether JSON has more values than are made anything of. Looks at each byte once.
pub(crate) fn has_too_many_values(json: &[u8]) -> bool {
    let (mut count, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count = count.saturating_add(1),
            _ => {}
        }
    }
    count > MOST_VALUES
}

/// The fields of one object.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, what: &str) -> Result<Self, String> {
        value.as_object().map(|map| Self { map }).ok_or_else(|| format!("{what} is no JSON object"))
    }

    /// What is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let found = self.map.get(name).or_else(|| {
            let mut fields = self.map.iter();
            fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| format!("{name} is no text"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| format!("{name} is no whole number from 0 on"))
    }

    pub(super) fn small(&self, name: &str) -> Result<Option<u32>, String> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        u32::try_from(number).map(Some).map_err(|_large| format!("{name} is too large: {number}"))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, String> {
        self.get(name).map(|value| Self::of(value, name)).transpose()
    }

    /// The members of a list; where there is none, none.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], String> {
        let Some(value) = self.get(name) else { return Ok(&[]) };
        value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{name} is no list"))
    }

    /// The only field, whatever its name.
    pub(super) fn first(&self) -> Option<Self> {
        self.map.values().next()?.as_object().map(|map| Self { map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        let list = |member: &str, count| format!("[{}1]", member.repeat(count));
        assert!(!has_too_many_values(list("1,", MOST_VALUES - 1).as_bytes()));
        assert!(has_too_many_values(list("1,", MOST_VALUES).as_bytes()));
        let text = format!("\"{}\\\"{}\"", "[".repeat(MOST_VALUES), ",".repeat(MOST_VALUES));
        assert!(!has_too_many_values(text.as_bytes()));
    }
}
