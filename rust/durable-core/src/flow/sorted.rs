//! A set in order, whose first stands in place: most queues and lines hold no more than one, which costs no
//! allocation then.

use std::collections::BTreeSet;

/// A set in order.
#[derive(Clone, Debug)]
pub(crate) struct Sorted<T> {
    /// Before all of the rest; there is none without it.
    first: Option<T>,
    rest: BTreeSet<T>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { first: None, rest: BTreeSet::new() }
    }
}

impl<T: Ord + Copy> Sorted<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn first(&self) -> Option<T> {
        self.first
    }

    /// The first that is not before `bound`.
    pub(crate) fn first_from(&self, bound: T) -> Option<T> {
        self.first.filter(|first| *first >= bound).or_else(|| {
            if self.rest.is_empty() { None } else { self.rest.range(bound..).next().copied() }
        })
    }

    /// True where it was not there.
    pub(crate) fn insert(&mut self, one: T) -> bool {
        match self.first {
            None => {
                self.first = Some(one);
                true
            }
            Some(first) if one == first => false,
            Some(first) if one < first => {
                self.first = Some(one);
                self.rest.insert(first)
            }
            Some(_) => self.rest.insert(one),
        }
    }

    /// True where it was there.
    pub(crate) fn remove(&mut self, one: T) -> bool {
        if self.first == Some(one) {
            self.first = self.rest.pop_first();
            return true;
        }
        !self.rest.is_empty() && self.rest.remove(&one)
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        let first = self.first?;
        self.first = self.rest.pop_first();
        Some(first)
    }

    /// How many there are before `bound`: for whoever asks, not for turns.
    pub(crate) fn count_before(&self, bound: T) -> usize {
        self.iter().take_while(|one| *one < bound).count()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rest.len().saturating_add(self.first.is_some().into())
    }

    /// All of it, in order: for audits, not for turns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.first.iter().chain(&self.rest).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each call answers as a `BTreeSet` would.
        #[test]
        fn it_is_a_set_in_order(calls in prop::collection::vec((0..5_u8, 0..8_u8), 0..200)) {
            let (mut sorted, mut set) = (Sorted::default(), BTreeSet::new());
            for (call, one) in calls {
                match call {
                    0 | 1 => prop_assert_eq!(sorted.insert(one), set.insert(one)),
                    2 => prop_assert_eq!(sorted.remove(one), set.remove(&one)),
                    3 => prop_assert_eq!(sorted.pop_first(), set.pop_first()),
                    _ => {
                        let from = set.range(one..).next().copied();
                        prop_assert_eq!(sorted.first_from(one), from);
                    }
                }
                prop_assert_eq!(sorted.count_before(one), set.range(..one).count());
                prop_assert_eq!(sorted.len(), set.len());
                prop_assert_eq!(sorted.first(), set.first().copied());
                prop_assert_eq!(sorted.is_empty(), set.is_empty());
                prop_assert!(sorted.iter().eq(set.iter().copied()));
            }
        }
    }
}
