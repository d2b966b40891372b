//! Each deliberate mistake in the driver or the store must be found, or the simulator finds nothing.

use durable_sim::chance::Chance;
use durable_sim::mistake::Mistake;
use durable_sim::mix::Mix;
use durable_sim::world::run;

/// The first seed that shows a mistake, and what it says.
fn first_finding(mistake: Mistake, most: u64) -> Option<(u64, String)> {
    (0..most).find_map(|seed| Some((seed, run(seed, Some(mistake), false).err()?.what)))
}

/// The store's own log on its simulated disk: what is written and not synced does not survive each cut.
#[test]
fn a_log_that_is_not_synced_is_found_on_the_simulated_disk() {
    let on_disk = |seed: &u64| Mix::draw(&mut Chance::new(*seed)).has_disk;
    let mut found = (0..400).filter(on_disk).filter_map(|seed| {
        run(seed, Some(Mistake::SkipsSync), false).err().map(|finding| finding.what)
    });
    assert!(found.any(|what| what.contains("after a crash")));
}

#[test]
fn every_mistake_is_found_within_its_number_of_seeds() {
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<_> = Mistake::ALL.map(|mistake| (mistake, first_finding(mistake, 300))).into();
    for (mistake, finding) in &found {
        let what = finding.as_ref().map(|(_, what)| what.chars().take(120).collect::<String>());
        println!("{mistake:?}: seed {:?}: {what:?}", finding.as_ref().map(|(seed, _)| seed));
    }
    let missed: Vec<_> = found.iter().filter(|(_, finding)| finding.is_none()).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
