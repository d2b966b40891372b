//! Chance out of a seed: the same seed, the same accidents.

/// Numbers drawn from a seed (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Chance out of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: usize) -> usize {
        pick(self.draw(), most)
    }

    /// Whether it happens this time, as it does once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.up_to(count.saturating_sub(1)) == 0
    }

    /// A number from 0 to `most` that belongs to one thing among many.
    pub fn for_one(&self, thing: u64, most: usize) -> usize {
        pick(mix(self.state ^ mix(thing)), most)
    }
}

fn pick(number: u64, most: usize) -> usize {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let picked = most.checked_add(1).map_or(number, |count| number % count);
    usize::try_from(picked).unwrap_or(usize::MAX)
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
