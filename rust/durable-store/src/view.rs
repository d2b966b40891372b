//! What can be read: the image, with what is logged but not yet in it laid over.

mod scan;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::image::KeyChange;
use crate::layer::{Layer, Says};
use crate::lock::StoreLock;
use crate::marker::Marker;
use crate::{Change, Image, Items, KeyRange, MAX_KEY_BYTES, Result, Seq, StoreError};
use scan::Scan;

/// The readable state of a store. One thread stages, any number read.
pub struct View {
    image: Arc<dyn Image>,
    marker: Arc<Marker>,
    layers: RwLock<Layers>,
    _lock: Arc<StoreLock>,
}

#[derive(Debug, Default)]
struct Layers {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    staged: Seq,
    /// Counts the times that a layer was frozen, or went into the image.
    generation: u64,
}

/// What one run of the checkpointer brings into the image.
#[derive(Debug)]
pub struct Frozen {
    /// The last batch in it: the log must be durable up to here before it is applied.
    pub upto: Seq,
    layer: Arc<Layer>,
}

impl Frozen {
    /// The changes, sorted.
    pub(crate) fn changes(&self) -> impl Iterator<Item = KeyChange> {
        self.layer.iter()
    }
}

impl View {
    pub(crate) fn new(image: Arc<dyn Image>, marker: Arc<Marker>, lock: Arc<StoreLock>) -> Self {
        let layers = Layers { staged: image.applied(), ..Layers::default() };
        Self { image, marker, layers: RwLock::new(layers), _lock: lock }
    }

    /// Makes a batch's changes readable at once. `seq` must be the number after the last one.
    pub fn stage(&self, seq: Seq, changes: &[Change]) -> Result<()> {
        if let Some(long) = changes.iter().find(|change| change.key.len() > MAX_KEY_BYTES) {
            let length = long.key.len();
            return Err(StoreError::refused(format!(
                "a key of {length} bytes is over the limit of {MAX_KEY_BYTES}"
            )));
        }
        self.stage_each(seq, changes, |change| change.is_new)
    }

    /// Stages what the log says again. The image may hold what a crash left of changes that come only
    /// now, so that no key counts as new.
    pub(crate) fn stage_again(&self, seq: Seq, changes: &[Change]) -> Result<()> {
        self.stage_each(seq, changes, |_| false)
    }

    fn stage_each(
        &self,
        seq: Seq,
        changes: &[Change],
        is_new: impl Fn(&Change) -> bool,
    ) -> Result<()> {
        let mut layers = self.write();
        let expected = layers.staged.saturating_add(1);
        if seq != expected {
            let why = format!("the view's next batch is {expected}, so it does not take {seq}");
            return Err(StoreError::refused(why));
        }
        for change in changes {
            layers.active.stage(change, is_new(change));
        }
        layers.staged = seq;
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let layers = self.read();
        let staged = match (layers.active.get(key), &layers.frozen) {
            (Says::Nothing, Some(frozen)) => frozen.get(key),
            (staged, _) => staged,
        };
        drop(layers);
        match staged {
            Says::Value(value) => Ok(Some(value)),
            Says::Gone => Ok(None),
            Says::Nothing => self.image.get(key).inspect_err(|error| self.distrust(error)),
        }
    }

    /// The records of a stretch of keys, each as of some moment between the call and its arrival.
    pub fn scan(&self, range: impl Into<KeyRange>) -> Items<'_> {
        Box::new(Scan::new(self, range.into()))
    }

    /// The last batch that was staged.
    pub fn staged(&self) -> Seq {
        self.read().staged
    }

    /// Bytes of memory, about, in changes that are not in the image yet.
    pub fn staged_bytes(&self) -> usize {
        let layers = self.read();
        let frozen = layers.frozen.as_ref().map_or(0, |layer| layer.bytes());
        layers.active.bytes().saturating_add(frozen)
    }

    /// Closes the layer that is filling, for [`crate::Checkpointer::run`]; `None`: there is nothing to
    /// apply, or the layer before is still being applied.
    pub fn freeze(&self) -> Option<Frozen> {
        let mut layers = self.write();
        let is_idle = layers.active.is_empty() && self.image.applied() == layers.staged;
        if layers.frozen.is_some() || is_idle {
            return None;
        }
        let layer = Arc::new(std::mem::take(&mut layers.active));
        layers.frozen = Some(Arc::clone(&layer));
        layers.generation = layers.generation.saturating_add(1);
        Some(Frozen { upto: layers.staged, layer })
    }

    /// The frozen layer is in the image.
    pub(crate) fn thaw(&self) {
        let mut layers = self.write();
        layers.generation = layers.generation.saturating_add(1);
        let gone = layers.frozen.take();
        drop(layers);
        drop(gone); // outside the lock: a large layer takes its time
    }

    pub(crate) fn image(&self) -> &dyn Image {
        &*self.image
    }

    /// An image that returned damage is made again at the next open.
    pub(crate) fn distrust(&self, error: &StoreError) {
        let StoreError::Corrupt { .. } = error else { return };
        // should this fail too, the damage is found again at the next read
        drop(self.marker.update(|recorded| recorded.is_image_bad = true));
    }

    fn read(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("staged", &self.staged()).finish_non_exhaustive()
    }
}
