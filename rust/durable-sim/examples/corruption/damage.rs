//! The ways in which a disk gives back other bytes than it was given.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::victim::Failure;

const BLOCK_BYTES: usize = 4096;
/// Where the log's frames may begin, and how they do.
const FRAME_ALIGNMENT: usize = 64;
const FRAME_MARK: &[u8] = b"DFR1";

/// Chance from a seed: SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number under `limit`; 0 where the limit is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    fn index(&mut self, length: usize) -> Result<usize, Failure> {
        Ok(usize::try_from(self.below(u64::try_from(length)?))?)
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.index(of.len()).ok()?;
        of.get(at)
    }
}

/// One damaged file.
pub(crate) struct Damage {
    kind: &'static str,
    at: usize,
    file: PathBuf,
    content: Vec<u8>,
}

impl Damage {
    /// Draws one for the store in `folder`; nothing where it would change no byte.
    pub(crate) fn draw(
        folder: &Path,
        files: &[PathBuf],
        chance: &mut Chance,
    ) -> Result<Option<Self>, Failure> {
        let Some(path) = chance.pick(files) else { return Ok(None) };
        let before = fs::read(path)?;
        let mut content = before.clone();
        let kinds = [
            "flip",
            "flip",
            "flip",
            "zeroed block",
            "copied block",
            "swapped blocks",
            "truncation",
        ];
        let Some(kind) = chance.pick(&kinds).copied() else { return Ok(None) };
        let at = match kind {
            "flip" => flip(&mut content, chance)?,
            "truncation" => {
                let at = chance.index(content.len())?;
                content.truncate(at);
                at
            }
            other => blocks(&mut content, other, chance)?,
        };
        let file = path.strip_prefix(folder)?.to_owned();
        Ok((content != before).then_some(Self { kind, at, file, content }))
    }

    /// Puts the bytes into the copy of the store.
    pub(crate) fn inflict(&self, folder: &Path) -> Result<(), Failure> {
        Ok(fs::write(folder.join(&self.file), &self.content)?)
    }

    /// What a reader cannot tell from a power cut while the newest frames of the log were written: no frame
    /// begins after the damage, and it is `zeros` only, or `other` whole blocks.
    pub(crate) fn in_newest_frames(&self, folder: &Path) -> Result<Option<&'static str>, Failure> {
        let before = fs::read(folder.join(&self.file))?;
        let pairs = || before.iter().zip(&self.content);
        let same = pairs().take_while(|(one, other)| one == other).count();
        let is_zeroed = pairs().all(|(one, other)| one == other || *other == 0);
        let frames = self.content.chunks(FRAME_ALIGNMENT).skip(same / FRAME_ALIGNMENT + 1);
        let is_last = !frames.into_iter().any(|chunk| chunk.starts_with(FRAME_MARK));
        let is_block = self.kind.contains("block") && before.len() == self.content.len();
        Ok((is_block && is_last).then_some(if is_zeroed { "zeros" } else { "other" }))
    }

    /// The word for the way.
    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The file's name without its numbers.
    pub(crate) fn file_kind(&self) -> String {
        let name = self.file.to_string_lossy();
        name.chars().filter(|letter| !letter.is_ascii_digit()).collect()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of {}", self.kind, self.at, self.file.display())
    }
}

/// Half of the bits flipped are in bytes that are not zero: most of a file is allocated ahead.
fn flip(content: &mut [u8], chance: &mut Chance) -> Result<usize, Failure> {
    let mut at = chance.index(content.len())?;
    if chance.below(2) == 0 {
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        at = chance.index(used)?;
    }
    if let Some(byte) = content.get_mut(at) {
        *byte ^= 1 << chance.below(8);
    }
    Ok(at)
}

fn blocks(content: &mut [u8], kind: &str, chance: &mut Chance) -> Result<usize, Failure> {
    let count = content.len() / BLOCK_BYTES;
    let (one, other) = (chance.index(count)? * BLOCK_BYTES, chance.index(count)? * BLOCK_BYTES);
    let (Some(first), Some(second)) = (block(content, one), block(content, other)) else {
        content.fill(0); // shorter than a block
        return Ok(0);
    };
    match kind {
        "zeroed block" => put(content, one, &[0; BLOCK_BYTES]),
        "copied block" => put(content, other, &first),
        _ => {
            put(content, one, &second);
            put(content, other, &first);
        }
    }
    Ok(one)
}

fn block(content: &[u8], at: usize) -> Option<Vec<u8>> {
    content.get(at..at + BLOCK_BYTES).map(<[u8]>::to_vec)
}

fn put(content: &mut [u8], at: usize, block: &[u8]) {
    if let Some(place) = content.get_mut(at..at + BLOCK_BYTES) {
        place.copy_from_slice(block);
    }
}
