//! Numbers for things whose names users choose: each name is kept once, and goes with its last user.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, Hasher};

use hashbrown::HashMap;

/// SipHash behind a secret number: nobody can choose names that fall into one bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Secret(u64);

impl BuildHasher for Secret {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Things by their names and by their numbers. A number is given again once its thing is gone.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    numbers: HashMap<Box<[u8]>, u32, Secret>,
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

/// A thing and its name, where the number is given.
type Place<T> = Option<(Box<[u8]>, T)>;

impl<T> Named<T> {
    pub(crate) fn new(secret: u64) -> Self {
        Self { numbers: HashMap::with_hasher(Secret(secret)), places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn number(&self, name: &[u8]) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The number of the thing with this name, made where there is none.
    pub(crate) fn find_or_add(&mut self, name: &[u8], make: impl FnOnce() -> T) -> u32 {
        if let Some(number) = self.number(name) {
            return number;
        }
        let thing = Some((name.into(), make()));
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.place(number) {
            *place = thing;
        }
        self.numbers.insert(name.into(), number);
        number
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.places.get(usize::try_from(number).ok()?)?.as_ref().map(|(_, thing)| thing)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.place(number)?.as_mut().map(|(_, thing)| thing)
    }

    pub(crate) fn name(&self, number: u32) -> Option<&[u8]> {
        self.places.get(usize::try_from(number).ok()?)?.as_ref().map(|(name, _)| &**name)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let (name, thing) = self.place(number)?.take()?;
        self.numbers.remove(&name);
        self.free.push(number);
        Some(thing)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All numbers that are given, in order: for audits and deploys, not for turns.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &[u8], &T)> {
        let things = (0..).zip(&self.places);
        things.filter_map(|(number, thing)| {
            thing.as_ref().map(|(name, thing)| (number, &**name, thing))
        })
    }

    fn place(&mut self, number: u32) -> Option<&mut Place<T>> {
        self.places.get_mut(usize::try_from(number).ok()?)
    }
}
