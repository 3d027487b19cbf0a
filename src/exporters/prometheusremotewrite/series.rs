//! Converts collected metrics to series, by the Prometheus compatibility specification.

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
    exporters::prometheus::name::{self, AggregationKind},
    instruments::SCOPE,
    pipeline::{CountedHistogram, INSTANCE_ID, Starts},
    runtime::clock,
};

/// The attributes behind `job` and `instance`. `target_info` does not repeat them.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", INSTANCE_ID];

/// The rules for names and labels.
#[derive(Debug, Clone, Default)]
pub(super) struct NamingRules {
    /// A prefix of each name, without the `_` after it.
    pub(super) namespace: String,
    /// Whether names end with the unit and `_total`.
    pub(super) has_suffixes: bool,
    /// Labels of every series that has no such label.
    pub(super) external_labels: BTreeMap<String, String>,
    /// The attributes of the Resource that every series has.
    pub(super) converted: Converted,
    /// Whether there is a `target_info`.
    pub(super) has_target_info: bool,
}

/// The attributes of the Resource that every series has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Converted {
    /// No attributes.
    #[default]
    Nothing,
    /// All attributes.
    All,
    /// All attributes except those behind `job` and `instance`.
    WithoutService,
}

type LabelSet = BTreeMap<String, String>;

/// A request, and the instrumentation scopes of its series, in their order.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) request: WriteRequest,
    /// The name of each scope, and the number of its series.
    pub(super) scopes: Vec<(String, usize)>,
}

impl NamingRules {
    /// One sample for each series of a snapshot, at `time` in Unix milliseconds, or when the value
    /// was measured, if `starts` say that.
    pub(super) fn request(
        &self,
        (resource, parts): (&Resource, &[ResourceMetrics]),
        histograms: &[CountedHistogram],
        starts: &dyn Starts,
        time: i64,
    ) -> Written {
        let (mut timeseries, mut scopes) = (Vec::new(), Vec::new());
        for part in parts {
            let mut translator = Translator {
                rules: self,
                common: self.common(resource),
                identity: identity(resource),
                timeseries: &mut timeseries,
                starts,
                time,
            };
            for scope in part.scope_metrics() {
                let before = translator.timeseries.len();
                for metric in scope.metrics() {
                    translator.metric(scope.scope().name(), metric);
                }
                let series = translator.timeseries.len() - before;
                scopes.push((scope.scope().name().to_owned(), series));
            }
        }
        if !histograms.is_empty() {
            let mut translator = Translator {
                rules: self,
                common: self.common(resource),
                identity: identity(resource),
                timeseries: &mut timeseries,
                starts,
                time,
            };
            for counted in histograms {
                let before = translator.timeseries.len();
                translator.counted(counted);
                let series = translator.timeseries.len() - before;
                scopes.push((counted.instrument.scope.to_string(), series));
            }
        }
        if self.has_target_info && !timeseries.is_empty() {
            timeseries.push(self.target_info(resource, time));
            scopes.push((SCOPE.to_owned(), 1));
        }
        let request = WriteRequest {
            timeseries,
            ..WriteRequest::default()
        };
        Written { request, scopes }
    }

