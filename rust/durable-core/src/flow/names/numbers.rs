//! A hash table of numbers that stands in one array: a look-up waits for memory once.
//!
//! Linear probing; what is removed is filled from behind, so that nothing marks where it was (Knuth, *The Art
//! of Computer Programming*, volume 3, 6.4, algorithms L and R). A hash is scaled to a place, not masked, so
//! that the array need not double to grow. Tables that keep tags and entries apart, as hashbrown's, wait twice,
//! which is what counts where a million keys come in no order.

use super::Number;

/// Numbers by the hashes of what they stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    entries: Vec<Option<Entry>>,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// What is kept of the hash: enough for the place, whatever the size.
    tag: u32,
    number: Number,
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number with this hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(Number) -> bool) -> Option<Number> {
        let tag = tag_of(hash);
        let mut place = self.home(tag);
        loop {
            let entry = self.at(place)?;
            if entry.tag == tag && is_it(entry.number) {
                return Some(entry.number);
            }
            place = self.after(place);
        }
    }

    /// One more number, which is not there yet.
    pub(super) fn insert(&mut self, hash: u64, number: Number) {
        if self.len.saturating_mul(5) >= self.entries.len().saturating_mul(4) {
            self.grow();
        }
        self.put(Entry { tag: tag_of(hash), number });
        self.len = self.len.saturating_add(1);
    }

    pub(super) fn remove(&mut self, hash: u64, number: Number) {
        let gone = Entry { tag: tag_of(hash), number };
        let mut place = self.home(gone.tag);
        while self.at(place) != Some(gone) {
            if self.at(place).is_none() {
                return;
            }
            place = self.after(place);
        }
        self.len = self.len.saturating_sub(1);
        let mut next = self.after(place);
        while let Some(entry) = self.at(next) {
            if self.distance(self.home(entry.tag), next) >= self.distance(place, next) {
                self.set(place, Some(entry));
                place = next;
            }
            next = self.after(next);
        }
        self.set(place, None);
    }

    /// Grows by a quarter: what is idle shall not cost twice what it needs.
    fn grow(&mut self) {
        let size = self.entries.len().saturating_add((self.entries.len() / 4).max(8));
        let before = std::mem::replace(&mut self.entries, vec![None; size]);
        before.into_iter().flatten().for_each(|entry| self.put(entry));
    }

    /// How many entries look-ups of all numbers look at together.
    #[cfg(test)]
    pub(super) fn probes(&self) -> usize {
        let probes = self.entries.iter().enumerate().filter_map(|(place, entry)| {
            Some(self.distance(self.home(entry.as_ref()?.tag), place).saturating_add(1))
        });
        probes.sum()
    }

    fn put(&mut self, entry: Entry) {
        let mut place = self.home(entry.tag);
        while self.at(place).is_some() {
            place = self.after(place);
        }
        self.set(place, Some(entry));
    }

    /// Where an entry with this tag is looked for first.
    fn home(&self, tag: u32) -> usize {
        let scaled = (u64::from(tag).saturating_mul(as_u64(self.entries.len()))) >> 32;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn after(&self, place: usize) -> usize {
        let next = place.saturating_add(1);
        if next < self.entries.len() { next } else { 0 }
    }

    /// How many places there are from one to another, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.checked_sub(from)
            .unwrap_or_else(|| self.entries.len().saturating_sub(from).saturating_add(to))
    }

    fn at(&self, place: usize) -> Option<Entry> {
        self.entries.get(place).copied().flatten()
    }

    fn set(&mut self, place: usize, entry: Option<Entry>) {
        if let Some(one) = self.entries.get_mut(place) {
            *one = entry;
        }
    }
}

fn tag_of(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each call answers as a set would; most hashes are near each other or the same, at both ends.
        #[test]
        fn it_is_a_set(calls in prop::collection::vec((any::<bool>(), 1..25_u32), 0..400)) {
            let hash_of = |number: Number| match number.get() % 4 {
                0 => u64::MAX - u64::from(number.get()),
                1 => u64::from(number.get()),
                2 => u64::from(number.get()) << 58,
                _ => 1 << 63,
            };
            let (mut numbers, mut set) = (Numbers::default(), BTreeSet::new());
            for (is_insert, number) in calls {
                let number = Number::new(number).unwrap();
                if !is_insert {
                    numbers.remove(hash_of(number), number);
                    set.remove(&number);
                } else if set.insert(number) {
                    numbers.insert(hash_of(number), number);
                }
                prop_assert_eq!(numbers.len(), set.len());
                for number in (1..25).map(|number| Number::new(number).unwrap()) {
                    let found = numbers.find(hash_of(number), |one| one == number);
                    prop_assert_eq!(found.is_some(), set.contains(&number));
                }
            }
        }
    }
}
