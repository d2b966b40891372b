//! What waits in a queue, in order.

use std::collections::BTreeSet;

use super::Item;
use crate::id::RunId;
use crate::time::Timestamp;

/// Work of runs that have begun, and first stretches of runs ("starts"): each of both in order. The first of
/// all stands in place: most queues hold no more than one, which costs no allocation then.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    /// Before all of the rest; there is none without it.
    first: Option<Packed>,
    rest: Option<Box<Rest>>,
}

/// An [`Item`], and whether it is a start, in half a cache line.
#[derive(Clone, Copy, Debug)]
struct Packed {
    score: Timestamp,
    run: RunId,
    number: u32,
    is_start: bool,
}

#[derive(Clone, Debug, Default)]
struct Rest {
    items: BTreeSet<Item>,
    starts: BTreeSet<Item>,
}

impl Packed {
    fn new(Item { score, run, number }: Item, is_start: bool) -> Self {
        Self { score, run, number, is_start }
    }

    fn item(self) -> Item {
        Item { score: self.score, run: self.run, number: self.number }
    }
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first work of a run that has begun.
    pub(super) fn first_item(&self) -> Option<Item> {
        self.first_of(false)
    }

    pub(super) fn first_start(&self) -> Option<Item> {
        self.first_of(true)
    }

    pub(super) fn insert(&mut self, item: Item, is_start: bool) {
        let new = Packed::new(item, is_start);
        match self.first {
            None => self.first = Some(new),
            Some(first) if first.item() == item => {}
            Some(first) => {
                let is_before = item < first.item();
                let later = if is_before { first } else { new };
                self.rest.get_or_insert_default().of(later.is_start).insert(later.item());
                self.first = Some(if is_before { new } else { first });
            }
        }
    }

    /// Whether it was a start, where it was there.
    pub(super) fn remove(&mut self, item: Item) -> Option<bool> {
        match self.first {
            Some(first) if first.item() == item => {
                self.remove_first();
                Some(first.is_start)
            }
            Some(_) | None => {
                let rest = self.rest.as_mut()?;
                [true, false].into_iter().find(|is_start| rest.of(*is_start).remove(&item))
            }
        }
    }

    /// Takes out the first start, or the first other work.
    pub(super) fn remove_first_of(&mut self, is_start: bool) {
        if self.first.is_some_and(|first| first.is_start == is_start) {
            self.remove_first();
        } else if let Some(rest) = &mut self.rest {
            rest.of(is_start).pop_first();
        }
    }

    /// How many starts there are, or how much other work.
    pub(super) fn count(&self, is_start: bool) -> usize {
        let first = self.first.is_some_and(|first| first.is_start == is_start);
        let rest = self
            .rest
            .as_ref()
            .map_or(0, |rest| if is_start { rest.starts.len() } else { rest.items.len() });
        rest.saturating_add(first.into())
    }

    /// All starts, or all other work, in order: for audits and whoever asks, not for turns.
    pub(super) fn all(&self, is_start: bool) -> impl Iterator<Item = Item> {
        let first = self.first.filter(|first| first.is_start == is_start).map(Packed::item);
        let rest = self.rest.iter();
        let rest = rest.flat_map(move |rest| if is_start { &rest.starts } else { &rest.items });
        first.into_iter().chain(rest.copied())
    }

    fn first_of(&self, is_start: bool) -> Option<Item> {
        match self.first? {
            first if first.is_start == is_start => Some(first.item()),
            _ => {
                let rest = self.rest.as_ref()?;
                if is_start { rest.starts.first().copied() } else { rest.items.first().copied() }
            }
        }
    }

    fn remove_first(&mut self) {
        self.first = self.rest.as_mut().and_then(|rest| {
            let (item, start) = (rest.items.first(), rest.starts.first());
            let is_start = item.is_none_or(|item| start.is_some_and(|start| start < item));
            Some(Packed::new(rest.of(is_start).pop_first()?, is_start))
        });
    }
}

impl Rest {
    fn of(&mut self, is_start: bool) -> &mut BTreeSet<Item> {
        if is_start { &mut self.starts } else { &mut self.items }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(number: u32) -> Item {
        Item { score: Timestamp::default(), run: RunId::default(), number }
    }

    proptest! {
        /// Each call answers as a sorted map from items to their kinds would.
        #[test]
        fn it_keeps_both_kinds_in_order(
            calls in prop::collection::vec((0..5_u8, 0..8_u32, any::<bool>()), 0..200),
        ) {
            let (mut work, mut map) = (Work::default(), std::collections::BTreeMap::new());
            for (call, number, is_start) in calls {
                match call {
                    0..=2 => {
                        work.insert(item(number), *map.entry(number).or_insert(is_start));
                    }
                    3 => prop_assert_eq!(work.remove(item(number)), map.remove(&number)),
                    _ => {
                        work.remove_first_of(is_start);
                        let first = map.iter().find(|(_, kind)| **kind == is_start);
                        first.map(|(number, _)| *number).map(|number| map.remove(&number));
                    }
                }
                let all = |kind| map.iter().filter(move |one| *one.1 == kind).map(|one| item(*one.0));
                prop_assert_eq!(work.count(true), all(true).count());
                prop_assert_eq!(work.count(false), all(false).count());
                prop_assert!(work.all(true).eq(all(true)) && work.all(false).eq(all(false)));
                prop_assert_eq!(work.first_start(), all(true).next());
                prop_assert_eq!(work.first_item(), all(false).next());
                prop_assert_eq!(work.is_empty(), map.is_empty());
            }
        }
    }
}
