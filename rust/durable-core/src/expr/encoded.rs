//! Text that was written as base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text in `encoded` (the standard alphabet; the padding may be missing), if it is one.
pub(super) fn decode(encoded: &str) -> Option<String> {
    String::from_utf8(DECODER.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_base64_or_no_text_is_none() {
        let rows = [("aGVsbG8=", Some("hello")), ("aGVsbG8", Some("hello")), ("", Some(""))];
        for (encoded, text) in rows {
            assert_eq!(decode(encoded).as_deref(), text, "{encoded}");
        }
        for encoded in ["a", "a===", "/w==", "héllo", "aGVs bG8="] {
            assert_eq!(decode(encoded), None, "{encoded}");
        }
    }
}
