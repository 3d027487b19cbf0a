//! `debug`: writes the metrics of a poll to the log.

mod describe;
mod foreign;
mod sample;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_sdk::{
    Resource,
    metrics::data::{Metric, ResourceMetrics},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::{
    describe::{attributes, describe},
    sample::Sampler,
};
use crate::{
    exporters::{
        contract::{self, ExporterConfig, ExporterContext, ExporterType},
        points,
    },
    pipeline::{CountedHistogram, Exporter, HistogramValue, Snapshot, Target},
    settings::BuildError,
};

/// The shortest time between two lines of `basic`.
const BASIC_EVERY: Duration = Duration::from_secs(1);

/// The entry of the register.
pub const TYPE: ExporterType = ExporterType {
    name: "debug",
    aliases: &[],
    about: "Writes the data of a pipeline to the log.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Writes metrics to the log, at level `info` with the target `debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The amount of detail in the log.
    pub verbosity: Verbosity,
    /// The number of polls in each second that are always logged. It does not apply to `basic`.
    pub sampling_initial: u64,
    /// After those polls, every n-th poll is logged: 1 means all, 0 means none.
    pub sampling_thereafter: u64,
}

/// The amount of detail in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// At most one line per second, with counts.
    Basic,
    /// One line for each metric.
    Normal,
    /// One line for each data point, with all details.
    Detailed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
        }
    }
}

impl ExporterConfig for Config {
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        Ok(Arc::new(self.exporter(context.id)))
    }

    fn is_for_inspection(&self) -> bool {
        true
    }
}

impl Config {
    fn exporter(&self, id: &str) -> Debug {
        Debug {
            id: id.to_owned(),
            verbosity: self.verbosity,
            state: Mutex::new(DebugState {
                sampler: Sampler::new(self.sampling_initial, self.sampling_thereafter),
                counts: BasicCounts::default(),
                last_line: None,
            }),
        }
    }
}

#[derive(Debug)]
struct Debug {
    id: String,
    verbosity: Verbosity,
    state: Mutex<DebugState>,
}

#[derive(Debug)]
struct DebugState {
    sampler: Sampler,
    counts: BasicCounts,
    last_line: Option<Instant>,
}

/// The counts that `basic` has not logged yet.
#[derive(Debug, Default)]
struct BasicCounts {
    polls: usize,
    metrics: usize,
    points: u64,
}

impl BasicCounts {
    fn add(&mut self, parts: &[ResourceMetrics]) {
        self.polls += 1;
        for part in parts {
            let scopes = part.scope_metrics();
            self.metrics += scopes.map(|scope| scope.metrics().count()).sum::<usize>();
            self.points += points::count(part);
        }
    }

    fn show(&mut self, exporter: &str) {
        let Self {
            polls,
            metrics,
            points,
        } = std::mem::take(self);
        tracing::info!(target: "debug", exporter, polls, metrics, points, "metrics");
    }
}

impl Debug {
    fn basic(&self, snapshot: &Snapshot<'_>) {
        let (now, mut state) = (Instant::now(), self.lock());
        state.counts.add(snapshot.metrics);
        state.counts.points += snapshot.histograms.len() as u64;
        if state.last_line.is_none_or(|last| now - last >= BASIC_EVERY) {
            state.last_line = Some(now);
            state.counts.show(&self.id);
        }
    }

    fn show(&self, part: &ResourceMetrics, target: &Target, resource: &Resource) {
        let (exporter, target) = (&self.id, &target.name);
        if self.verbosity == Verbosity::Detailed {
            let resource = attributes(resource.iter());
            tracing::info!(target: "debug", exporter, target, resource, "resource");
        }
        for scope in part.scope_metrics() {
            for metric in scope.metrics() {
                self.show_metric(scope.scope().name(), metric, target);
            }
        }
    }

    fn show_metric(&self, scope: &str, metric: &Metric, target: &str) {
        let (exporter, name, unit) = (&self.id, metric.name(), metric.unit());
        let (kind, points) = describe(metric);
        if self.verbosity == Verbosity::Normal {
            let points = points.join("; ");
            tracing::info!(target: "debug", exporter, target, name, kind, points, "metric");
            return;
        }
        let description = metric.description();
        for point in points {
            tracing::info!(
                target: "debug",
                exporter, target, scope, name, description, kind, unit, point,
                "data point"
            );
        }
    }

    fn show_counted(&self, counted: &CountedHistogram, target: &str) {
        let (exporter, name) = (&self.id, &counted.instrument.name);
        let of = attributes(
            counted
                .attributes
                .iter()
                .map(|pair| (&pair.key, &pair.value)),
        );
        let HistogramValue {
            bounds,
            counts,
            sum,
        } = &*counted.value;
        let point = format!("{of} sum={sum:?} bounds={bounds:?} counts={counts:?}");
        let kind = "histogram";
        tracing::info!(target: "debug", exporter, target, name, kind, point, "histogram of the target");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, DebugState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Exporter for Debug {
    fn export(&self, snapshot: &Snapshot<'_>) {
        if self.verbosity == Verbosity::Basic {
            self.basic(snapshot);
        } else if self.lock().sampler.shows(Instant::now()) {
            for part in snapshot.metrics {
                self.show(part, snapshot.target, snapshot.resource);
            }
            for counted in snapshot.histograms {
                self.show_counted(counted, &snapshot.target.name);
            }
        }
    }

    fn forget(&self, _target: &Target) {
        // The exporter keeps no state of a target.
    }

    async fn drain(&self, _deadline: Instant) {
        let mut state = self.lock();
        if state.counts.polls > 0 {
            state.counts.show(&self.id);
        }
    }
}
