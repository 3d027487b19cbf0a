//! Type, description and unit of each metric. They are sent again once a minute, like in Prometheus
//! itself, because the receiver may have been restarted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};

use super::{message::MetricMetadata, series::NamingRules};
use crate::exporters::prometheus::name::AggregationKind;

/// The time after which metadata of a metric is sent again.
const AGAIN: Duration = Duration::from_secs(60);

/// The largest number of metrics with metadata.
const MAX_FAMILIES: usize = 10_000;

/// The metadata that was sent, and when, by the name of the family. Entries that were not sent
/// again for a long time are removed.
#[derive(Debug, Default)]
pub(super) struct Metadata(Mutex<HashMap<String, (SystemTime, MetricMetadata)>>);

impl Metadata {
    /// The metadata of one target's metrics that has to be sent now.
    pub(super) fn due(
        &self,
        rules: &NamingRules,
        parts: &[ResourceMetrics],
        now: SystemTime,
    ) -> Vec<MetricMetadata> {
        let scopes = parts.iter().flat_map(|part| part.scope_metrics());
        let metrics = scopes.flat_map(|scope| scope.metrics());
        // The map is consistent after a panic.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for metric in metrics {
            let metadata = of(rules, metric);
            let name = &metadata.metric_family_name;
            let is_known = said.get(name).is_some_and(|(at, known)| {
                *known == metadata && now.duration_since(*at).is_ok_and(|age| age < AGAIN)
            });
            if is_known {
                continue;
            }
            if said.len() >= MAX_FAMILIES && !said.contains_key(name) {
                let is_young = |at: &SystemTime| now.duration_since(*at).is_ok_and(|a| a < AGAIN);
                said.retain(|_, (at, _)| is_young(at));
                if said.len() >= MAX_FAMILIES {
                    continue;
                }
            }
            said.insert(name.clone(), (now, metadata.clone()));
            due.push(metadata);
        }
        due
    }
}

fn of(rules: &NamingRules, metric: &Metric) -> MetricMetadata {
    let kind = match metric.data() {
        AggregatedMetrics::U64(data) => kind(data),
        AggregatedMetrics::I64(data) => kind(data),
        AggregatedMetrics::F64(data) => kind(data),
    };
    MetricMetadata {
        kind: match kind {
            AggregationKind::Counter => 1,
            AggregationKind::Histogram => 3,
            _ => 2,
        },
        metric_family_name: rules.name(metric.name(), metric.unit(), kind),
        help: metric.description().to_owned(),
        unit: metric.unit().to_owned(),
    }
}

fn kind<T>(data: &MetricData<T>) -> AggregationKind {
    match data {
        MetricData::Gauge(_) => AggregationKind::Gauge,
        MetricData::Sum(sum) if sum.is_monotonic() => AggregationKind::Counter,
        MetricData::Sum(_) => AggregationKind::UpDownCounter,
        MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => {
            AggregationKind::Histogram
        }
    }
}
