//! Numbers for things whose names users choose: each name is kept once, and goes with its last user.

use std::fmt;
use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;

/// Things by their names and by their numbers. A number is given again once its thing is gone.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    secret: Secret,
    /// The numbers by the hashes of their names, which stand in the places.
    numbers: HashTable<u32>,
    places: Vec<Option<Place<T>>>,
    free: Vec<u32>,
}

/// A thing and its name, where the number is given.
#[derive(Clone, Debug)]
struct Place<T> {
    name: Name,
    thing: T,
}

impl<T> Named<T> {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            secret: Secret::new(secret),
            numbers: HashTable::new(),
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn number(&self, name: &[u8]) -> Option<u32> {
        let hash = self.secret.hash(name);
        self.numbers.find(hash, |number| self.name(*number) == Some(name)).copied()
    }

    /// The number of the thing with this name, made where there is none.
    pub(crate) fn find_or_add(&mut self, name: &[u8], make: impl FnOnce() -> T) -> u32 {
        self.number(name).unwrap_or_else(|| self.add(name, make()))
    }

    /// A number for a thing with a new name.
    pub(crate) fn add(&mut self, name: &[u8], thing: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| self.add_place());
        if let Some(place) = self.place(number) {
            *place = Some(Place { name: Name::new(name), thing });
        }
        let Self { secret, numbers, places, .. } = self;
        let hash_of = |number: &u32| {
            let place = usize::try_from(*number).ok().and_then(|index| places.get(index)?.as_ref());
            place.map_or(0, |place| secret.hash(place.name.as_bytes()))
        };
        numbers.insert_unique(secret.hash(name), number, hash_of);
        number
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.places.get(usize::try_from(number).ok()?)?.as_ref().map(|place| &place.thing)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.place(number)?.as_mut().map(|place| &mut place.thing)
    }

    pub(crate) fn name(&self, number: u32) -> Option<&[u8]> {
        self.places.get(usize::try_from(number).ok()?)?.as_ref().map(|place| place.name.as_bytes())
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let Place { name, thing } = self.place(number)?.take()?;
        let hash = self.secret.hash(name.as_bytes());
        if let Ok(entry) = self.numbers.find_entry(hash, |one| *one == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(thing)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All numbers that are given, in order: for audits and deploys, not for turns.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &[u8], &T)> {
        let places = (0..).zip(&self.places);
        places.filter_map(|(number, place)| {
            place.as_ref().map(|place| (number, place.name.as_bytes(), &place.thing))
        })
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Place<T>>> {
        self.places.get_mut(usize::try_from(number).ok()?)
    }

    /// Grows by a quarter at a time: what is idle shall not cost twice what it needs.
    fn add_place(&mut self) -> u32 {
        if self.places.len() == self.places.capacity() {
            self.places.reserve_exact((self.places.len() / 4).max(4));
        }
        self.places.push(None);
        u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

/// A name: in its place where it is short, as most are, so that a look-up reads memory once less.
#[derive(Clone)]
enum Name {
    Short { len: u8, bytes: [u8; Self::SHORT] },
    Long(Box<[u8]>),
}

impl Name {
    const SHORT: usize = 38;

    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; Self::SHORT];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(name);
                Self::Short { len, bytes }
            }
            _ => Self::Long(name.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(name) => name,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

/// What must be known to choose names that share a hash.
#[derive(Clone)]
struct Secret {
    seed: u64,
    shared: SharedSeed,
}

impl Secret {
    fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }

    /// foldhash with a whole secret of our own, its public constants replaced too. Nobody is shown a hash or an
    /// order that follows from one.
    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(name);
        hasher.finish()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_number_until_it_is_removed_and_the_number_is_given_again() {
        let mut named = Named::new(7);
        let names: Vec<Vec<u8>> = (0..200_u8).map(|size| vec![size; usize::from(size)]).collect();
        for round in 0..3 {
            let numbers: Vec<u32> =
                names.iter().map(|name| named.find_or_add(name, || name.len())).collect();
            assert_eq!(named.len(), names.len(), "round {round}");
            for (name, number) in names.iter().zip(&numbers) {
                assert_eq!(named.number(name), Some(*number));
                assert_eq!(named.name(*number), Some(&**name));
                assert_eq!(named.get(*number), Some(&name.len()));
            }
            assert!(numbers.iter().all(|number| *number < 200), "each number is given again");
            assert!(numbers.iter().all(|number| named.remove(*number).is_some()));
            assert!(named.len() == 0 && named.number(&names[0]).is_none());
        }
    }

    #[test]
    fn another_secret_gives_another_hash() {
        let hashes = |secret| {
            let secret = Secret::new(secret);
            [&b""[..], b"a", b"a name of more than sixteen bytes"].map(|name| secret.hash(name))
        };
        assert!(hashes(1).iter().zip(hashes(2)).all(|(one, other)| *one != other));
        assert_eq!(hashes(1), hashes(1));
    }
}
