//! `batch`: accepted so that a configuration of the Collector loads.
//!
//! ```yaml
//! processors:
//!   batch:
//! ```
//!
//! It passes everything on: each exporter makes its own batches, which is also the Collector's plan
//! after the removal of this processor. A warning names the keys to use.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    pipeline::{Processor, Stage, Stream},
    processors::{
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        foreign,
        noop::Noop,
    },
    settings::Duration,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "batch",
    aliases: &[],
    about: "Passes everything on: each exporter makes its own batches.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::BATCH,
    decode: contract::decode::<Config>,
};

/// Passes everything on. Each exporter makes its batches as its `sending_queue::batch` says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// No effect: use `sending_queue::batch::flush_timeout` of the exporter.
    pub timeout: Option<Duration>,
    /// No effect: use `sending_queue::batch::min_size` of the exporter.
    pub send_batch_size: Option<u64>,
    /// No effect: use `sending_queue::batch::max_size` of the exporter.
    pub send_batch_max_size: Option<u64>,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let message = "passes everything on: batches are made by each exporter, as its `sending_queue::batch` says";
        at.warning(&[], message, diagnostics);
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
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
