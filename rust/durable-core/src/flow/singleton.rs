//! Who holds a name: a singleton's only run, the one that still gathers events for a key, or the step that
//! waits for a signal.

use super::names::Named;
use crate::id::RunId;

/// Names, each with the one that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Holders<T = RunId>(Named<T>);

impl<T: Copy + Ord> Holders<T> {
    pub(crate) fn new(secret: u64) -> Self {
        Self(Named::new(secret))
    }

    pub(crate) fn holder(&self, name: &[u8]) -> Option<T> {
        self.0.number(name).and_then(|number| self.0.get(number)).copied()
    }

    /// Takes a name that nobody holds; the first keeps it.
    pub(crate) fn take(&mut self, name: &[u8], holder: T) {
        self.0.find_or_add(name, || holder);
    }

    /// Gives a name back, if it is this one that holds it.
    pub(crate) fn let_go(&mut self, name: &[u8], holder: T) {
        if let Some(number) = self.0.number(name).filter(|_| self.holder(name) == Some(holder)) {
            self.0.remove(number);
        }
    }

    /// All of them by name: for audits.
    pub(crate) fn all(&self) -> Vec<(Box<[u8]>, T)> {
        self.those(|_| true)
    }

    /// Those whose names are wanted, in order: for deploys and whoever asks, not for turns.
    pub(crate) fn those(&self, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<(Box<[u8]>, T)> {
        let wanted = self.0.all().filter(|(_, name, _)| is_wanted(name));
        let mut wanted: Vec<_> = wanted.map(|(_, name, run)| (name.into(), *run)).collect();
        wanted.sort_unstable();
        wanted
    }
}
