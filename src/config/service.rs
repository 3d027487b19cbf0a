//! The section `service`: the components in use, and the pipelines.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{ComponentId, Duration},
    telemetry::config::TelemetryConfig,
};

/// The components in use, the pipelines, and the collector's own telemetry.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ServiceConfig {
    /// The extensions that run.
    pub extensions: Vec<ComponentId>,
    /// The pipelines from receivers to exporters, by `metrics` or `metrics/name`.
    pub pipelines: BTreeMap<ComponentId, PipelineConfig>,
    /// The collector's own logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// The longest time for stopping, including the last pushes.
    pub shutdown_timeout: Duration,
}

/// One pipeline from receivers to exporters.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PipelineConfig {
    /// The receivers of the pipeline.
    pub receivers: Vec<ComponentId>,
    /// The processors of the pipeline, in this order.
    pub processors: Vec<ComponentId>,
    /// The exporters of the pipeline.
    pub exporters: Vec<ComponentId>,
}

impl ServiceConfig {
    /// Keeps each component of a list once. A repetition has its own warning.
    pub(super) fn without_repetitions(mut self) -> Self {
        once(&mut self.extensions);
        for pipeline in self.pipelines.values_mut() {
            once(&mut pipeline.receivers);
            once(&mut pipeline.exporters);
        }
        self
    }
}

/// Keeps the first of several equal ids.
fn once(ids: &mut Vec<ComponentId>) {
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            extensions: Vec::new(),
            pipelines: BTreeMap::new(),
            telemetry: TelemetryConfig::default(),
            // Below the 30s after which Kubernetes kills the process, so that what is left is
            // counted.
            shutdown_timeout: Duration::from_secs(25),
        }
    }
}
