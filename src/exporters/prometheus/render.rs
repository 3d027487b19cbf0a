//! From a snapshot to the text of its families.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    metrics::data::{AggregatedMetrics, HistogramDataPoint, Metric, MetricData, ScopeMetrics},
};

use super::{
    Dropped,
    escape::{Escaping, is_plain},
    labels::Labels,
    lines,
    name::{self, Kind},
    rules::Rules,
    text::{self, Moment, Number},
};
use crate::pipeline::Snapshot;

/// Where a family of a target comes from: 0 for what we say of the target ourselves, n + 1 for
/// endpoint n of its definition. All families of one source are replaced together.
pub(super) type Source = usize;
/// What we say of the target ourselves.
pub(super) const OWN: Source = 0;

/// The samples of one name that one source of one target gives.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) source: Source,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: String,
    pub(super) help: String,
    pub(super) text: String,
    pub(super) series: Vec<Series>,
    /// Whether a name or a label is called what not every scraper knows.
    pub(super) is_odd: bool,
    /// When it was observed, if that is shown.
    pub(super) time: Option<Moment>,
    /// When the totals that come next began, if that is shown.
    began: Option<Moment>,
    /// Whether there are lines that say when a total began.
    pub(super) has_created: bool,
    /// What each line begins with, and whether the name is in quotes there.
    lead: (String, bool),
    known: HashSet<u64>,
    /// Points of series that were there already.
    duplicates: usize,
}

/// One series in the text of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Hash of its labels.
    pub(super) id: u64,
    /// Where its lines end.
    pub(super) end: usize,
}

/// What a snapshot came to.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) families: Vec<Family>,
    pub(super) dropped: Vec<Dropped>,
}

/// Renders a snapshot; `labels` are those of the target. The parts of a family (epochs, scopes)
/// become one.
pub(super) fn snapshot(snapshot: &Snapshot<'_>, labels: &Labels, rules: &Rules) -> Rendered {
    let mut renderer = Renderer {
        rules,
        rendered: Rendered::default(),
        index: HashMap::new(),
    };
    if let Some(part) = snapshot.metrics.first() {
        renderer.target_info(&Labels::name_of(snapshot.target, rules), part.resource());
    }
    for part in snapshot.metrics {
        let labels = rules.with_resource(labels, snapshot.target, part.resource());
        for scope in part.scope_metrics() {
            if let Some(source) = source_of(snapshot, scope) {
                let labels = rules.with_scope(&labels, scope.scope());
                for metric in scope.metrics() {
                    renderer.metric(source, metric, &labels);
                }
            }
        }
    }
    let mut rendered = renderer.rendered;
    let twice = rendered.families.iter().filter(|of| of.duplicates > 0);
    let twice = twice.map(|of| Dropped::duplicates(&of.name, of.duplicates));
    rendered.dropped.extend(twice);
    rendered.families.retain(|family| !family.series.is_empty());
    rendered
}

/// The source of a scope's metrics; none if it is an endpoint that is not fresh, whose values
/// have been shown already and must not look new.
fn source_of(snapshot: &Snapshot<'_>, scope: &ScopeMetrics) -> Option<Source> {
    let mut endpoints = snapshot.target.definition.endpoints.iter();
    match endpoints.position(|endpoint| *endpoint.scope == *scope.scope().name()) {
        Some(endpoint) => Some(endpoint + 1).filter(|source| is_new(snapshot, *source)),
        None => Some(OWN),
    }
}

/// Whether a snapshot brings the values of a source anew.
pub(super) fn is_new(snapshot: &Snapshot<'_>, source: Source) -> bool {
    match source.checked_sub(1) {
        Some(endpoint) => snapshot.fresh.get(endpoint).copied().unwrap_or_default(),
        None => true,
    }
}

impl Rules {
    /// Tells a family the times of the points that come next, as far as they are shown.
    fn tell<T>(&self, family: &mut Family, data: &MetricData<T>) {
        let (time, began) = match data {
            MetricData::Gauge(gauge) => (gauge.time(), None),
            MetricData::Sum(sum) => (
                sum.time(),
                Some(sum.start_time()).filter(|_| sum.is_monotonic()),
            ),
            MetricData::Histogram(histogram) => (histogram.time(), Some(histogram.start_time())),
            MetricData::ExponentialHistogram(_) => return,
        };
        family.time = self.has_time.then(|| time.into());
        family.began = began.filter(|_| self.has_created).map(Moment::from);
    }
}

struct Renderer<'a> {
    rules: &'a Rules,
    rendered: Rendered,
    index: HashMap<(Source, String, &'static str), usize>,
}

