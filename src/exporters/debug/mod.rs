//! `debug`: shows in the log what a poll came to.

mod describe;
mod foreign;
mod sample;
#[cfg(test)]
mod tests;

pub use foreign::FOREIGN;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_sdk::metrics::data::{Metric, ResourceMetrics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::{
    describe::{attributes, describe},
    sample::Sampler,
};
use crate::{
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
};

/// The least time between two lines of `basic`.
const BASIC_EVERY: Duration = Duration::from_secs(1);

/// Shows metrics in the log, at level `info` under the target `debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much is shown.
    pub verbosity: Verbosity,
    /// How many polls of each second are shown in any case; not for `basic`.
    pub sampling_initial: u64,
    /// Of the polls after those, every so many-th is shown: 1 for all, 0 for none.
    pub sampling_thereafter: u64,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// At most one line a second, with counts.
    Basic,
    /// One line a metric.
    Normal,
    /// One line a data point, with everything.
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

impl Config {
    /// Makes the exporter called `id`.
    pub fn build(&self, id: &str) -> Arc<dyn Exporter> {
        Arc::new(Debug {
            id: id.to_owned(),
            verbosity: self.verbosity,
            state: Mutex::new(DebugState {
                sampler: Sampler::new(self.sampling_initial, self.sampling_thereafter),
                counts: BasicCounts::default(),
                last_line: None,
            }),
        })
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

/// What `basic` has not told of yet.
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
        if state.last_line.is_none_or(|last| now - last >= BASIC_EVERY) {
            state.last_line = Some(now);
            state.counts.show(&self.id);
        }
    }

    fn show(&self, part: &ResourceMetrics, target: &Target) {
        let (exporter, target) = (&self.id, &target.name);
        if self.verbosity == Verbosity::Detailed {
            let resource = attributes(part.resource().iter());
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
                self.show(part, snapshot.target);
            }
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target.
    }

    async fn drain(&self, _deadline: Instant) {
        let mut state = self.lock();
        if state.counts.polls > 0 {
            state.counts.show(&self.id);
        }
    }
}
