//! From collected metrics to series, as the Prometheus compatibility specification translates them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::SystemTime,
};

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::{
    Resource,
    metrics::data::{AggregatedMetrics, HistogramDataPoint, Metric, MetricData, ResourceMetrics},
};

use super::message::{Label, Sample, TimeSeries, WriteRequest};
use crate::{
    exporters::prometheus::name::{self, Kind},
    pipeline::INSTANCE_ID,
    runtime::clock,
};

/// What `job` and `instance` are made of; `target_info` need not repeat it.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", INSTANCE_ID];

/// How series are called.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Stands before each name, without the `_` behind it.
    pub(super) namespace: String,
    /// Whether names end with unit and `_total`.
    pub(super) has_suffixes: bool,
    /// On every series that has no such label itself.
    pub(super) external_labels: BTreeMap<String, String>,
    /// What of the Resource is on every series.
    pub(super) converted: Converted,
    /// Whether there is a `target_info`.
    pub(super) has_target_info: bool,
}

/// What of a Resource is on every series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Converted {
    /// Nothing.
    #[default]
    Nothing,
    /// All of it.
    All,
    /// All but what `job` and `instance` are made of.
    WithoutService,
}

type Labels = BTreeMap<String, String>;

impl Rules {
    /// One sample for each series of a snapshot.
    pub(super) fn request(&self, parts: &[ResourceMetrics]) -> WriteRequest {
        let mut timeseries = Vec::new();
        for part in parts {
            let mut translator = Translator {
                rules: self,
                common: self.common(part.resource()),
                identity: identity(part.resource()),
                timeseries: &mut timeseries,
            };
            let metrics = part.scope_metrics().flat_map(|scope| scope.metrics());
            for metric in metrics {
                translator.metric(metric);
            }
        }
        if let Some(part) = parts.first().filter(|_| self.has_target_info) {
            let time = timeseries.iter().flat_map(|series| &series.samples);
            let latest = time.map(|sample| sample.timestamp).max();
            timeseries.extend(latest.map(|time| self.target_info(part.resource(), time)));
        }
        WriteRequest {
            timeseries,
            ..WriteRequest::default()
        }
    }

    /// What every series of a Resource has that says nothing else.
    fn common(&self, resource: &Resource) -> Labels {
        let mut labels = self.external_labels.clone();
        let is_taken = |key: &Key| match self.converted {
            Converted::Nothing => false,
            Converted::All => true,
            Converted::WithoutService => !IDENTITY.contains(&key.as_str()),
        };
        labels.extend(translated(resource.iter().filter(|(key, _)| is_taken(key))));
        labels
    }

    fn target_info(&self, resource: &Resource, timestamp: i64) -> TimeSeries {
        let said = |key: &Key| IDENTITY.contains(&key.as_str());
        let mut labels = self.external_labels.clone();
        labels.extend(translated(resource.iter().filter(|(key, _)| !said(key))));
        labels.extend(identity(resource));
        labels.insert(
            "__name__".to_owned(),
            self.prefixed("target_info".to_owned()),
        );
        one(labels, 1.0, timestamp)
    }

    /// The name of the family of a metric.
    pub(super) fn name(&self, metric: &Metric, kind: Kind) -> String {
        let name = match self.has_suffixes {
            true => name::family(metric.name(), metric.unit(), kind),
            false => name::family(metric.name(), "", Kind::UpDownCounter),
        };
        self.prefixed(name)
    }

    fn prefixed(&self, name: String) -> String {
        match self.namespace.as_str() {
            "" => name,
            namespace => format!("{namespace}_{name}"),
        }
    }
}

/// What the compatibility specification makes of a Resource: `job` and `instance`.
fn identity(resource: &Resource) -> Labels {
    let get = |key: &'static str| {
        let value = resource.get(&Key::from_static_str(key));
        value.map(|value| value.as_str().into_owned())
    };
    let job = match (get("service.namespace"), get("service.name")) {
        (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
        (None, name) | (name, None) => name,
    };
    let labels = [("job", job), ("instance", get(INSTANCE_ID))].into_iter();
    let labels = labels.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    labels.collect()
}

