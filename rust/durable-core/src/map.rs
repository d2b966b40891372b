//! Hash maps whose order is never looked at, so that the same commands give the same bytes.

use std::hash::Hash;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// A hash map that can be asked for a key but not walked, except in sorted order.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V>(HashMap<K, V, FxBuildHasher>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(HashMap::with_hasher(FxBuildHasher))
    }
}

impl<K: Hash + Ord + Copy, V> Map<K, V> {
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.0.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.0.get_mut(&key)
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.0.contains_key(&key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.0.remove(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All entries by key. Costs a sort: for audits, not for turns.
    pub(crate) fn sorted(&self) -> Vec<(K, &V)> {
        let mut entries: Vec<(K, &V)> = self.0.iter().map(|(key, value)| (*key, value)).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }
}
