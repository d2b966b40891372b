//! Numbers for things whose names users choose: each name is kept once, and goes with its last user.

mod numbers;

use std::fmt;
use std::hash::Hasher;
use std::num::NonZeroU32;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use numbers::Numbers;

/// What a thing is called for short. Never zero, so that "none" costs no memory.
pub(crate) type Number = NonZeroU32;

/// Things by their names and by their numbers. A number is given again once its thing is gone. Names of up to
/// `SHORT` bytes stand beside their things.
#[derive(Clone, Debug)]
pub(crate) struct Named<T, const SHORT: usize = 38> {
    secret: Secret,
    /// The numbers by the hashes of their names, which stand in the places.
    numbers: Numbers,
    places: Places<T, SHORT>,
    free: Vec<Number>,
}

/// In chunks: to grow moves one chunk at most, and doubles nothing.
type Places<T, const SHORT: usize> = Vec<Vec<Option<Place<T, SHORT>>>>;

/// So many places are in a chunk.
const CHUNK: usize = 4_096;

/// A thing and its name, where the number is given: in as few cache lines as it fits in.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Place<T, const SHORT: usize> {
    name: Name<SHORT>,
    thing: T,
}

impl<T, const SHORT: usize> Named<T, SHORT> {
    /// How many bytes a thing takes, with its name.
    pub(crate) const PLACE_BYTES: usize = size_of::<Option<Place<T, SHORT>>>();

    pub(crate) fn new(secret: u64) -> Self {
        Self {
            secret: Secret::new(secret),
            numbers: Numbers::default(),
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn number(&self, name: &[u8]) -> Option<Number> {
        let hash = self.secret.hash(name);
        self.numbers.find(hash, |number| self.name(number) == Some(name))
    }

    /// The number of the thing with this name, made where there is none.
    pub(crate) fn find_or_add(&mut self, name: &[u8], make: impl FnOnce() -> T) -> Number {
        self.number(name).unwrap_or_else(|| self.add(name, make()))
    }

    /// The thing with this name, made where there is none, and its number.
    pub(crate) fn entry(
        &mut self,
        name: &[u8],
        make: impl FnOnce() -> T,
    ) -> Option<(Number, &mut T)> {
        let number = self.find_or_add(name, make);
        Some((number, self.get_mut(number)?))
    }

    /// A number for a thing with a new name.
    pub(crate) fn add(&mut self, name: &[u8], thing: T) -> Number {
        let place = Place { name: Name::new(name), thing };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(free) = self.place(number) {
                    *free = Some(place);
                }
                number
            }
            None => self.add_place(place),
        };
        self.numbers.insert(self.secret.hash(name), number);
        number
    }

    pub(crate) fn get(&self, number: Number) -> Option<&T> {
        self.at(number).map(|place| &place.thing)
    }

    pub(crate) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        self.place(number)?.as_mut().map(|place| &mut place.thing)
    }

    pub(crate) fn name(&self, number: Number) -> Option<&[u8]> {
        self.at(number).map(|place| place.name.as_bytes())
    }

    pub(crate) fn remove(&mut self, number: Number) -> Option<T> {
        let Place { name, thing } = self.place(number)?.take()?;
        self.numbers.remove(self.secret.hash(name.as_bytes()), number);
        self.free.push(number);
        Some(thing)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All numbers that are given, in order: for audits and deploys, not for turns.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Number, &[u8], &T)> {
        let places = self.places.iter().flatten().enumerate();
        places.filter_map(|(index, place)| {
            let place = place.as_ref()?;
            Some((number_of(index), place.name.as_bytes(), &place.thing))
        })
    }

    fn at(&self, number: Number) -> Option<&Place<T, SHORT>> {
        let index = index_of(number);
        self.places.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    fn place(&mut self, number: Number) -> Option<&mut Option<Place<T, SHORT>>> {
        let index = index_of(number);
        self.places.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// A place behind all others.
    fn add_place(&mut self, place: Place<T, SHORT>) -> Number {
        if self.places.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let is_first = self.places.is_empty();
            self.places.push(Vec::with_capacity(if is_first { 4 } else { CHUNK / 8 }));
        }
        let before = self.places.len().saturating_sub(1).saturating_mul(CHUNK);
        let Some(chunk) = self.places.last_mut() else { return Number::MIN };
        if chunk.len() == chunk.capacity() {
            let is_first = before == 0; // who has few pays for few
            chunk.reserve_exact(if is_first { (chunk.len() / 8).max(4) } else { CHUNK / 8 });
        }
        chunk.push(Some(place));
        number_of(before.saturating_add(chunk.len()).saturating_sub(1))
    }
}

