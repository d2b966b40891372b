//! Walking over layers and image at once, without stopping those who write.
//!
//! The layers are read a page at a time. Between two pages a layer may have gone into the image, where
//! an iterator that was begun before might not see it; so the image's iterator is begun again then.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;

use super::{Layers, View};
use crate::image::KeyChange;
use crate::range::successor;
use crate::{Item, Items, KeyRange, Result};

const FIRST_PAGE: usize = 32;
const LARGEST_PAGE: usize = 1024;

/// A scan that is under way.
pub(super) struct Scan<'a> {
    view: &'a View,
    /// What is still to come.
    rest: KeyRange,
    page: VecDeque<KeyChange>,
    /// The page speaks for all keys up to this one; `None`: up to the end.
    page_end: Option<Bytes>,
    page_length: usize,
    image: Option<Peekable<Items<'a>>>,
    generation: u64,
    is_begun: bool,
    is_over: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(view: &'a View, range: KeyRange) -> Self {
        let is_over = range.is_empty();
        Self {
            view,
            rest: range,
            page: VecDeque::new(),
            page_end: None,
            page_length: FIRST_PAGE,
            image: None,
            generation: 0,
            is_begun: false,
            is_over,
        }
    }

    fn turn_page(&mut self) {
        let layers = self.view.read();
        let is_same = self.is_begun && layers.generation == self.generation;
        self.generation = layers.generation;
        self.page = layers.page(&self.rest, self.page_length);
        drop(layers);
        let is_full = self.page.len() >= self.page_length;
        self.page_end = self.page.back().filter(|_| is_full).map(|(key, _)| key.clone());
        self.page_length = self.page_length.saturating_mul(2).min(LARGEST_PAGE);
        if !is_same || self.image.is_none() {
            let image: &'a View = self.view;
            self.image = Some(image.image().scan(self.rest.clone()).peekable());
        }
        self.is_begun = true;
    }

    /// The next record that page and image together know; `None`: the page is used up.
    fn within_page(&mut self) -> Option<Result<KeyChange>> {
        let image = self.image.as_mut()?;
        let page_end = self.page_end.as_ref();
        let in_page = |key: &Bytes| page_end.is_none_or(|end| key <= end);
        let below = match image.peek() {
            Some(Ok((key, _))) if in_page(key) => Some(key),
            Some(Err(_)) => return image.next().map(|failed| failed.map(present)),
            Some(Ok(_)) | None => None,
        };
        let above = self.page.front().map(|(key, _)| key);
        match (above, below) {
            (None, None) => None,
            (None, Some(_)) => image.next().map(|item| item.map(present)),
            (Some(above), Some(below)) if below < above => {
                image.next().map(|item| item.map(present))
            }
            (Some(above), below) => {
                if below == Some(above) {
                    drop(image.next());
                }
                self.page.pop_front().map(Ok)
            }
        }
    }
}

fn present((key, value): Item) -> KeyChange {
    (key, Some(value))
}

impl Iterator for Scan<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            if !self.is_begun {
                self.turn_page();
            }
            match self.within_page() {
                Some(Ok((key, Some(value)))) => return Some(Ok((key, value))),
                Some(Ok((_, None))) => {}
                Some(Err(error)) => {
                    self.is_over = true;
                    self.view.distrust(&error);
                    return Some(Err(error));
                }
                None => match self.page_end.take() {
                    Some(end) => {
                        self.rest.start = successor(&end);
                        self.turn_page();
                    }
                    None => self.is_over = true,
                },
            }
        }
        None
    }
}

impl Layers {
    /// So many changes from the range's start on, the active layer before the frozen one.
    fn page(&self, range: &KeyRange, length: usize) -> VecDeque<KeyChange> {
        let from = Bound::Included(&*range.start);
        let to = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut active = self.active.range(from, to).peekable();
        let frozen = self.frozen.iter().flat_map(|frozen| frozen.range(from, to));
        let mut frozen = frozen.peekable();
        let mut page = VecDeque::new();
        while page.len() < length {
            let order = match (active.peek(), frozen.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((above, _)), Some((below, _))) => above.cmp(below),
            };
            let taken = if order.is_gt() { frozen.next() } else { active.next() };
            if order.is_eq() {
                frozen.next();
            }
            page.extend(taken.map(|(key, value)| (key.clone(), value.clone())));
        }
        page
    }
}
