//! A world is its seed: twice the same seed is twice the same bytes, and another seed is another world.

use std::collections::BTreeSet;

use durable_sim::world::run;

#[test]
fn a_seed_run_twice_writes_and_says_the_same() {
    for seed in 500..540 {
        assert_eq!(run(seed, None, false), run(seed, None, false), "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_world() {
    let hashes: BTreeSet<u64> =
        (600..620).filter_map(|seed| Some(run(seed, None, false).ok()?.hash)).collect();
    assert_eq!(hashes.len(), 20);
}
