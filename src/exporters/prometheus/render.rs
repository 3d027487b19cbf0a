//! Turns a snapshot into rows.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use opentelemetry::{InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_sdk::{
    Resource,
    metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics},
};

use super::{
    DroppedPoints,
    descriptor::{Catalogue, DescribedMetric, FamilyDescriptor},
    draft::{Draft, SeriesLabels, SeriesTimes, SourceDraft},
    histogram_rows,
    labels::{RenderedLabels, TargetLabels},
    lock,
    name::AggregationKind,
    number::{Number, Timestamp},
    point_id::MetricId,
    rows::{ENDPOINTS, INFO, OWN, SourceId},
    rules::RenderingRules,
};
use crate::{
    definition::Instrument,
    instruments::SCOPE,
    pipeline::{CountedHistogram, Exemplar, Snapshot, Starts},
};

/// The metrics of one source.
struct SourceMetrics<'a> {
    source: SourceId,
    metrics: &'a ScopeMetrics,
    labels: Arc<RenderedLabels>,
    /// The traces of the events that it counts.
    exemplars: &'a [Exemplar],
}

/// Consecutive samples of one family, and the labels that all of them have.
struct FamilySamples<'a> {
    source: SourceId,
    rank: usize,
    /// The number of bytes of the labels of the target.
    common: usize,
    family: Arc<FamilyDescriptor>,
    samples: Samples<'a>,
    labels: &'a RenderedLabels,
    exemplars: &'a [Exemplar],
    of: Of<'a>,
    /// The metric, if the SDK has it.
    id: Option<MetricId>,
}

/// The time of a metric's points, and the source of its start times.
#[derive(Clone, Copy)]
struct Of<'a> {
    time: SystemTime,
    starts: &'a dyn Starts,
    scope: &'a str,
    name: &'a str,
}

#[derive(Clone, Copy)]
enum Samples<'a> {
    Resource(&'a Resource),
    Metric(&'a AggregatedMetrics),
    Counted(&'a [CountedHistogram]),
}

/// Histograms of one metric that a target counts itself.
struct CountedMetric<'a> {
    source: SourceId,
    labels: Arc<RenderedLabels>,
    histograms: &'a [CountedHistogram],
    instrument: &'a Instrument,
}

/// The settings for rendering.
#[derive(Debug)]
pub(super) struct Renderer {
    pub(super) rules: RenderingRules,
    catalogue: Arc<Mutex<Catalogue>>,
}

impl Renderer {
    pub(super) fn new(rules: RenderingRules) -> Self {
        Self {
            rules,
            catalogue: Arc::default(),
        }
    }

    /// Adds the rows of a snapshot to `draft`. `labels` are those of the target. The parts of a
    /// family (providers, scopes) become one. Returns the points that cannot be shown.
    pub(super) fn render(
        &self,
        snapshot: &Snapshot<'_>,
        labels: &TargetLabels,
        draft: &mut Draft,
    ) -> Vec<DroppedPoints> {
        let scopes = self.scopes(snapshot, labels);
        let mut dropped = Vec::new();
        let info = snapshot.metrics.first();
        let info = info.map(|_| (&**snapshot.resource, &*labels.info));
        let of = Of {
            time: snapshot.time,
            starts: snapshot.starts,
            scope: "",
            name: "",
        };
        let counted = self.counted(snapshot, labels);
        let mut items = self.items(info, (&scopes, labels.text().len(), of), &mut dropped);
        self.add_counted(&counted, labels.text().len(), of, &mut items);
        items.sort_by(FamilySamples::order);
        let mut labels = SeriesLabels::default();
        for item in &items {
            labels.is_complete = item.common == 0;
            item.write(&self.rules, draft.source(item.source), &mut labels);
        }
        draft.sort();
        dropped
    }

    /// The scopes that are shown, with their labels.
    fn scopes<'a>(&self, snapshot: &Snapshot<'a>, labels: &TargetLabels) -> Vec<SourceMetrics<'a>> {
        let parts = snapshot.metrics.iter();
        let scopes = parts.flat_map(ResourceMetrics::scope_metrics);
        let scopes = scopes.filter_map(|metrics| {
            let source = source_of(snapshot, metrics.scope().name())?;
            let of = (&**snapshot.resource, metrics.scope());
            Some(SourceMetrics {
                source,
                metrics,
                labels: labels.of(&self.rules, snapshot.target, of),
                exemplars: match metrics.scope().name() {
                    SCOPE => snapshot.exemplars,
                    _ => &[],
                },
            })
        });
        scopes.collect()
    }

    /// The histograms that the target counts itself, by metric.
    fn counted<'a>(
        &self,
        snapshot: &Snapshot<'a>,
        labels: &TargetLabels,
    ) -> Vec<CountedMetric<'a>> {
        let metrics = snapshot.histograms;
        let metrics = metrics.chunk_by(|one, next| one.index == next.index);
        let metrics = metrics.filter_map(|histograms| {
            let instrument = &*histograms.first()?.instrument;
            let scope = InstrumentationScope::builder(instrument.scope.to_string())
                .with_version(env!("CARGO_PKG_VERSION"))
                .build();
            Some(CountedMetric {
                source: source_of(snapshot, &instrument.scope)?,
                labels: labels.of(&self.rules, snapshot.target, (&**snapshot.resource, &scope)),
                histograms,
                instrument,
            })
        });
        metrics.collect()
    }

    fn add_counted<'a>(
        &self,
        counted: &'a [CountedMetric<'_>],
        common: usize,
        of: Of<'a>,
        items: &mut Vec<FamilySamples<'a>>,
    ) {
        let mut catalogue = lock(&self.catalogue);
        for metric in counted {
            let instrument = metric.instrument;
            let described = DescribedMetric {
                name: &instrument.name,
                unit: &instrument.unit,
                help: &instrument.description,
                kind: AggregationKind::Histogram,
            };
            items.push(FamilySamples {
                source: metric.source,
                rank: items.len(),
                common,
                family: catalogue.describe(described, &self.rules),
                samples: Samples::Counted(metric.histograms),
                labels: &metric.labels,
                exemplars: &[],
                of: Of {
                    scope: &instrument.scope,
                    name: &instrument.name,
                    ..of
                },
                id: None,
            });
        }
    }

    /// The samples to write, in the order of the metrics. Those that cannot be shown go to
    /// `dropped`.
    fn items<'a>(
        &self,
        info: Option<(&'a Resource, &'a RenderedLabels)>,
        (scopes, common, of): (&'a [SourceMetrics<'_>], usize, Of<'a>),
        dropped: &mut Vec<DroppedPoints>,
    ) -> Vec<FamilySamples<'a>> {
        let mut catalogue = lock(&self.catalogue);
        let mut describe = |of: DescribedMetric<'_>| catalogue.describe(of, &self.rules);
        let mut items: Vec<_> = Vec::new();
        items.extend(info.map(|(resource, labels)| FamilySamples {
            source: INFO,
            rank: 0,
            common: 0,
            family: describe(TARGET_INFO),
            samples: Samples::Resource(resource),
            labels,
            exemplars: &[],
            of,
            id: None,
        }));
        for scope in scopes {
            for metric in scope.metrics.metrics() {
                let Some(described) = described(metric) else {
                    dropped.push(unsupported(metric));
                    continue;
                };
                items.push(FamilySamples {
                    source: scope.source,
                    rank: items.len(),
                    common,
                    family: describe(described),
                    samples: Samples::Metric(metric.data()),
                    labels: &scope.labels,
                    exemplars: of_metric(scope.exemplars, metric.name()),
                    of: Of {
                        scope: scope.metrics.scope().name(),
                        name: metric.name(),
                        ..of
                    },
                    id: Some(MetricId::of(scope.metrics.scope().name(), metric)),
                });
            }
        }
        items
    }
}

