//! Chance out of a seed: the same seed gives the same world.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// All that is drawn follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another source of chance, which goes its own way from here.
    pub const fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub fn within(&mut self, first: u64, last: u64) -> u64 {
        first.saturating_add(self.below(last.saturating_sub(first).saturating_add(1)))
    }

    /// The same, for small numbers.
    pub fn small(&mut self, first: u32, last: u32) -> u32 {
        u32::try_from(self.within(first.into(), last.into())).unwrap_or(first)
    }

    /// The same, for sizes.
    pub fn size(&mut self, first: usize, last: usize) -> usize {
        let bound = |size| u64::try_from(size).unwrap_or(u64::MAX);
        usize::try_from(self.within(bound(first), bound(last))).unwrap_or(first)
    }

    /// True in so many of a thousand cases.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// One of these; `None` of none.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        let last = among.len().checked_sub(1)?;
        among.get(self.size(0, last))
    }

    /// A length of time, spread evenly over orders of magnitude up to `most`.
    pub fn length(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let bits = u64::from(most.checked_ilog2().unwrap_or(0));
        let top = 1_u64.checked_shl(self.small(0, u32::try_from(bits).unwrap_or(0))).unwrap_or(1);
        Duration::from_nanos(self.below(top.saturating_mul(2)).min(most))
    }
}
