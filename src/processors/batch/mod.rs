//! `batch`: accepted so that a configuration of the Collector loads.
//!
//! ```yaml
//! processors:
//!   batch:
//! ```
//!
//! It passes everything on: each exporter makes its own batches, as the Collector's own plan is
//! for the time after this processor. A warning says where to set them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    pipeline::{Processor, Stage, Stream},
    processors::noop::Noop,
    settings::Duration,
    yaml::{Cursor, Diagnostics},
};

/// Passes everything on; batches are made by `sending_queue::batch` of each exporter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Has no effect: see `sending_queue::batch::flush_timeout` of the exporter.
    pub timeout: Option<Duration>,
    /// Has no effect: see `sending_queue::batch::min_size` of the exporter.
    pub send_batch_size: Option<u64>,
    /// Has no effect: see `sending_queue::batch::max_size` of the exporter.
    pub send_batch_max_size: Option<u64>,
}

impl Config {
    /// Says that it does nothing, and what does.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let message = "passes everything on: batches are made by each exporter, as its `sending_queue::batch` says";
        at.warning(&[], message, diagnostics);
    }

    /// Makes the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        Arc::new(Nothing)
    }
}

/// The processor.
struct Nothing;

impl Processor for Nothing {
    fn open(&self, _stream: &mut Stream) -> Box<dyn Stage> {
        Box::new(Noop)
    }
}