/// Attributes as labels; keys that become the same name share it, and their values are joined in
/// the order of the keys.
fn translated<'a>(attributes: impl Iterator<Item = (&'a Key, &'a Value)>) -> Labels {
    let mut pairs: Vec<_> = attributes
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    pairs.sort_unstable();
    let mut labels = Labels::new();
    for (key, value) in pairs {
        match labels.entry(name::label(key)) {
            Entry::Vacant(free) => {
                free.insert(value.into_owned());
            }
            Entry::Occupied(mut shared) => {
                let joined = format!("{};{value}", shared.get());
                shared.insert(joined);
            }
        }
    }
    labels
}

/// A series of one sample. An empty label is none.
fn one(labels: Labels, value: f64, timestamp: i64) -> TimeSeries {
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    TimeSeries {
        labels: labels.map(|(name, value)| Label { name, value }).collect(),
        samples: vec![Sample { value, timestamp }],
    }
}

/// Translates the metrics of one Resource.
struct Translator<'a> {
    rules: &'a Rules,
    common: Labels,
    identity: Labels,
    timeseries: &'a mut Vec<TimeSeries>,
}

impl Translator<'_> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample is a floating-point number"
    )]
    fn metric(&mut self, metric: &Metric) {
        match metric.data() {
            AggregatedMetrics::U64(data) => self.data(metric, data, |value| value as f64),
            AggregatedMetrics::I64(data) => self.data(metric, data, |value| value as f64),
            AggregatedMetrics::F64(data) => self.data(metric, data, |value| value),
        }
    }

    fn data<T: Copy>(&mut self, metric: &Metric, data: &MetricData<T>, double: fn(T) -> f64) {
        match data {
            MetricData::Gauge(gauge) => {
                let (name, time) = (self.rules.name(metric, Kind::Gauge), millis(gauge.time()));
                for point in gauge.data_points() {
                    self.push(&name, point.attributes(), double(point.value()), time);
                }
            }
            MetricData::Sum(sum) => {
                let kind = match sum.is_monotonic() {
                    true => Kind::Counter,
                    false => Kind::UpDownCounter,
                };
                let (name, time) = (self.rules.name(metric, kind), millis(sum.time()));
                for point in sum.data_points() {
                    self.push(&name, point.attributes(), double(point.value()), time);
                }
            }
            MetricData::Histogram(histogram) => {
                let name = self.rules.name(metric, Kind::Histogram);
                let time = millis(histogram.time());
                for point in histogram.data_points() {
                    self.histogram(&name, point, double(point.sum()), time);
                }
            }
            // No instrument of ours makes one.
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    fn push<'p>(
        &mut self,
        name: &str,
        attributes: impl Iterator<Item = &'p KeyValue>,
        value: f64,
        time: i64,
    ) {
        let labels = self.labels(name, attributes);
        self.timeseries.push(one(labels, value, time));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample is a floating-point number"
    )]
    fn histogram<T: Copy>(
        &mut self,
        name: &str,
        point: &HistogramDataPoint<T>,
        sum: f64,
        time: i64,
    ) {
        let mut cumulative = 0_u64;
        let finite = point
            .bounds()
            .zip(point.bucket_counts())
            .map(|(bound, count)| {
                cumulative = cumulative.saturating_add(count);
                (bound.to_string(), cumulative)
            });
        let buckets: Vec<_> = finite.chain([("+Inf".to_owned(), point.count())]).collect();
        for (bound, count) in buckets {
            let mut labels = self.labels(&format!("{name}_bucket"), point.attributes());
            labels.insert("le".to_owned(), bound);
            self.timeseries.push(one(labels, count as f64, time));
        }
        self.push(&format!("{name}_sum"), point.attributes(), sum, time);
        let count = point.count() as f64;
        self.push(&format!("{name}_count"), point.attributes(), count, time);
    }

    /// What a point says wins over its Resource and external labels; who it is of, over all.
    fn labels<'p>(&self, name: &str, attributes: impl Iterator<Item = &'p KeyValue>) -> Labels {
        let mut labels = self.common.clone();
        labels.extend(translated(attributes.map(|a| (&a.key, &a.value))));
        labels.extend(self.identity.clone());
        labels.insert("__name__".to_owned(), name.to_owned());
        labels
    }
}

/// Unix milliseconds.
pub(super) fn millis(time: SystemTime) -> i64 {
    i64::try_from(clock::since_epoch(time).as_millis()).unwrap_or(i64::MAX)
}
