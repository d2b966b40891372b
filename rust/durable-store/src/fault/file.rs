//! One file of the faulty disk: as it reads, as it is kept, and what lies between.

use super::chance::Chance;

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What reads see.
    live: Vec<u8>,
    /// What the platter holds; not kept up on a healthy disk.
    kept: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// How much of what was not synced a crash lets through.
#[derive(Clone, Copy, Debug)]
enum Survival {
    Nothing,
    Everything,
    /// Each sector as of a moment of its own.
    Sectors(usize),
    /// The whole as of one moment.
    Moment(usize),
}

impl Inode {
    pub(super) fn length(&self) -> u64 {
        u64::try_from(self.live.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.live.get(offset..));
        let count = rest.unwrap_or_default().len().min(buffer.len());
        if let (Some(from), Some(to)) =
            (rest.unwrap_or_default().get(..count), buffer.get_mut(..count))
        {
            to.copy_from_slice(from);
        }
        count
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8], healthy: bool) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        put(&mut self.live, offset, bytes);
        if !healthy {
            self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn set_length(&mut self, length: u64, healthy: bool) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.live.resize(length, 0);
        if !healthy {
            self.pending.push(Change::Length(length));
        }
    }

    /// A sync that succeeds.
    pub(super) fn keep(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.kept, offset, &bytes),
                Change::Length(length) => self.kept.resize(length, 0),
            }
        }
    }

    /// A sync that fails: what it did not write will never be written, though reads show it.
    pub(super) fn lose(&mut self, chance: &mut Chance) {
        self.kept = self.survivor(chance);
        self.pending.clear();
    }

    pub(super) fn after_crash(&self, chance: &mut Chance) -> Self {
        let kept = if self.pending.is_empty() { self.kept.clone() } else { self.survivor(chance) };
        Self { live: kept.clone(), kept, pending: Vec::new() }
    }

    pub(super) fn settled(&self) -> Self {
        Self { live: self.live.clone(), kept: self.live.clone(), pending: Vec::new() }
    }

    pub(super) fn damage(&mut self, change: impl Fn(&mut Vec<u8>)) {
        change(&mut self.live);
        change(&mut self.kept);
    }

    fn survivor(&self, chance: &mut Chance) -> Vec<u8> {
        let count = self.pending.len();
        let survival = match chance.up_to(9) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 | 3 => Survival::Moment(chance.up_to(count)),
            4..=6 => Survival::Sectors(4096),
            _ => Survival::Sectors(512),
        };
        let chance = Chance::new(chance.draw());
        let length_at = chance.for_one(u64::MAX, count);
        let mut bytes = self.kept.clone();
        for (number, change) in self.pending.iter().enumerate() {
            match change {
                Change::Write { offset, bytes: written } => write_survivors(
                    &mut bytes,
                    (*offset, written),
                    |sector| survival.lets_through(number, count, &chance, sector),
                    survival.sector_bytes(),
                ),
                Change::Length(length) if survival.keeps_length(number, length_at) => {
                    bytes.resize(*length, 0);
                }
                Change::Length(_) => {}
            }
        }
        bytes
    }
}

impl Survival {
    fn sector_bytes(self) -> usize {
        match self {
            Self::Nothing | Self::Everything | Self::Moment(_) => usize::MAX,
            Self::Sectors(bytes) => bytes,
        }
    }

    /// Whether the change of this number reached this sector.
    fn lets_through(self, number: usize, count: usize, chance: &Chance, sector: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Moment(moment) => number < moment,
            Self::Sectors(_) => {
                number < chance.for_one(u64::try_from(sector).unwrap_or(u64::MAX), count)
            }
        }
    }

    fn keeps_length(self, number: usize, length_at: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Moment(moment) => number < moment,
            Self::Sectors(_) => number < length_at,
        }
    }
}

/// Puts those sectors of a write that survive.
fn write_survivors(
    bytes: &mut Vec<u8>,
    (offset, written): (usize, &[u8]),
    survives: impl Fn(usize) -> bool,
    sector_bytes: usize,
) {
    let mut at = offset;
    let end = offset.saturating_add(written.len());
    while at < end {
        let sector = at.checked_div(sector_bytes).unwrap_or(0);
        let sector_end = sector.saturating_add(1).saturating_mul(sector_bytes).min(end);
        let piece = written.get(at.saturating_sub(offset)..sector_end.saturating_sub(offset));
        if survives(sector) {
            put(bytes, at, piece.unwrap_or_default());
        }
        at = sector_end;
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    let end = offset.saturating_add(piece.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(piece);
    }
}
