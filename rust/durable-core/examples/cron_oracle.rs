//! Compares the cron calculator with a walk minute by minute: all time zones, 2000 to 2040, 40 patterns, 48 hours
//! around each change of a clock. Some minutes; `cargo run --profile ci -p durable-core --example cron_oracle`.

#![expect(clippy::print_stdout, reason = "a command tells what it found")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a broken oracle stops")]
#![expect(clippy::arithmetic_side_effects, reason = "seconds of forty years are small")]

#[path = "../tests/cron/oracle.rs"]
mod oracle;

use std::sync::Mutex;
use std::thread;

fn main() -> Result<(), String> {
    let zones = oracle::zones(|_| true);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (next, sum) = (Mutex::new(zones.iter()), Mutex::new(oracle::Compared::default()));
    let work = || -> Result<(), String> {
        while let Some(zone) = { next.lock().unwrap().next() } {
            let compared = oracle::compare(zone, (2000, 2041))?;
            let mut sum = sum.lock().unwrap();
            sum.zones += compared.zones;
            sum.changes += compared.changes;
            sum.ticks += compared.ticks;
            println!("{zone}: {} changes, {} ticks agree", compared.changes, compared.ticks);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap())
    })?;
    println!("all agree: {:?}", sum.into_inner().unwrap());
    Ok(())
}
