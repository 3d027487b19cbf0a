//! The contract of exporters. Nothing outside of `exporters/` knows which ones there are.

use std::{path::Path, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    client::auth::Authenticators,
    delivery::{DeliveryContext, Storages},
    http::{Listeners, ServerConfig},
    pipeline::{Exporter, Probe, Reporter, StateStore},
    runtime::{Clock, Tasks},
    settings::{BuildError, ComponentConfig, ComponentType, ExtensionUse},
    telemetry::Meter,
    yaml::{self, Cursor, Diagnostics, Foreign},
};

/// A type of exporter.
pub type ExporterType = ComponentType<dyn ExporterConfig>;

/// The settings of an exporter.
pub trait ExporterConfig: ComponentConfig {
    /// Checks what the types cannot check. Mistakes go to `diagnostics`.
    fn check(&self, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) {}

    /// Warns about settings that are valid but probably not intended. It is called only if the
    /// whole configuration has no mistake.
    fn warn(&self, _at: &Cursor<'_>, _diagnostics: &mut Diagnostics) {}

    /// The extensions that it uses. If one of them changes, the exporter is built again.
    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        Vec::new()
    }

    /// The listener of the exporter, if it has one.
    fn listens_on(&self) -> Option<ServerConfig> {
        None
    }

    /// The file that it writes, if it writes one. No other exporter may write it.
    fn writes_file(&self) -> Option<WrittenFile<'_>> {
        None
    }

    /// Whether it sends OTLP, which has deltas.
    fn speaks_otlp(&self) -> bool {
        false
    }

    /// Whether many configurations define it without using it, to look at the data of a pipeline
    /// later.
    fn is_for_inspection(&self) -> bool {
        false
    }

    /// Builds the exporter, within a tokio runtime. Its tasks start at once.
    ///
    /// # Errors
    /// If its destination cannot be used, or another component has its path.
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError>;
}

/// A file that an exporter writes.
#[derive(Debug, Clone, Copy)]
pub struct WrittenFile<'c> {
    /// Its path.
    pub path: &'c Path,
    /// The key that names it.
    pub key: &'static str,
}

/// What an exporter needs in addition to its settings.
pub struct ExporterContext<'a> {
    /// The id of the exporter, for example `otlp_http/eu`.
    pub id: &'a str,
    /// Registers the routes of the exporter.
    pub listeners: &'a mut Listeners,
    /// Owns the tasks of the exporter.
    pub tasks: &'a Tasks,
    /// Creates the exporter's own metrics.
    pub meter: &'a Meter,
    /// The seed of the jitter.
    pub seed: u64,
    /// Reports the status of the exporter.
    pub status: Reporter,
    /// The time of day.
    pub clock: &'a Clock,
    /// The storages for queues on disk.
    pub storages: &'a Storages,
    /// What authenticates requests.
    pub authenticators: &'a Authenticators,
    /// Reads one target for a request to `/probe`.
    pub probe: Arc<dyn Probe>,
    /// The state that outlives reloads. The exporter that this one replaces shares it.
    pub states: &'a StateStore,
}

impl ExporterContext<'_> {
    /// What the delivery of an exporter that sends needs.
    pub(super) fn delivery(&self) -> DeliveryContext<'_> {
        DeliveryContext {
            id: self.id,
            tasks: self.tasks,
            meter: self.meter,
            seed: self.seed,
            clock: self.clock,
            storages: self.storages,
            authenticators: self.authenticators,
            status: &self.status,
            states: self.states,
        }
    }
}

/// Decodes and checks the settings `T`.
pub(super) fn decode<T: ExporterConfig + DeserializeOwned>(
    foreign: &'static Foreign,
    at: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<dyn ExporterConfig>> {
    let config: T = yaml::decode_foreign(at.node, &at.path, foreign, diagnostics)?;
    config.check(at, diagnostics);
    Some(Arc::new(config))
}
