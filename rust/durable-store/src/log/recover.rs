//! Finding the log's end after any ending: what a crash tore is cut, what was damaged is an error.
//!
//! What cannot be told from a crash: whole sectors of the very last frames that now hold zeros, where
//! neither a later frame nor the marker (written when a segment begins, when a checkpoint is done and
//! at a clean close) says that these frames were on the disk.

use std::path::Path;

use super::replay::Walk;
use super::segment::{Found, Heading, Link, Reader, list, path_of};
use super::shelf::{DRAFT, Shelf};
use crate::disk::{Disk, Handle, OpenMode, bytes_u64, bytes_usize};
use crate::marker::Recorded;
use crate::{Result, Seq, StoreError};

/// Where the log goes on.
#[derive(Debug)]
pub(super) struct Tail {
    /// The newest segment.
    pub(super) file: Handle,
    /// Where its next frame goes, and what that must continue.
    pub(super) link: Link,
    /// How long the file is.
    pub(super) allocated: u64,
    /// Bytes that were cut off.
    pub(super) cut_bytes: u64,
}

/// What reading the newest segment showed.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) link: Link,
    /// From here on the frames may be in memory only, although they can be read.
    unproven_from: u64,
    /// Up to here there is something that is no frame.
    garbage_to: u64,
    length: u64,
}

/// The names of the log's segments, verified against what was recorded.
pub(crate) fn inventory(disk: &dyn Disk, folder: &Path, recorded: &Recorded) -> Result<Vec<Seq>> {
    let mut firsts = list(disk, folder)?;
    firsts.retain(|first| *first >= recorded.oldest);
    if firsts.first() != Some(&recorded.oldest) {
        let path = path_of(folder, recorded.oldest);
        return Err(StoreError::corrupt(&path, 0, "this file of the log is missing"));
    }
    if !firsts.contains(&recorded.newest) {
        let path = path_of(folder, recorded.newest);
        return Err(StoreError::corrupt(&path, 0, "this file of the log is missing"));
    }
    Ok(firsts)
}

/// Reads the newest segment up to its end, and tells a torn end from damage.
pub(super) fn survey(
    disk: &dyn Disk,
    folder: &Path,
    first: Seq,
    recorded: &Recorded,
) -> Result<Survey> {
    let path = path_of(folder, first);
    let (mut reader, heading) = Reader::open(disk, &path)?;
    check_heading(&path, &heading, recorded.store, first)?;
    let mut link = Link::at_start(&heading);
    let mut known = recorded.durable.max(recorded.applied).max(recorded.snapshot);
    let mut unproven: Vec<(Seq, u64)> = Vec::new();
    let found = loop {
        match reader.find(&link)? {
            Found::Frame(header, _) => {
                known = known.max(header.durable);
                unproven.retain(|(last, _)| *last > known);
                unproven.push((header.last(), link.position));
                link = link.after(&header);
            }
            found @ (Found::Nothing | Found::Torn(_) | Found::Damaged(_)) => break found,
        }
    };
    let damaged = |why: String| Err(StoreError::corrupt(&path, link.position, why));
    match found {
        Found::Damaged(why) => return damaged(why.to_owned()),
        Found::Frame(..) | Found::Nothing | Found::Torn(_) if link.next <= known => {
            return damaged(format!("batch {} was on the disk, and is no longer", link.next));
        }
        Found::Frame(..) | Found::Nothing | Found::Torn(_) => {}
    }
    if reader.is_empty_from(link.position)? {
        let garbage_to = link.position;
        return Ok(Survey::new(link, known, &unproven, (garbage_to, reader.length())));
    }
    if let Some(at) = reader.find_proof(&link)? {
        return damaged(format!("batch {} was on the disk, as the frame at {at} says", link.next));
    }
    Ok(Survey::new(link, known, &unproven, (reader.length(), reader.length())))
}

impl Survey {
    fn new(link: Link, known: Seq, unproven: &[(Seq, u64)], (to, length): (u64, u64)) -> Self {
        let first_unproven = unproven.iter().find(|(last, _)| *last > known);
        let unproven_from = first_unproven.map_or(link.position, |(_, position)| *position);
        Self { link, unproven_from, garbage_to: to, length }
    }
}

