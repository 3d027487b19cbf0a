//! The stage of processors that change no readings.

use crate::pipeline::{Batch, Stage};

/// Returns its input.
pub(super) struct Noop;

impl Stage for Noop {
    fn process(&mut self, batch: Batch) -> Batch {
        batch
    }
}
