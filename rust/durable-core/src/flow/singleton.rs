//! Which run holds a name: a singleton's only run, or the one that still gathers events for a key.

use super::names::Named;
use crate::id::RunId;

/// Names, each with the one run that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Holders(Named<RunId>);

impl Holders {
    pub(crate) fn new(secret: u64) -> Self {
        Self(Named::new(secret))
    }

    pub(crate) fn holder(&self, name: &[u8]) -> Option<RunId> {
        self.0.number(name).and_then(|number| self.0.get(number)).copied()
    }

    /// A run takes a name that nobody holds; the first keeps it.
    pub(crate) fn take(&mut self, name: &[u8], run: RunId) {
        self.0.find_or_add(name, || run);
    }

    /// A run gives a name back, if it is the one that holds it.
    pub(crate) fn let_go(&mut self, name: &[u8], run: RunId) {
        if let Some(number) = self.0.number(name).filter(|_| self.holder(name) == Some(run)) {
            self.0.remove(number);
        }
    }

    /// All of them by name: for audits.
    pub(crate) fn all(&self) -> Vec<(Box<[u8]>, RunId)> {
        self.those(|_| true)
    }

    /// Those whose names are wanted, in order: for deploys and whoever asks, not for turns.
    pub(crate) fn those(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<(Box<[u8]>, RunId)> {
        let wanted = self.0.all().filter(|(_, name, _)| is_wanted(name));
        let mut wanted: Vec<_> = wanted.map(|(_, name, run)| (name.into(), *run)).collect();
        wanted.sort_unstable();
        wanted
    }
}
