//! The stage of processors that change no readings.

use crate::pipeline::{Batch, Stage};

/// Gives what comes.
pub(super) struct Noop;

impl Stage for Noop {
    fn process(&mut self, batch: Batch) -> Batch {
        batch
    }
}
