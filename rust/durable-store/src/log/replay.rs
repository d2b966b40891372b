//! Reading the batches of a log back, each verified.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::recover::check_heading;
use super::segment::{Found, Link, Reader, path_of};
use crate::disk::Disk;
use crate::{Result, Seq, StoreError};

/// Walks over the segments.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    /// The segments that were not begun yet.
    ahead: VecDeque<Seq>,
    wanted: Range<Seq>,
    current: Option<(PathBuf, Reader, Link)>,
    ready: VecDeque<(Seq, Bytes)>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        folder: &'a Path,
        firsts: Vec<Seq>,
        wanted: Range<Seq>,
    ) -> Self {
        let begin = firsts.partition_point(|first| *first <= wanted.start).saturating_sub(1);
        let ahead = firsts.into_iter().skip(begin).collect();
        let is_over = wanted.is_empty();
        Self { disk, folder, ahead, wanted, current: None, ready: VecDeque::new(), is_over }
    }

    /// Reads one more frame; false: the last batch was read.
    fn advance(&mut self) -> Result<bool> {
        let Some((path, reader, link)) = &mut self.current else {
            let Some(first) = self.ahead.pop_front() else { return Ok(false) };
            if first > self.wanted.start {
                let why = format!("the log begins with batch {first}, not {}", self.wanted.start);
                return Err(StoreError::corrupt(&path_of(self.folder, first), 0, why));
            }
            self.current = Some(self.enter(first, None)?);
            return Ok(true);
        };
        if link.next >= self.wanted.end {
            return Ok(false);
        }
        if self.ahead.front() == Some(&link.next) {
            let link = *link;
            self.ahead.pop_front();
            self.current = Some(self.enter(link.next, Some(&link))?);
            return Ok(true);
        }
        let why = match reader.find(link)? {
            Found::Frame(header, batches) => {
                *link = link.after(&header);
                self.ready.extend(batches);
                return Ok(true);
            }
            Found::Nothing => "frames are missing here",
            Found::Torn(why) | Found::Damaged(why) => why,
        };
        Err(StoreError::corrupt(path, link.position, why))
    }

    /// A batch out of the last frame, but for those before the first one wanted.
    fn take_ready(&mut self) -> Option<(Seq, Bytes)> {
        let unwanted = self.ready.iter().take_while(|(seq, _)| *seq < self.wanted.start).count();
        drop(self.ready.drain(..unwanted));
        self.ready.pop_front()
    }

    fn enter(&self, first: Seq, before: Option<&Link>) -> Result<(PathBuf, Reader, Link)> {
        let path = path_of(self.folder, first);
        let (reader, heading) = Reader::open(self.disk, &path)?;
        if let Some(link) = before {
            check_heading(&path, &heading, link.store, first)?;
            if heading.before != link.before {
                return Err(StoreError::corrupt(&path, 0, "it does not continue the file before"));
            }
        }
        Ok((path, reader, Link::at_start(&heading)))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Seq, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.take_ready() {
                return Some(Ok(ready));
            }
            if self.is_over {
                return None;
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