/// The metric with the Resource of a target.
const TARGET_INFO: DescribedMetric<'static> = DescribedMetric {
    name: "target_info",
    unit: "",
    help: "Target metadata",
    kind: AggregationKind::Info,
};

/// The source of a scope's metrics. `None` for an endpoint that is not fresh: its values have been
/// shown already and must not look new.
pub(super) fn source_of(snapshot: &Snapshot<'_>, scope: &str) -> Option<SourceId> {
    let mut endpoints = (ENDPOINTS..).zip(&snapshot.target.definition.endpoints);
    match endpoints.find(|(_, endpoint)| *endpoint.scope == *scope) {
        Some((source, _)) => Some(source).filter(|source| is_new(snapshot, *source)),
        None => Some(OWN),
    }
}

/// Whether a snapshot has new values of a source.
pub(super) fn is_new(snapshot: &Snapshot<'_>, source: SourceId) -> bool {
    match source.checked_sub(ENDPOINTS) {
        Some(endpoint) => {
            let fresh = snapshot.fresh.get(endpoint as usize);
            fresh.copied().unwrap_or_default()
        }
        None => true,
    }
}

fn described(metric: &Metric) -> Option<DescribedMetric<'_>> {
    let kind = match metric.data() {
        AggregatedMetrics::U64(data) => kind(data),
        AggregatedMetrics::I64(data) => kind(data),
        AggregatedMetrics::F64(data) => kind(data),
    };
    Some(DescribedMetric {
        name: metric.name(),
        unit: metric.unit(),
        help: metric.description(),
        kind: kind?,
    })
}

fn kind<T>(data: &MetricData<T>) -> Option<AggregationKind> {
    match data {
        MetricData::Gauge(_) => Some(AggregationKind::Gauge),
        MetricData::Sum(sum) if sum.is_monotonic() => Some(AggregationKind::Counter),
        MetricData::Sum(_) => Some(AggregationKind::UpDownCounter),
        MetricData::Histogram(_) => Some(AggregationKind::Histogram),
        MetricData::ExponentialHistogram(_) => None,
    }
}

