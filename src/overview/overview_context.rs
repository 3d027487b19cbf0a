//! What a look at the fleet is made of.

use std::sync::Arc;

use tokio::time::Instant;

use super::ConfigSummary;
use crate::{
    pipeline::{Components, Mapping, StatusBoard},
    runtime::Clock,
    telemetry::InternalTelemetry,
};

/// What a look is made of.
pub struct OverviewContext {
    /// The state of the targets.
    pub board: Arc<StatusBoard>,
    /// The state of the components.
    pub components: Arc<Components>,
    /// The time of day.
    pub clock: Clock,
    /// When the collector started.
    pub started: Instant,
    /// How bodies are read.
    pub mapping: Mapping,
    /// The collector's own metrics.
    pub telemetry: Arc<InternalTelemetry>,
    /// The configuration that runs.
    pub config: ConfigSummary,
}