    /// The labels that every series of a Resource has.
    fn common(&self, resource: &Resource) -> LabelSet {
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

    /// The family name of a metric.
    pub(super) fn name(&self, metric: &str, unit: &str, kind: AggregationKind) -> String {
        let name = match self.has_suffixes {
            true => name::family(metric, unit, kind),
            false => name::family(metric, "", AggregationKind::UpDownCounter),
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

/// The labels `job` and `instance` of a Resource, by the compatibility specification.
fn identity(resource: &Resource) -> LabelSet {
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

/// Attributes as labels. Keys with the same name after translation share one label, with their
/// values joined in the order of the keys.
fn translated<'a>(attributes: impl Iterator<Item = (&'a Key, &'a Value)>) -> LabelSet {
    let mut pairs: Vec<_> = attributes
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    pairs.sort_unstable();
    let mut labels = LabelSet::new();
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

/// A series with one sample. An empty label is the same as no label.
fn one(labels: LabelSet, value: f64, timestamp: i64) -> TimeSeries {
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    TimeSeries {
        labels: labels.map(|(name, value)| Label { name, value }).collect(),
        samples: vec![Sample { value, timestamp }],
    }
}

/// Converts the metrics of one Resource.
struct Translator<'a> {
    rules: &'a NamingRules,
    common: LabelSet,
    identity: LabelSet,
    timeseries: &'a mut Vec<TimeSeries>,
    starts: &'a dyn Starts,
    time: i64,
}

impl Translator<'_> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample is a floating-point number"
    )]
    fn metric(&mut self, scope: &str, metric: &Metric) {
        match metric.data() {
            AggregatedMetrics::U64(data) => self.data(scope, metric, data, |value| value as f64),
            AggregatedMetrics::I64(data) => self.data(scope, metric, data, |value| value as f64),
            AggregatedMetrics::F64(data) => self.data(scope, metric, data, |value| value),
        }
    }

    fn data<T: Copy>(
        &mut self,
        scope: &str,
        metric: &Metric,
        data: &MetricData<T>,
        double: fn(T) -> f64,
    ) {
        let (starts, now) = (self.starts, self.time);
        let has_own = starts.has_measured(scope, metric.name());
        let time = |attributes: &mut dyn Iterator<Item = &KeyValue>| {
            let own = has_own.then(|| starts.measured(scope, metric.name(), attributes));
            own.flatten().map_or(now, millis)
        };
        match data {
            MetricData::Gauge(gauge) => {
                let name = self
                    .rules
                    .name(metric.name(), metric.unit(), AggregationKind::Gauge);
                for point in gauge.data_points() {
                    let time = time(&mut point.attributes());
                    self.push_at(&name, point.attributes(), double(point.value()), time);
                }
            }
            MetricData::Sum(sum) => {
                let kind = match sum.is_monotonic() {
                    true => AggregationKind::Counter,
                    false => AggregationKind::UpDownCounter,
                };
                let name = self.rules.name(metric.name(), metric.unit(), kind);
                for point in sum.data_points() {
                    let time = time(&mut point.attributes());
                    self.push_at(&name, point.attributes(), double(point.value()), time);
                }
            }
            MetricData::Histogram(histogram) => {
                let name =
                    self.rules
                        .name(metric.name(), metric.unit(), AggregationKind::Histogram);
                for point in histogram.data_points() {
                    self.histogram(&name, point, double(point.sum()));
                }
            }
            // No instrument of this collector creates one.
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    fn push<'p>(&mut self, name: &str, attributes: impl Iterator<Item = &'p KeyValue>, value: f64) {
        self.push_at(name, attributes, value, self.time);
    }

    fn push_at<'p>(
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
    fn histogram<T: Copy>(&mut self, name: &str, point: &HistogramDataPoint<T>, sum: f64) {
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
            self.timeseries.push(one(labels, count as f64, self.time));
        }
        self.push(&format!("{name}_sum"), point.attributes(), sum);
        let count = point.count() as f64;
        self.push(&format!("{name}_count"), point.attributes(), count);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample is a floating-point number"
    )]
    fn counted(&mut self, counted: &CountedHistogram) {
        let (instrument, value) = (&counted.instrument, &counted.value);
        let kind = AggregationKind::Histogram;
        let name = self.rules.name(&instrument.name, &instrument.unit, kind);
        let mut cumulative = 0_u64;
        let finite = value.bounds.iter().zip(&value.counts);
        let finite = finite.map(|(bound, count)| {
            cumulative = cumulative.saturating_add(*count);
            (bound.to_string(), cumulative)
        });
        let all = [("+Inf".to_owned(), value.count())];
        for (bound, count) in finite.chain(all).collect::<Vec<_>>() {
            let mut labels = self.labels(&format!("{name}_bucket"), counted.attributes.iter());
            labels.insert("le".to_owned(), bound);
            self.timeseries.push(one(labels, count as f64, self.time));
        }
        if let Some(sum) = value.sum {
            self.push(&format!("{name}_sum"), counted.attributes.iter(), sum);
        }
        let count = value.count() as f64;
        self.push(&format!("{name}_count"), counted.attributes.iter(), count);
    }

    /// The labels of a point win over those of its Resource and the external labels. The labels
    /// that identify the target win over all.
    fn labels<'p>(&self, name: &str, attributes: impl Iterator<Item = &'p KeyValue>) -> LabelSet {
        let mut labels = self.common.clone();
        labels.extend(translated(attributes.map(|a| (&a.key, &a.value))));
        labels.extend(self.identity.clone());
        labels.insert("__name__".to_owned(), name.to_owned());
        labels
    }
}

/// A time in Unix milliseconds.
pub(super) fn millis(time: SystemTime) -> i64 {
    i64::try_from(clock::since_epoch(time).as_millis()).unwrap_or(i64::MAX)
}
