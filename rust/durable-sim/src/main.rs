//! `durable-sim campaign --seeds N --from S` and `durable-sim --seed N`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its caller")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use durable_sim::campaign::Campaign;
use durable_sim::world::{run, run_dense};

/// From here on rare branches must have been reached.
const ENOUGH: u64 = 2_000;

const USAGE: &str = "durable-sim campaign [--seeds N] [--from S]    many worlds, a JSON summary
durable-sim decisions [--count N] [--from S]   worlds about flow control, until so much is decided
durable-sim races [--count N] [--from S]       tiny worlds about waits, invokes and cancel_on
durable-sim --seed N [--dense] [--loud]        one world, or one about flow control; --loud tells all of it";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| words.iter().any(|word| word == name);
    let number = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place.saturating_add(1))?.parse::<u64>().ok()
    };
    std::panic::set_hook(Box::new(|_| {})); // a panic is a finding, and printed as one
    let from = number("--from").unwrap_or(0);
    if let Some(seed) = number("--seed") {
        return one(seed, has("--dense"), has("--loud"));
    }
    if has("campaign") {
        let count = number("--seeds").unwrap_or(10_000);
        let is_over = |campaign: &Campaign| campaign.seeds >= count;
        return many(from, is_over, Campaign::go_on_usual, count >= ENOUGH);
    }
    if has("decisions") {
        let count = number("--count").unwrap_or(10_000_000);
        let is_over = |campaign: &Campaign| campaign.decisions() >= count;
        return many(from, is_over, Campaign::go_on_dense, false);
    }
    if has("races") {
        return races(from, number("--count").unwrap_or(1_000_000));
    }
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}

fn races(from: u64, count: u64) -> ExitCode {
    let begin = Instant::now();
    for seed in from..from.saturating_add(count) {
        let outcome = std::panic::catch_unwind(|| durable_sim::races::race(seed));
        let outcome = outcome.unwrap_or_else(|_| Err(format!("seed {seed}: it panicked")));
        if let Err(finding) = outcome {
            println!("{finding}");
            return ExitCode::FAILURE;
        }
    }
    println!("{count} schedules in {:.1} s, nothing found", begin.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn one(seed: u64, is_dense: bool, is_loud: bool) -> ExitCode {
    let outcome = if is_dense { run_dense(seed, None, is_loud) } else { run(seed, None, is_loud) };
    match outcome {
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

fn many(
    from: u64,
    is_over: impl Fn(&Campaign) -> bool,
    go_on: fn(&mut Campaign, u64),
    wants_all: bool,
) -> ExitCode {
    let begin = Instant::now();
    let mut campaign = Campaign::default();
    let mut told = Duration::ZERO;
    for seed in from.. {
        if is_over(&campaign) {
            break;
        }
        let known = campaign.findings.len();
        go_on(&mut campaign, seed);
        if let Some(finding) = campaign.findings.get(known) {
            eprintln!("{finding}");
        }
        if begin.elapsed().saturating_sub(told) > Duration::from_secs(5) {
            told = begin.elapsed();
            let (done, found) = (campaign.seeds, campaign.findings.len());
            let decided = campaign.decisions();
            eprintln!("{done} seeds, {decided} decisions, {} s, {found} findings", told.as_secs());
        }
    }
    println!("{}", campaign.to_json());
    let missing = if wants_all { campaign.tally.never_reached() } else { Vec::new() };
    if !missing.is_empty() {
        eprintln!("never reached: {}", missing.join(", "));
    }
    let (seeds, decided) = (campaign.seeds, campaign.decisions());
    eprintln!("{seeds} seeds, {decided} decisions in {:.1} s", begin.elapsed().as_secs_f64());
    if missing.is_empty() && campaign.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
