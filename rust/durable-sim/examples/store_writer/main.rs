//! The program that the crash tests kill: it appends batches to a store and says which are acknowledged.
//!
//! `store_writer write KIND FOLDER COUNT` prints `open N`, then `ack N` for each durable group, then `done`; after
//! the first failure `fail WHY`, and whatever is acknowledged after that.
//! `store_writer verify KIND FOLDER ACKED` prints one line: `ok N`, `lost ..`, `wrong ..` or `refused ..`.

mod model;
mod ours;
mod victim;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use victim::{Failure, Victim};

/// How many more groups are tried after one has failed: none of them may be acknowledged.
const TRIES_AFTER_FAILURE: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["write", kind, folder, count] => {
            number(count).and_then(|count| write(kind, Path::new(folder), count))
        }
        ["verify", kind, folder, acked] => {
            number(acked).and_then(|acked| verify(kind, Path::new(folder), acked))
        }
        _ => Err("usage: store_writer write|verify KIND FOLDER NUMBER".into()),
    };
    outcome.unwrap_or_else(|failure| {
        // Nothing is left to tell when stderr is closed.
        drop(writeln!(io::stderr(), "{failure}"));
        ExitCode::from(2)
    })
}

fn number(text: &str) -> Result<u64, Failure> {
    Ok(text.parse()?)
}

/// One line, in one system call: the harness sees all of it or nothing.
fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}

fn write(kind: &str, folder: &Path, count: u64) -> Result<ExitCode, Failure> {
    let mut store = match victim::open(kind, folder) {
        Ok(store) => store,
        Err(failure) => return refused(&*failure),
    };
    let first = match store.dump() {
        Ok(state) => model::last_of(&state).ok_or("the number of the last batch is damaged")?,
        Err(failure) => return refused(&*failure),
    };
    say(&format!("open {first}"))?;
    let mut last = first;
    while last < first.saturating_add(count) {
        let size = last % 4 + 1; // groups of 1 to 4 batches
        if let Err(failure) = append(&mut *store, last, size) {
            return after_failure(&mut *store, last.saturating_add(size), &*failure);
        }
        last = last.saturating_add(size);
        say(&format!("ack {last}"))?;
    }
    if let Err(failure) = store.close() {
        say(&format!("fail {}", one_line(&*failure)))?;
        return Ok(ExitCode::from(5));
    }
    say("done")?;
    Ok(ExitCode::SUCCESS)
}

fn append(store: &mut dyn Victim, last: u64, size: u64) -> Result<(), Failure> {
    store.append((1..=size).map(|ahead| model::batch(last.saturating_add(ahead))).collect())
}

fn refused(failure: &dyn std::error::Error) -> Result<ExitCode, Failure> {
    say(&format!("refused {}", one_line(failure)))?;
    Ok(ExitCode::from(3))
}

fn one_line(failure: &dyn std::error::Error) -> String {
    format!("{failure}").replace('\n', " ")
}

/// Goes on as a careless caller would; the store has to refuse.
fn after_failure(
    store: &mut dyn Victim,
    mut last: u64,
    failure: &dyn std::error::Error,
) -> Result<ExitCode, Failure> {
    say(&format!("fail {}", one_line(failure)))?;
    for _ in 0..TRIES_AFTER_FAILURE {
        last = last.saturating_add(1);
        if append(store, last.saturating_sub(1), 1).is_ok() {
            say(&format!("ack {last}"))?;
        }
    }
    Ok(ExitCode::from(5))
}

fn verify(kind: &str, folder: &Path, acked: u64) -> Result<ExitCode, Failure> {
    let found = match victim::open(kind, folder).and_then(|store| store.dump()) {
        Ok(state) => state,
        Err(failure) => return refused(&*failure),
    };
    let verdict = match model::last_of(&found) {
        None => "wrong number of the last batch".to_owned(),
        Some(last) if found != model::state_after(last) => format!("wrong records at batch {last}"),
        Some(last) if last < acked => format!("lost batches {} to {acked}", last.saturating_add(1)),
        Some(last) => format!("ok {last}"),
    };
    say(&verdict)?;
    Ok(ExitCode::from(u8::from(!verdict.starts_with("ok")).wrapping_mul(4)))
}