fn number_of(index: usize) -> Number {
    Number::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))
}

fn index_of(number: Number) -> usize {
    usize::try_from(number.get()).map_or(usize::MAX, |number| number.saturating_sub(1))
}

/// A name: in its place where it is short, as most are, so that a look-up reads memory once less.
#[derive(Clone)]
enum Name<const SHORT: usize> {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl<const SHORT: usize> Name<SHORT> {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
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

impl<const SHORT: usize> fmt::Debug for Name<SHORT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

/// What must be known to choose names that share a hash.
#[derive(Clone)]
pub(crate) struct Secret {
    seed: u64,
    shared: SharedSeed,
}

impl Secret {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }

    /// foldhash, the kind whose bits are all as good, with a whole secret of our own, its public constants
    /// replaced too. Nobody is shown a hash or an order that follows from one.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(name);
        hasher.finish()
    }

    /// The same for what is written piece by piece.
    pub(crate) fn hasher(&self) -> impl Hasher {
        FoldHasher::with_seed(self.seed, &self.shared)
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
        let mut named: Named<usize> = Named::new(7);
        let names: Vec<Vec<u8>> = (0..200_u8).map(|size| vec![size; usize::from(size)]).collect();
        for round in 0..3 {
            let numbers: Vec<Number> =
                names.iter().map(|name| named.find_or_add(name, || name.len())).collect();
            assert_eq!(named.len(), names.len(), "round {round}");
            for (name, number) in names.iter().zip(&numbers) {
                assert_eq!(named.number(name), Some(*number));
                assert_eq!(named.name(*number), Some(&**name));
                assert_eq!(named.get(*number), Some(&name.len()));
            }
            assert!(numbers.iter().all(|number| number.get() <= 200), "each number is given again");
            assert!(numbers.iter().all(|number| named.remove(*number).is_some()));
            assert!(named.len() == 0 && named.number(&names[0]).is_none());
        }
    }

    #[test]
    fn it_goes_on_beyond_a_chunk() {
        let mut named: Named<usize> = Named::new(7);
        let count = 2 * CHUNK + 1;
        let name = |one: usize| one.to_be_bytes();
        let numbers: Vec<Number> = (0..count).map(|one| named.add(&name(one), one)).collect();
        for (one, number) in numbers.iter().enumerate() {
            assert_eq!((named.number(&name(one)), named.get(*number)), (Some(*number), Some(&one)));
        }
        assert!(
            named.all().map(|(number, _, one)| (number, *one)).eq(numbers.into_iter().zip(0..))
        );
    }

    /// Names that are counted up must not crowd, whatever the secret is: three probes to a hit are what chance
    /// gives at the fullest (Knuth, 6.4: half of 1 + 1 / (1 - 0.8)).
    #[test]
    fn names_that_are_alike_do_not_crowd() {
        for secret in 0..300_u64 {
            let mut named: Named<()> = Named::new(secret.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for one in 0..10_000 {
                named.add(format!("euser-{one:07}").as_bytes(), ());
            }
            let (probes, count) = (named.numbers.probes(), named.len());
            assert!(probes < 5 * count, "{probes} probes to {count} hits under secret {secret}");
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
