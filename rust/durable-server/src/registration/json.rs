//! An object's fields, by names in any letter case, with words for what they should have been.

use serde_json::{Map, Value};

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
