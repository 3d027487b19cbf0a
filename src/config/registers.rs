//! The types of components that a configuration can use.

use crate::{
    exporters::{self, ExporterType},
    extensions::{self, ExtensionType},
    processors::{self, ProcessorType},
    receivers::{self, ReceiverType},
};

/// The types of components that a configuration can use. Another program can add its own, as a
/// distribution of the Collector does.
#[derive(Debug, Clone)]
pub struct Registers {
    /// The types of receivers.
    pub receivers: Vec<ReceiverType>,
    /// The types of processors.
    pub processors: Vec<ProcessorType>,
    /// The types of exporters.
    pub exporters: Vec<ExporterType>,
    /// The types of extensions.
    pub extensions: Vec<ExtensionType>,
}

impl Registers {
    /// The types of this collector.
    pub fn builtin() -> Self {
        Self {
            receivers: receivers::TYPES.to_vec(),
            processors: processors::TYPES.to_vec(),
            exporters: exporters::TYPES.to_vec(),
            extensions: extensions::TYPES.to_vec(),
        }
    }
}
