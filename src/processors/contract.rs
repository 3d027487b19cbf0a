//! The contract of processors. Nothing outside of `processors/` knows which ones there are.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::mentions::Mention;
use crate::{
    pipeline::{Processor, StatusBoard},
    runtime::Clock,
    settings::{ComponentConfig, ComponentType},
    telemetry::Meter,
    yaml::{self, Cursor, Diagnostics, Foreign},
};

/// A type of processor.
pub type ProcessorType = ComponentType<dyn ProcessorConfig>;

/// The settings of a processor.
pub trait ProcessorConfig: ComponentConfig {
    /// Checks what the types cannot check. Mistakes go to `diagnostics`.
    fn check(&self, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) {}

    /// Builds the processor for one pipeline.
    fn build(&self, context: &ProcessorContext<'_>) -> Arc<dyn Processor>;

    /// All metrics that the settings name, without those that the processor itself creates.
    fn mentions(&self) -> Vec<Mention> {
        Vec::new()
    }

    /// The name of the target that it creates, if it creates one. Its metrics are not known before
    /// the processor runs.
    fn created_target(&self) -> Option<&str> {
        None
    }

    /// Whether it changes the names of metrics, in a way that depends only on the definition.
    fn changes_names(&self) -> bool {
        false
    }

    /// Whether it changes nothing except OTLP messages.
    fn needs_otlp(&self) -> bool {
        false
    }
}

/// What a processor needs in addition to its settings.
#[derive(Debug)]
pub struct ProcessorContext<'a> {
    /// The id of the processor, for example `filter/eu`.
    pub id: &'a str,
    /// Creates the processor's own metrics.
    pub meter: &'a Meter,
    /// The time of day.
    pub clock: &'a Clock,
    /// The targets, whose cached answers can be cleared.
    pub board: &'a Arc<StatusBoard>,
}

/// Decodes and checks the settings `T`.
pub(super) fn decode<T: ProcessorConfig + DeserializeOwned>(
    foreign: &'static Foreign,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<dyn ProcessorConfig>> {
    let config: T = yaml::decode_foreign(at.node, &at.path, foreign, diagnostics)?;
    config.check(at, diagnostics);
    Some(Arc::new(config))
}
