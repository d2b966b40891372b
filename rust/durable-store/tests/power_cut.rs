//! The power goes, the process is killed, calls fail: what was acknowledged is there, whole.

use durable_store::ImageKind;
use durable_store::conformance::{Accident, Lives, Verdict, World};

/// Runs worlds of ten lives each; a failing seed is named.
fn run(seeds: std::ops::Range<u64>, kind: ImageKind) -> Result<Lives, String> {
    let mut total = Lives::default();
    for seed in seeds {
        let lives = run_one(seed, kind).map_err(|why| format!("seed {seed}: {why}"))?;
        total.states += lives.states;
        total.acknowledged += lives.acknowledged;
        total.found_unacknowledged += lives.found_unacknowledged;
        total.torn += lives.torn;
        total.failed_opens += lives.failed_opens;
    }
    Ok(total)
}

fn run_one(seed: u64, kind: ImageKind) -> Result<Lives, String> {
    let mut world = World::new(seed, kind);
    let accidents = [Accident::PowerCut, Accident::PowerCut, Accident::Kill, Accident::None];
    for accident in accidents.into_iter().cycle().skip(usize::from(seed.is_multiple_of(2))).take(10)
    {
        world.live(accident)?;
    }
    Ok(world.lives)
}

/// In more than ten thousand states after accidents, all that was acknowledged is there and no batch is torn.
#[test]
fn every_acknowledged_batch_survives_any_accident() -> Verdict {
    let lives = run(0..600, ImageKind::Memory)?;
    println!("{lives:?}");
    assert!(lives.states >= 10_000, "too few states: {lives:?}");
    assert!(lives.torn > 100, "the accidents are too mild to prove anything: {lives:?}");
    Ok(())
}

/// The same with an image that is on the disk too.
#[test]
fn every_acknowledged_batch_survives_with_redb() -> Verdict {
    let lives = run(0..20, ImageKind::Redb)?;
    println!("{lives:?}");
    Ok(())
}
