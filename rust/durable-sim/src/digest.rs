//! A number that stands for all that a world did: two runs of a seed must agree in it.

use std::fmt::Write as _;

use crate::driver::Sealed;

/// FNV-1a, eight bytes at a time.
#[derive(Clone, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// The number so far.
    pub const fn value(&self) -> u64 {
        self.0
    }

    /// Takes a turn's writes and effects in.
    pub fn take(&mut self, turn: &Sealed) {
        for change in &turn.changes {
            self.bytes(&change.key);
            self.bytes(change.value.as_deref().unwrap_or_default());
        }
        for (effect, memos) in &turn.effects {
            let is_written = write!(self, "{effect:?}{}", memos.len());
            debug_assert!(is_written.is_ok(), "a sum takes everything");
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
        self.0 = self.0.wrapping_add(1);
    }
}

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
