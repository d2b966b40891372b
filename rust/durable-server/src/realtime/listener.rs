//! Whoever listens: a queue with an end.

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::message::{Message, json};
use crate::clock;

/// So much may wait for whoever is slow: a channel's whole ring, and a stream.
const MOST_FRAMES: usize = 2_048;
const MOST_BYTES: usize = 4 * 1024 * 1024;
const BEFORE: &[u8] = b"data: ";
const BEHIND: &[u8] = b"\n\n";

/// Something for one who listens. Its bytes are shared by all who do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message as an event of a stream of them.
    Message(Bytes),
    /// As it came.
    Raw(Bytes),
    /// Why nothing comes behind this.
    Closing(&'static str),
}

/// See the file's first line.
#[derive(Debug)]
pub(super) struct Listener {
    frames: mpsc::UnboundedSender<Frame>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: usize,
    bytes: usize,
    is_over: bool,
}

impl Frame {
    /// One that is a JSON object.
    pub(super) fn message(json: &[u8]) -> Self {
        let mut event = Vec::with_capacity(json.len().saturating_add(8));
        event.extend_from_slice(BEFORE);
        // Inside of its texts JSON has no breaks of lines.
        event.extend(
            json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }),
        );
        event.extend_from_slice(BEHIND);
        Self::Message(event.into())
    }

    /// What is said to whoever is let go.
    pub(crate) fn farewell(why: &str) -> Self {
        let reason = serde_json::json!({"reason": why}).to_string();
        let data = json(reason.as_bytes());
        Message { data, ..Message::new("closing", ("", ""), clock::now()) }.frame()
    }

    /// As an event of a stream of them.
    pub(crate) fn event(self) -> Bytes {
        match self {
            Self::Message(event) => event,
            Self::Raw(bytes) => bytes,
            Self::Closing(why) => Self::farewell(why).event(),
        }
    }

    /// Without what makes it such an event.
    pub(crate) fn json(&self) -> Bytes {
        match self {
            Self::Message(event) => {
                event.slice(BEFORE.len()..event.len().saturating_sub(BEHIND.len()))
            }
            Self::Raw(bytes) => bytes.clone(),
            Self::Closing(why) => Self::farewell(why).json(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Message(bytes) | Self::Raw(bytes) => bytes.len(),
            Self::Closing(_) => 0,
        }
    }
}

impl Listener {
    pub(super) fn new(frames: mpsc::UnboundedSender<Frame>) -> Self {
        Self { frames, waiting: Mutex::default() }
    }

    /// Whoever is too slow is let go once what waits has been taken: a gap would not show, and an end does.
    pub(super) fn push(&self, frame: &Frame) {
        let mut waiting = self.waiting.lock();
        if waiting.is_over {
            return;
        }
        let bytes = waiting.bytes.saturating_add(frame.len());
        if waiting.frames >= MOST_FRAMES || bytes > MOST_BYTES {
            waiting.is_over = true;
            let slow = Frame::Closing("messages came faster than they were taken: listen again");
            let _gone = self.frames.send(slow).is_ok();
            return;
        }
        (waiting.frames, waiting.bytes) = (waiting.frames.saturating_add(1), bytes);
        let _gone = self.frames.send(frame.clone()).is_ok();
    }

    /// Nothing comes any more, and that is why.
    pub(super) fn close(&self, why: &'static str) {
        let mut waiting = self.waiting.lock();
        if !std::mem::replace(&mut waiting.is_over, true) {
            let _gone = self.frames.send(Frame::Closing(why)).is_ok();
        }
    }

    pub(super) fn taken(&self, frame: &Frame) {
        let mut waiting = self.waiting.lock();
        waiting.frames = waiting.frames.saturating_sub(1);
        waiting.bytes = waiting.bytes.saturating_sub(frame.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (Listener, mpsc::UnboundedReceiver<Frame>) {
        let (sender, taken) = mpsc::unbounded_channel();
        (Listener::new(sender), taken)
    }

    /// By number and by bytes.
    #[test]
    fn whoever_is_too_slow_is_told_so_and_given_no_more() {
        for (bytes, most) in [(10, MOST_FRAMES), (MOST_BYTES / 4, 4)] {
            let (listener, mut frames) = listener();
            let frame = Frame::Raw(vec![b'x'; bytes].into());
            for _ in 0..most + 10 {
                listener.push(&frame);
            }
            for _ in 0..most {
                assert_eq!(frames.try_recv(), Ok(frame.clone()));
            }
            let last = frames.try_recv().unwrap();
            assert!(matches!(last, Frame::Closing(why) if why.contains("faster")));
            assert!(frames.try_recv().is_err());
        }
    }

    #[test]
    fn whoever_keeps_up_is_given_all() {
        let (listener, mut frames) = listener();
        let frame = Frame::Raw(vec![b'x'; MOST_BYTES / 4].into());
        for _ in 0..3 * MOST_FRAMES {
            listener.push(&frame);
            let taken = frames.try_recv().unwrap();
            assert_eq!(taken, frame);
            listener.taken(&taken);
        }
        listener.close("the end");
        listener.close("and again");
        listener.push(&frame);
        assert_eq!(frames.try_recv(), Ok(Frame::Closing("the end")));
        assert!(frames.try_recv().is_err());
    }
}
