//! What stands behind the question mark.

use axum::http::StatusCode;
use durable_core::{EventRecord, Timestamp};

use super::answer::Refused;
use crate::length::moment_ms;

/// The parameters of one question, in order. A name may be there several times.
#[derive(Debug)]
pub(super) struct Question(Vec<(String, String)>);

impl Question {
    /// All of them must be known: one that is passed over would be a filter that does not filter.
    pub(super) fn read(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Refused> {
        let mut read = Vec::with_capacity(given.len());
        for (name, value) in given {
            let plain = name.replace('_', "").to_ascii_lowercase();
            if !known.iter().any(|known| known.eq_ignore_ascii_case(&plain)) {
                let known = known.join(", ");
                let why = format!("Unexpected query parameter \"{name}\": there is {known}");
                return Err(Refused::invalid(why));
            }
            read.push((plain, value));
        }
        Ok(Self(read))
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(of, _)| name.eq_ignore_ascii_case(of));
        named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(of, _)| name.eq_ignore_ascii_case(of))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn moment(&self, name: &str) -> Result<Option<Timestamp>, Refused> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let ms = moment_ms(text).ok_or_else(|| {
            Refused::format(format!("{name} must be a timestamp, as '2026-01-31T12:00:00Z'"))
        })?;
        Ok(Some(Timestamp::from_millis(ms)))
    }

    pub(super) fn is_true(&self, name: &str) -> Result<bool, Refused> {
        match self.one(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refused::format(format!("{name} must be true or false"))),
        }
    }

    /// How many of a list: so many where nothing is said, and at most.
    pub(super) fn limit(&self, (usual, most): (usize, usize)) -> Result<usize, Refused> {
        let Some(text) = self.one("limit") else { return Ok(usual) };
        let limit = text.parse().map_err(|_no_number| Refused::format("Limit must be a number"))?;
        match limit {
            0 => Ok(usual),
            1.. if limit <= most => Ok(limit),
            1.. => Err(Refused::format(format!("Limit cannot exceed {most}"))),
        }
    }

    /// Where a list goes on, which is an id.
    pub(super) fn cursor<Id>(
        &self,
        parse: impl Fn(&str) -> Option<Id>,
    ) -> Result<Option<Id>, Refused> {
        let Some(text) = self.one("cursor") else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Refused::format("Cursor is invalid"))
    }
}

/// What an expression must be able to say of a run: its event's fields.
pub(super) fn wrong_expression(why: impl std::fmt::Display) -> Refused {
    let why = format!("Query expression is invalid: {why}");
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "expression_invalid", why)
}

/// Whether an event meets it.
pub(super) fn meets(
    condition: &durable_core::Expression,
    (id, event): (&str, &EventRecord),
    now: Timestamp,
) -> bool {
    condition.matches(&durable_core::Given { event: event.view(id), other: None, now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Question, Refused> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Question::read(given.collect(), &["appId", "limit", "from", "includeOutput"])
    }

    #[test]
    fn names_are_read_as_the_reference_writes_them_and_as_it_reads_them() {
        let question = read(&[("appId", "a"), ("app_id", "b"), ("limit", "7")]).unwrap();
        assert_eq!(question.all("appId").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(question.limit((20, 100)).unwrap(), 7);
        assert!(read(&[("appIds", "a")]).is_err());
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let limit = |text| read(&[("limit", text)]).unwrap().limit((20, 100));
        assert_eq!(limit("0").unwrap(), 20);
        assert!(limit("101").is_err() && limit("-1").is_err() && limit("many").is_err());
        assert!(read(&[("from", "yesterday")]).unwrap().moment("from").is_err());
        assert!(read(&[("includeOutput", "yes")]).unwrap().is_true("includeOutput").is_err());
    }
}