/// The batches of a log from its first to its last, each verified; nothing is repaired.
pub(crate) fn inspect<'a>(
    disk: &'a dyn Disk,
    folder: &'a Path,
    recorded: &Recorded,
) -> Result<Walk<'a>> {
    let firsts = inventory(disk, folder, recorded)?;
    let first = firsts.first().copied().unwrap_or(recorded.oldest);
    let newest = firsts.last().copied().unwrap_or(recorded.newest);
    let end = survey(disk, folder, newest, recorded)?.link.next;
    Ok(Walk::new(disk, folder, firsts, first..end))
}

/// Finds the end of the log and makes it fit to be written on.
pub(super) fn recover(shelf: &Shelf) -> Result<Tail> {
    let recorded = shelf.marker().read();
    let firsts = inventory(shelf.disk(), shelf.folder(), &recorded)?;
    sweep(shelf, recorded.oldest)?;
    // a name that an earlier process could not sync is as good as lost, though it can be seen
    shelf.sync_folder()?;
    let newest = firsts.last().copied().unwrap_or(recorded.newest);
    for first in &firsts {
        let path = path_of(shelf.folder(), *first);
        let file = Handle::open(shelf.disk(), &path, OpenMode::Read)?;
        let heading = Heading::read(&file)?;
        check_heading(&path, &heading, recorded.store, *first)?;
        shelf.add(*first);
        if *first < newest {
            shelf.count_found(file.length()?);
        }
    }
    let survey = survey(shelf.disk(), shelf.folder(), newest, &recorded)?;
    let path = path_of(shelf.folder(), newest);
    let file = Handle::open(shelf.disk(), &path, OpenMode::Write)?;
    let last = survey.link.next.saturating_sub(1);
    let is_whole = survey.garbage_to == survey.link.position;
    let mut allocated = survey.length;
    if !(recorded.is_closed && recorded.durable == last && is_whole) {
        allocated = settle(&file, &survey)?;
    }
    shelf.marker().update(|recorded| {
        recorded.durable = last;
        recorded.newest = newest;
        recorded.is_closed = false;
    })?;
    shelf.count_found(survey.link.position);
    let cut_bytes = survey.garbage_to.saturating_sub(survey.link.position);
    Ok(Tail { file, link: survey.link, allocated, cut_bytes })
}

/// Writes the frames again that may be in memory only, and zeros over what was cut: what can be read
/// now can be read after the next power cut too. The file's new length.
fn settle(file: &Handle, survey: &Survey) -> Result<u64> {
    let end = survey.link.position;
    let length = end.saturating_add(bytes_u64(super::frame::HEADER_BYTES)).next_multiple_of(4096);
    let frames =
        file.read(survey.unproven_from, bytes_usize(end.saturating_sub(survey.unproven_from)))?;
    file.set_length(length)?;
    file.write(survey.unproven_from, &frames)?;
    file.write_zeros(end, length)?;
    file.sync()?;
    Ok(length)
}

/// Removes what a crash left of segments that were being made or taken away.
fn sweep(shelf: &Shelf, oldest: Seq) -> Result<()> {
    let folder = shelf.folder();
    let names = shelf.disk().list(folder);
    let names = names.map_err(|error| StoreError::io("readdir", folder, error))?;
    for name in names.iter().filter(|name| name.starts_with(DRAFT)) {
        shelf.remove(&folder.join(name))?;
    }
    for first in list(shelf.disk(), shelf.folder())? {
        if first < oldest {
            shelf.remove(&path_of(shelf.folder(), first))?;
        }
    }
    Ok(())
}

/// Refuses a segment that is not what its name says.
pub(super) fn check_heading(path: &Path, heading: &Heading, store: u64, first: Seq) -> Result<()> {
    if heading.store != store {
        return Err(StoreError::corrupt(path, 0, "the file belongs to another store"));
    }
    if heading.first != first {
        let why = format!("the file has another name than batch {}", heading.first);
        return Err(StoreError::corrupt(path, 0, why));
    }
    Ok(())
}
