//! How far the log is durable, for those who read ahead of it.

use durable_store::Seq;
use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

#[derive(Debug, Default)]
pub(crate) struct Watermark {
    state: Mutex<(Seq, Option<Error>)>,
    risen: Condvar,
}

impl Watermark {
    pub(crate) fn rise(&self, durable: Seq) {
        let mut state = self.state.lock();
        state.0 = state.0.max(durable);
        self.risen.notify_all();
    }

    /// It will not rise any more.
    pub(crate) fn fail(&self, error: Error) {
        self.state.lock().1.get_or_insert(error);
        self.risen.notify_all();
    }

    /// Waits until a turn is durable.
    pub(crate) fn wait(&self, seq: Seq) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                (durable, _) if *durable >= seq => return Ok(()),
                (_, Some(error)) => return Err(error.clone()),
                (_, None) => self.risen.wait(&mut state),
            }
        }
    }
}
