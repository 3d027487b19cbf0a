//! What the configuration says of the exporter.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Prometheus;
use crate::{
    http::{Listeners, RouteError},
    settings::{Duration, Endpoint},
    yaml::{Cursor, Diagnostics},
};

/// Serves the last values of all targets to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Address to listen on; components that name the same one share it.
    pub endpoint: Endpoint,
    /// Path of the scrape.
    pub path: String,
    /// How long the last values of an endpoint that gives no body are shown.
    #[serde(alias = "metric_expiration")]
    pub max_stale: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            path: "/metrics".to_owned(),
            // The lookback of PromQL.
            max_stale: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Checks what a type cannot say; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if !self.path.starts_with('/') {
            at.error(
                &["path"],
                "expected a path that begins with `/`",
                diagnostics,
            );
        }
    }

    /// Builds the exporter `id` and registers its route.
    ///
    /// # Errors
    /// If another component has the path.
    pub fn build(
        &self,
        id: &str,
        listeners: &mut Listeners,
        meter: &Meter,
    ) -> Result<Arc<Prometheus>, RouteError> {
        let exporter = Arc::new(Prometheus::new(id, self.max_stale.get(), meter));
        listeners.route(&self.endpoint.to_string(), exporter.route(&self.path))?;
        Ok(exporter)
    }
}
