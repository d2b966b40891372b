//! A set in order, whose first stands in place: most lines hold no more than one, which costs no
//! allocation then.

use std::collections::BTreeSet;

/// A set in order.
#[derive(Clone, Debug)]
pub(crate) struct Sorted<T> {
    /// Before all of the rest; there is none without it.
    first: Option<T>,
    #[expect(clippy::box_collection, reason = "most have none: it shall cost one word")]
    rest: Option<Box<BTreeSet<T>>>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { first: None, rest: None }
    }
}

impl<T: Ord + Copy> Sorted<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first that is not before `bound`.
    pub(crate) fn first_from(&self, bound: T) -> Option<T> {
        let in_rest = || self.rest.as_ref()?.range(bound..).next().copied();
        self.first.filter(|first| *first >= bound).or_else(in_rest)
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
                self.rest.get_or_insert_default().insert(first)
            }
            Some(_) => self.rest.get_or_insert_default().insert(one),
        }
    }

    /// True where it was there.
    pub(crate) fn remove(&mut self, one: T) -> bool {
        if self.first == Some(one) {
            self.pop_first();
            return true;
        }
        self.rest.as_mut().is_some_and(|rest| rest.remove(&one))
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        let first = self.first?;
        self.first = self.rest.as_mut().and_then(|rest| rest.pop_first());
        Some(first)
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = T> {
        self.first.into_iter().chain(self.rest.iter().flat_map(|rest| rest.iter().copied()))
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
                prop_assert_eq!(sorted.is_empty(), set.is_empty());
                prop_assert!(sorted.iter().eq(set.iter().copied()));
            }
        }
    }
}
