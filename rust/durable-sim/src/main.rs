//! `durable-sim campaign --seeds N --from S` and `durable-sim --seed N`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its caller")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use durable_sim::campaign::Campaign;
use durable_sim::world::run;

/// From here on rare branches must have been reached.
const ENOUGH: u64 = 2_000;

const USAGE: &str = "durable-sim campaign [--seeds N] [--from S]   many worlds, a JSON summary
durable-sim --seed N [--loud]                 one world; --loud tells all that happens in it";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place.saturating_add(1))?.parse::<u64>().ok()
    };
    std::panic::set_hook(Box::new(|_| {})); // a panic is a finding, and printed as one
    if let Some(seed) = number("--seed") {
        return one(seed, words.iter().any(|word| word == "--loud"));
    }
    if words.first().is_some_and(|word| word == "campaign") {
        return many(number("--from").unwrap_or(0), number("--seeds").unwrap_or(10_000));
    }
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}

fn one(seed: u64, is_loud: bool) -> ExitCode {
    match run(seed, None, is_loud) {
        Ok(outcome) => {
            println!("seed {seed}: {} turns, hash {:016x}", outcome.turns, outcome.hash);
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!("{finding}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, count: u64) -> ExitCode {
    let begin = Instant::now();
    let mut campaign = Campaign::default();
    let mut told = Duration::ZERO;
    for seed in from..from.saturating_add(count) {
        let known = campaign.findings.len();
        campaign.go_on(seed, None);
        if let Some(finding) = campaign.findings.get(known) {
            eprintln!("{finding}");
        }
        if begin.elapsed().saturating_sub(told) > Duration::from_secs(5) {
            told = begin.elapsed();
            let (done, found) = (campaign.seeds, campaign.findings.len());
            eprintln!("{done} of {count} seeds, {} s, {found} findings", told.as_secs());
        }
    }
    println!("{}", campaign.to_json());
    let missing = if count < ENOUGH { Vec::new() } else { campaign.tally.never_reached() };
    if !missing.is_empty() {
        eprintln!("never reached: {}", missing.join(", "));
    }
    eprintln!("{count} seeds in {:.1} s", begin.elapsed().as_secs_f64());
    if missing.is_empty() && campaign.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
