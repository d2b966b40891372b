//! Messages as those who listen are given them.

use bytes::Bytes;
use durable_core::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::listener::Frame;
use crate::names::ENVIRONMENT;

/// What was said of a message beside its data, where it was published over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The run that published it.
    pub(crate) run: Option<String>,
    /// JSON.
    pub(crate) metadata: Option<Bytes>,
}

/// A message, complete. What is absent is not written.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) kind: &'a str,
    pub(crate) data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<&'a RawValue>,
    pub(crate) created_at: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) channel: &'a str,
    pub(crate) env_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fn_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_id: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// One of this kind on this channel, created at this moment.
    pub(crate) fn new(kind: &'a str, (channel, topic): (&'a str, &'a str), at: Timestamp) -> Self {
        let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
        let created_at = at.to_string();
        Self { kind, created_at, channel, env_id: ENVIRONMENT, topic, ..Self::default() }
    }

    /// In one line.
    pub(crate) fn frame(&self) -> Frame {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Frame::message(&json)
    }
}

/// JSON as it came; none where it is none.
pub(crate) fn json(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_what_there_is_in_one_line() {
        let data = json(b"{\n \"a\":\r\n\"\\n\"}");
        let message =
            Message { data, ..Message::new("data", ("c", "t"), Timestamp::from_millis(1_500)) };
        let frame = message.frame();
        let Frame::Message(bytes) = &frame else { panic!("{frame:?}") };
        let text = std::str::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 2, "those behind it");
        assert!(!text.contains('\r'));
        let json: serde_json::Value = serde_json::from_slice(&frame.json()).unwrap();
        let expected = serde_json::json!({
            "kind": "data", "data": {"a": "\n"}, "created_at": "1970-01-01T00:00:01.5Z",
            "channel": "c", "topic": "t", "env_id": ENVIRONMENT,
        });
        assert_eq!(json, expected);
    }
}
