//! The `service` section: what is used of what is defined.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{ComponentId, Duration},
    telemetry::config::TelemetryConfig,
};

/// What is used of what is defined, and how the collector speaks of itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ServiceConfig {
    /// The extensions that run.
    pub extensions: Vec<ComponentId>,
    /// The ways from receivers to exporters, by `metrics` or `metrics/name`.
    pub pipelines: BTreeMap<ComponentId, PipelineConfig>,
    /// What the collector says about itself, and where.
    pub telemetry: TelemetryConfig,
    /// The longest that stopping may take, the last pushes included.
    pub shutdown_timeout: Duration,
}

/// One way from receivers to exporters.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PipelineConfig {
    /// Where polls come from.
    pub receivers: Vec<ComponentId>,
    /// What they go through, in this order.
    pub processors: Vec<ComponentId>,
    /// Where the metrics go.
    pub exporters: Vec<ComponentId>,
}

impl ServiceConfig {
    /// Takes each component of a list once. What stands there twice has its warning.
    pub(super) fn without_repetitions(mut self) -> Self {
        once(&mut self.extensions);
        for pipeline in self.pipelines.values_mut() {
            once(&mut pipeline.receivers);
            once(&mut pipeline.exporters);
        }
        self
    }
}

/// Leaves the first of what is alike.
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
            // Below the 30s after which Kubernetes kills, so that what is left is counted.
            shutdown_timeout: Duration::from_secs(25),
        }
    }
}
