//! Compares the cron calculator with a walk minute by minute: all time zones, 2000 to 2040, 40 patterns, 48 hours
//! around each change of a clock. Some minutes; `cargo run --profile ci -p durable-core --example cron_oracle`.

#![expect(clippy::print_stdout, reason = "a command tells what it found")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a broken oracle stops")]
#![expect(clippy::arithmetic_side_effects, reason = "seconds of forty years are small")]

#[path = "../tests/cron/oracle.rs"]
mod oracle;

use std::thread;

fn main() -> Result<(), String> {
    let zones = oracle::zones(|_| true);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let zones = &zones;
    let share = |first: usize| -> Result<oracle::Compared, String> {
        let mut sum = oracle::Compared::default();
        for zone in zones.iter().skip(first).step_by(threads) {
            let compared = oracle::compare(zone, (2000, 2041))?;
            println!("{zone}: {} changes, {} ticks agree", compared.changes, compared.ticks);
            add(&mut sum, &compared);
        }
        Ok(sum)
    };
    let mut sum = oracle::Compared::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        workers.into_iter().try_for_each(|worker| {
            let compared = worker.join().map_err(|_panic| "the oracle broke".to_owned())??;
            add(&mut sum, &compared);
            Ok::<_, String>(())
        })
    })?;
    println!("all agree: {sum:?}");
    Ok(())
}

fn add(sum: &mut oracle::Compared, compared: &oracle::Compared) {
    sum.zones += compared.zones;
    sum.changes += compared.changes;
    sum.ticks += compared.ticks;
}