/// An exponential histogram.
fn unsupported(metric: &Metric) -> DroppedPoints {
    let points = match metric.data() {
        AggregatedMetrics::U64(MetricData::ExponentialHistogram(of)) => of.data_points().count(),
        AggregatedMetrics::I64(MetricData::ExponentialHistogram(of)) => of.data_points().count(),
        AggregatedMetrics::F64(MetricData::ExponentialHistogram(of)) => of.data_points().count(),
        _ => 0,
    };
    DroppedPoints {
        family: metric.name().to_owned(),
        points,
        reason: "unsupported",
    }
}

/// The exemplars of the metric with this name. Those of one metric follow one another.
fn of_metric<'a>(exemplars: &'a [Exemplar], name: &str) -> &'a [Exemplar] {
    let mut metrics = exemplars.chunk_by(|one, next| one.metric == next.metric);
    let of_it = metrics.find(|of| of.first().is_some_and(|of| *of.metric == *name));
    of_it.unwrap_or_default()
}

impl FamilySamples<'_> {
    /// Orders by source. Samples of one family follow one another.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_source = self.source.cmp(&other.source);
        by_source.then_with(|| self.family.order(&other.family))
    }

    /// Writes the samples. `labels` is a buffer.
    fn write(&self, rules: &RenderingRules, draft: &mut SourceDraft, labels: &mut SeriesLabels) {
        draft.family(self.rank, &self.family);
        match self.samples {
            Samples::Resource(resource) => {
                self.write_labels(labels, || resource.iter(), false);
                draft.sample(labels, 1_u64, SeriesTimes::default());
            }
            Samples::Counted(histograms) => {
                let time = rules.has_time.then(|| self.of.time.into());
                for counted in histograms {
                    let attributes = || counted.attributes.iter();
                    self.write_labels(labels, || pairs(attributes()), true);
                    let times = SeriesTimes {
                        time,
                        created: self.created(rules, &mut attributes()),
                        point: None,
                    };
                    draft.histogram(labels, histogram_rows::of_value(&counted.value), times);
                }
            }
            Samples::Metric(AggregatedMetrics::U64(data)) => self.data(data, rules, draft, labels),
            Samples::Metric(AggregatedMetrics::I64(data)) => self.data(data, rules, draft, labels),
            Samples::Metric(AggregatedMetrics::F64(data)) => self.data(data, rules, draft, labels),
        }
    }

    fn data<T: Copy + Into<Number>>(
        &self,
        data: &MetricData<T>,
        rules: &RenderingRules,
        draft: &mut SourceDraft,
        labels: &mut SeriesLabels,
    ) {
        let time = rules.has_time.then(|| self.of.time.into());
        let of = &self.of;
        let has_own = rules.has_time && of.starts.has_measured(of.scope, of.name);
        let own = |attributes: &mut dyn Iterator<Item = &KeyValue>| match has_own {
            true => {
                let own = of.starts.measured(of.scope, of.name, attributes);
                own.map(Timestamp::from).or(time)
            }
            false => time,
        };
        match data {
            MetricData::Gauge(gauge) => {
                for point in gauge.data_points() {
                    self.write_labels(labels, || pairs(point.attributes()), false);
                    let times = SeriesTimes {
                        time: own(&mut point.attributes()),
                        created: None,
                        point: self.id.as_ref().map(|id| id.point(point.attributes())),
                    };
                    draft.sample(labels, point.value(), times);
                }
            }
            MetricData::Sum(sum) => {
                for point in sum.data_points() {
                    self.write_labels(labels, || pairs(point.attributes()), false);
                    let times = SeriesTimes {
                        time: own(&mut point.attributes()),
                        created: self.created(rules, &mut point.attributes()),
                        point: self.id.as_ref().map(|id| id.point(point.attributes())),
                    };
                    draft.sample(labels, point.value(), times);
                    let mut exemplars = self.exemplars.iter();
                    let exemplar = exemplars.find(|of| of.attributes.iter().eq(point.attributes()));
                    exemplar.into_iter().for_each(|of| draft.exemplar(of));
                }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    self.write_labels(labels, || pairs(point.attributes()), true);
                    let times = SeriesTimes {
                        time,
                        created: self.created(rules, &mut point.attributes()),
                        point: self.id.as_ref().map(|id| id.histogram(point)),
                    };
                    draft.histogram(labels, histogram_rows::of_point(point), times);
                }
            }
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    /// The start time of a series, if it is known and shown.
    fn created(
        &self,
        rules: &RenderingRules,
        attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<Timestamp> {
        if !rules.has_created || !self.family.has_created {
            return None;
        }
        let Of {
            starts,
            scope,
            name,
            ..
        } = self.of;
        starts.known(scope, name, attributes).map(Timestamp::from)
    }

    fn write_labels<'p, I: Iterator<Item = (&'p Key, &'p Value)>>(
        &self,
        labels: &mut SeriesLabels,
        attributes: impl Fn() -> I,
        buckets: bool,
    ) {
        let text = &mut labels.text;
        self.labels.write(text, self.common, attributes, buckets);
    }
}

fn pairs<'a>(
    attributes: impl Iterator<Item = &'a KeyValue>,
) -> impl Iterator<Item = (&'a Key, &'a Value)> {
    attributes.map(|attribute| (&attribute.key, &attribute.value))
}