impl Renderer<'_> {
    fn target_info(&mut self, target: &Labels, resource: &Resource) {
        let family = self.family(
            OWN,
            self.rules.target_info(),
            Kind::Info,
            ("", "Target metadata"),
        );
        family.sample(target.with(resource.iter(), false), 1_u64);
    }

    fn metric(&mut self, source: Source, metric: &Metric, labels: &Labels) {
        match metric.data() {
            AggregatedMetrics::U64(data) => self.data(source, metric, data, labels),
            AggregatedMetrics::I64(data) => self.data(source, metric, data, labels),
            AggregatedMetrics::F64(data) => self.data(source, metric, data, labels),
        }
    }

    fn data<T: Number>(
        &mut self,
        source: Source,
        metric: &Metric,
        data: &MetricData<T>,
        labels: &Labels,
    ) {
        let kind = match data {
            MetricData::Gauge(_) => Kind::Gauge,
            MetricData::Sum(sum) if sum.is_monotonic() => Kind::Counter,
            MetricData::Sum(_) => Kind::UpDownCounter,
            MetricData::Histogram(_) => Kind::Histogram,
            MetricData::ExponentialHistogram(histogram) => {
                self.rendered.dropped.push(Dropped {
                    family: metric.name().to_owned(),
                    points: histogram.data_points().count(),
                    reason: "unsupported",
                });
                return;
            }
        };
        let rules = self.rules;
        let name = rules.family(metric.name(), metric.unit(), kind);
        let family = self.family(source, name, kind, (metric.unit(), metric.description()));
        rules.tell(family, data);
        match data {
            MetricData::Gauge(gauge) => {
                for point in gauge.data_points() {
                    family.sample(labels.with(pairs(point.attributes()), false), point.value());
                }
            }
            MetricData::Sum(sum) => {
                for point in sum.data_points() {
                    family.sample(labels.with(pairs(point.attributes()), false), point.value());
                }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    family.histogram(labels.with(pairs(point.attributes()), true), point);
                }
            }
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    fn family(
        &mut self,
        source: Source,
        name: String,
        kind: Kind,
        metadata: (&str, &str),
    ) -> &mut Family {
        let families = &mut self.rendered.families;
        let key = (source, name.clone(), kind.word());
        let index = *self.index.entry(key).or_insert_with(|| {
            families.push(Family::new(source, name, kind, metadata));
            families.len() - 1
        });
        &mut families[index]
    }
}

fn pairs<'a>(
    attributes: impl Iterator<Item = &'a KeyValue>,
) -> impl Iterator<Item = (&'a opentelemetry::Key, &'a opentelemetry::Value)> {
    attributes.map(|attribute| (&attribute.key, &attribute.value))
}

impl Family {
    /// A family without samples. Of it are known its unit, in UCUM, and what it means.
    pub(super) fn new(
        source: Source,
        name: String,
        kind: Kind,
        (unit, help): (&str, &str),
    ) -> Self {
        let lead = lead(&name);
        Self {
            source,
            is_odd: lead.1,
            time: None,
            began: None,
            has_created: false,
            lead,
            unit: name::unit(unit),
            name,
            kind,
            help: help.to_owned(),
            text: String::new(),
            series: Vec::new(),
            known: HashSet::new(),
            duplicates: 0,
        }
    }

    /// Adds a series; `labels` are rendered already.
    pub(super) fn sample<T: Number>(&mut self, labels: String, value: T) {
        if self.begin(&labels) {
            self.line("", &labels, value);
            self.created(&labels);
            self.end();
        }
    }

    fn histogram<T: Number>(&mut self, labels: String, point: &HistogramDataPoint<T>) {
        if !self.begin(&labels) {
            return;
        }
        let mut cumulative = 0_u64;
        let mut bucket = labels.clone();
        for (bound, count) in point.bounds().zip(point.bucket_counts()) {
            cumulative = cumulative.saturating_add(count);
            // The bucket without a bound follows with the count of all.
            if bound < f64::INFINITY {
                text::label(&mut bucket, "le", &text::bound(bound));
                self.line("_bucket", &bucket, cumulative);
                bucket.truncate(labels.len());
            }
        }
        text::label(&mut bucket, "le", "+Inf");
        self.line("_bucket", &bucket, point.count());
        self.line("_sum", &labels, point.sum());
        self.line("_count", &labels, point.count());
        self.created(&labels);
        self.end();
    }

    /// Whether the series is not there yet.
    fn begin(&mut self, labels: &str) -> bool {
        self.is_odd |= lines::has_quoted_label(labels);
        let mut hasher = DefaultHasher::new();
        // What is one series to some scraper is one.
        Escaping::Underscores.labels(labels).hash(&mut hasher);
        let id = hasher.finish();
        let new = self.known.insert(id);
        if new {
            self.series.push(Series { id, end: 0 });
        } else {
            self.duplicates += 1;
        }
        new
    }

    /// Says when a total began, under the name that OpenMetrics has for it.
    fn created(&mut self, labels: &str) {
        let Some(began) = self.began else { return };
        if self.kind == Kind::Histogram {
            self.line("_created", labels, began);
        } else if let Some(open) = self.kind.open_name(&self.name) {
            write_line(&mut self.text, (&lead(open), "_created"), labels, began);
        } else {
            return;
        }
        self.has_created = true;
    }

    fn line<T: Number>(&mut self, suffix: &str, labels: &str, value: T) {
        write_line(&mut self.text, (&self.lead, suffix), labels, value);
    }

    fn end(&mut self) {
        if let Some(series) = self.series.last_mut() {
            series.end = self.text.len();
        }
    }
}

/// What a line begins with, and whether the name is in quotes there.
fn lead(name: &str) -> (String, bool) {
    match is_plain(name) {
        true => (name.to_owned(), false),
        false => (text::odd_name(name), true),
    }
}

fn write_line<T: Number>(
    out: &mut String,
    ((lead, is_quoted), suffix): (&(String, bool), &str),
    labels: &str,
    value: T,
) {
    let (open, close) = match (is_quoted, labels.is_empty()) {
        (false, true) => ("", " "),
        (false, false) => ("{", "} "),
        (true, true) => ("\"", "} "),
        (true, false) => ("\",", "} "),
    };
    for piece in [lead, suffix, open, labels, close] {
        out.push_str(piece);
    }
    value.write(out);
    out.push('\n');
}
