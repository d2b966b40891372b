//! What the writer writes: batch `n` is a pure function of `n`, so any prefix can be recomputed.

use std::collections::BTreeMap;

/// Keys in use besides [`LAST`]; small, so that keys are put, changed and deleted again and again.
const KEY_COUNT: u64 = 48;
/// The key whose value is the number of the newest batch.
pub(crate) const LAST: &[u8] = b"last";

/// A key's new value, or `None` where the key goes.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);
/// All records of a store.
pub(crate) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The changes of batch `number`, which is 1 or more.
pub(crate) fn batch(number: u64) -> Vec<Change> {
    let mut changes: Vec<Change> = (0..3)
        .map(|part| {
            let chance = mix(number.wrapping_mul(31).wrapping_add(part));
            let key = format!("k{:02}", (number.wrapping_mul(5).wrapping_add(part)) % KEY_COUNT);
            let value = (!chance.is_multiple_of(4)).then(|| value(chance, size(number, part)));
            (key.into_bytes(), value)
        })
        .collect();
    changes.push((LAST.to_vec(), Some(number.to_be_bytes().to_vec())));
    changes
}

/// Small values mostly; now and then more than a page, and seldom more than a sled segment's quarter.
const fn size(number: u64, part: u64) -> u64 {
    if part != 0 {
        40
    } else if number % 128 == 100 {
        200_000
    } else if number % 16 == 7 {
        9_000
    } else {
        160
    }
}

fn value(seed: u64, size: u64) -> Vec<u8> {
    (0..size.div_ceil(8)).flat_map(|word| mix(seed ^ word).to_le_bytes()).collect()
}

/// SplitMix64's finalizer (Steele, Lea, Flood 2014).
const fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A change onto the records.
pub(crate) fn apply(state: &mut State, (key, value): Change) {
    match value {
        Some(value) => state.insert(key, value),
        None => state.remove(&key),
    };
}

/// All records after the batches `1..=last`.
pub(crate) fn state_after(last: u64) -> State {
    let mut state = State::new();
    (1..=last).flat_map(batch).for_each(|change| apply(&mut state, change));
    state
}

/// The number of the newest batch that these records tell of.
pub(crate) fn last_of(state: &State) -> Option<u64> {
    let bytes = state.get(LAST).map_or(Some([0; 8]), |value| value.as_slice().try_into().ok())?;
    Some(u64::from_be_bytes(bytes))
}
