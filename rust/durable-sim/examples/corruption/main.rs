//! Damages a store in every way a disk has, opens it, and compares all records with what must be there.
//!
//! `corruption KIND FOLDER COUNT SEED` works inside of the folder (in memory, for speed) and prints `tally N WHAT`
//! lines and a `violation WHAT` line for each store that was opened with fewer or other records and no error.
//! `newest-zeros` and `newest-other`: the newest frames of a store that was not closed are taken for a write that
//! a power cut tore, since zeros or another block stand where they were, and nothing comes after.

#[path = "../store_writer/model.rs"]
mod model;
#[path = "../store_writer/ours.rs"]
mod ours;
#[path = "../store_writer/victim.rs"]
mod victim;

mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use damage::{Chance, Damage};
use model::State;
use victim::Failure;

/// How many stores are written, each with another history; a trial damages a copy of one.
const TEMPLATE_COUNT: u64 = 12;
/// A run that finds this many is ended: there is enough to look at.
const VIOLATION_LIMIT: u64 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [kind, folder, count, seed] => Campaign::run(kind, Path::new(folder), count, seed),
        _ => Err("usage: corruption KIND FOLDER COUNT SEED".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(writeln!(io::stderr(), "{failure}"));
            ExitCode::from(2)
        }
    }
}

/// An undamaged store and what it holds.
struct Template {
    folder: PathBuf,
    files: Vec<PathBuf>,
    acked: u64,
    state: State,
    is_closed: bool,
}

struct Campaign {
    kind: String,
    folder: PathBuf,
    templates: Vec<Template>,
    tally: BTreeMap<String, u64>,
    violations: u64,
}

impl Campaign {
    fn run(kind: &str, folder: &Path, count: &str, seed: &str) -> Result<(), Failure> {
        std::panic::set_hook(Box::new(|_| {})); // a panic is counted, with its message
        let mut campaign = Self {
            kind: kind.to_owned(),
            folder: folder.to_owned(),
            templates: Vec::new(),
            tally: BTreeMap::new(),
            violations: 0,
        };
        let mut chance = Chance::new(seed.parse()?);
        for number in 0..TEMPLATE_COUNT {
            let template = campaign.template(number, &mut chance)?;
            campaign.templates.push(template);
        }
        let wanted: u64 = count.parse()?;
        let mut done = 0;
        while done < wanted && campaign.violations < VIOLATION_LIMIT {
            done += u64::from(campaign.trial(&mut chance)?);
        }
        campaign.tell(done)
    }

    /// Writes a store; every other one is copied while it is open, as a kill would leave it.
    fn template(&self, number: u64, chance: &mut Chance) -> Result<Template, Failure> {
        let written = self.folder.join("written");
        let folder = self.folder.join(format!("template-{number}"));
        fs::create_dir_all(&written)?;
        let mut store = victim::open(&self.kind, &written)?;
        let acked = 20 + chance.below(150);
        for last in 0..acked {
            store.append(vec![model::batch(last + 1)])?;
        }
        let is_closed = number.is_multiple_of(2);
        if is_closed {
            store.close()?;
            copy(&written, &folder)?;
        } else {
            copy(&written, &folder)?;
            store.close()?;
        }
        fs::remove_dir_all(&written)?;
        let files = files_below(&folder)?;
        Ok(Template { folder, files, acked, state: model::state_after(acked), is_closed })
    }

    /// One damage; false where it happened to change nothing.
    fn trial(&mut self, chance: &mut Chance) -> Result<bool, Failure> {
        let damaged = self.folder.join("damaged");
        let Some(template) = chance.pick(&self.templates) else { return Ok(false) };
        copy(&template.folder, &damaged)?;
        let Some(damage) = Damage::draw(&template.folder, &template.files, chance)? else {
            fs::remove_dir_all(&damaged)?;
            return Ok(false);
        };
        damage.inflict(&damaged)?;
        let mut verdict = judge(&self.kind, &damaged, template);
        let is_open = !template.is_closed && verdict.starts_with("fewer");
        if is_open && let Some(what) = damage.in_newest_frames(&template.folder)? {
            verdict = format!("newest-{what}");
        }
        let (word, detail) = verdict.split_once(' ').unwrap_or((&verdict, ""));
        let tallied = format!("{word}: {} in {}", damage.kind(), damage.file_kind());
        *self.tally.entry(tallied).or_default() += 1;
        if !matches!(word, "harmless" | "detected" | "newest-zeros" | "newest-other") {
            self.violations += 1;
            let closed = if template.is_closed { "closed" } else { "killed" };
            let line = format!(
                "violation {word} {detail}; {damage}; {closed} store of {} batches\n",
                template.acked
            );
            io::stdout().write_all(line.as_bytes())?;
        }
        fs::remove_dir_all(&damaged)?;
        Ok(true)
    }

    fn tell(&self, done: u64) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "tally {done} trials")?;
        for (what, count) in &self.tally {
            writeln!(out, "tally {count} {what}")?;
        }
        Ok(out.flush()?)
    }
}

/// `harmless`, `detected ..`, or what went wrong.
fn judge(kind: &str, folder: &Path, template: &Template) -> String {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let store = victim::open(kind, folder)?;
        let found = store.dump()?;
        drop(store.close()); // a failure to close is loud, and changes nothing of what was read
        Ok::<_, Failure>(found)
    }));
    match opened {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            format!("panic {text}").replace('\n', " ")
        }
        Ok(Err(failure)) => format!("detected {failure}").replace('\n', " "),
        Ok(Ok(found)) if found == template.state => "harmless".to_owned(),
        Ok(Ok(found)) => match model::last_of(&found) {
            Some(last) if found == model::state_after(last) => format!("fewer up to batch {last}"),
            _ => format!("other records, {} instead of {}", found.len(), template.state.len()),
        },
    }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("a path without a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
