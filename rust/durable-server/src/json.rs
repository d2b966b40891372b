//! JSON that is read and written by hand.

use serde::Deserialize;

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
}
