//! Remembers the series in the last OTLP messages, to send the end of those that disappear: a point
//! with the flag `no recorded value`, like a stale marker in Prometheus.
//!
//! A series has ended when its endpoint was polled and the answer does not have it, or there is no
//! answer, and when its target is removed. A delta needs no end: it has no value between two
//! points.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{self as common, InstrumentationScope},
    metrics::v1::{
        AggregationTemporality, DataPointFlags, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    },
};
use opentelemetry_sdk::Resource;

use super::{
    common_instruments::CommonInstruments,
    point_times::{Key, Nanos},
    series_set::{NewSeries, SeriesSet, position},
    starts::Starts,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::Schema,
};

/// The default bucket bounds of the SDK's histograms.
const BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

/// The series in the last messages.
#[derive(Debug)]
pub(super) struct SentSeries {
    schema: Arc<Schema>,
    resource: Arc<Resource>,
    scopes: Vec<SentScope>,
    /// Points for series that ended without a message. Their time is that of the next message.
    pending: Vec<ExportMetricsServiceRequest>,
    latest: Nanos,
}

/// The series of one scope; at least one.
#[derive(Debug)]
struct SentScope {
    name: Arc<str>,
    set: Arc<SeriesSet>,
}

/// The series in the messages that are being encoded. Nearly always these are the series of the last
/// messages, which are only marked.
#[derive(Debug)]
pub(super) struct MessageSeries {
    schema: Arc<Schema>,
    now: Nanos,
    /// The series of the last messages.
    last: Vec<SentScope>,
    /// Which of them are in these messages, scope after scope.
    is_there: Vec<bool>,
    /// Those that are new.
    new: Vec<(Arc<str>, NewSeries)>,
    /// The scope that is not in the messages, because all of it was said before.
    kept: Option<&'static str>,
}

/// Where the series of an instrument are.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstrumentSeries {
    pub(super) instrument: usize,
    /// The scope in the last messages, and the number of series before it.
    last: Option<(usize, usize)>,
}

impl MessageSeries {
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The series of a scope are those of an earlier message.
    pub(super) fn keep(&mut self, scope: &'static str) {
        self.kept = Some(scope);
    }

    /// Where the series of an instrument of this scope are.
    pub(super) fn of(&self, instrument: usize, scope: &str) -> InstrumentSeries {
        let at = self.last.iter().position(|of| *of.name == *scope);
        let before = |at: usize| self.last.iter().take(at).map(|of| of.set.len()).sum();
        InstrumentSeries {
            instrument,
            last: at.map(|at| (at, before(at))),
        }
    }

    /// Records a series of a message, and gives its attributes as a data point has them.
    pub(super) fn note<'a, I: Iterator<Item = &'a KeyValue>>(
        &mut self,
        of: InstrumentSeries,
        key: Key,
        attributes: impl FnOnce() -> I,
    ) -> &[u8] {
        let place = (position(of.instrument), key);
        let last = of.last.and_then(|(scope, before)| {
            let set = &self.last.get(scope)?.set;
            let at = set.position(place.0, place.1)?;
            Some((set, at, self.is_there.get_mut(before + at)?))
        });
        if let Some((set, at, is_there)) = last {
            *is_there = true;
            return set.attributes(at);
        }
        let Some(instrument) = self.schema.get(of.instrument) else {
            return &[];
        };
        let scope = &instrument.scope;
        let known = self.new.iter().position(|(name, _)| name == scope);
        let known = known.unwrap_or_else(|| {
            self.new.push((Arc::clone(scope), NewSeries::default()));
            self.new.len() - 1
        });
        match self.new.get_mut(known) {
            Some((_, series)) => series.push(place, attributes()),
            None => &[],
        }
    }
}

/// Whether the end of the series of an instrument is sent.
pub(super) fn may_end(instrument: &Instrument) -> bool {
    instrument.delta.is_none() || is_gauge(instrument.kind)
}

impl SentScope {
    /// Forgets the series that are not there, and adds new ones.
    fn change(&mut self, is_there: &[bool], mut new: NewSeries) {
        let series = self.set.series().iter().zip(is_there).enumerate();
        for (at, (series, _)) in series.filter(|(_, (_, is_there))| **is_there) {
            new.add(series.instrument, &self.set, at);
        }
        self.set = new.into_set();
    }
}

impl SentSeries {
    pub(super) fn new(schema: &Arc<Schema>, resource: &Arc<Resource>) -> Self {
        Self {
            schema: Arc::clone(schema),
            resource: Arc::clone(resource),
            scopes: Vec::new(),
            pending: Vec::new(),
            latest: 0,
        }
    }

    /// Starts messages with points of the time `now`.
    pub(super) fn begin(&mut self, now: Nanos) -> MessageSeries {
        let last = std::mem::take(&mut self.scopes);
        MessageSeries {
            schema: Arc::clone(&self.schema),
            now,
            is_there: vec![false; last.iter().map(|of| of.set.len()).sum()],
            last,
            new: Vec::new(),
            kept: None,
        }
    }

    /// Finishes messages that have all series of the scopes in `whole`. Returns the series that
    /// ended.
    pub(super) fn end(
        &mut self,
        message: MessageSeries,
        whole: [&[Arc<str>]; 2],
        starts: &Starts,
    ) -> Vec<ExportMetricsServiceRequest> {
        let MessageSeries {
            now,
            last,
            is_there,
            mut new,
            kept,
            ..
        } = message;
        self.scopes = last;
        self.latest = self.latest.max(now);
        let mut ended = std::mem::take(&mut self.pending);
        for message in &mut ended {
            set_times(message, now);
        }
        let is_whole =
            |scope: &Arc<str>| kept != Some(&**scope) && whole.iter().any(|of| of.contains(scope));
        // Those of other scopes are neither new nor gone.
        new.retain(|(scope, _)| is_whole(scope));
        let mut gone = Vec::new();
        let mut scopes = std::mem::take(&mut self.scopes);
        let mut marks = is_there.as_slice();
        for scope in &mut scopes {
            let (is_there, others) = marks.split_at_checked(scope.set.len()).unwrap_or_default();
            marks = others;
            let added = new.iter().position(|(name, _)| *name == scope.name);
            let is_same = added.is_none() && is_there.iter().all(|is_there| *is_there);
            if is_same || !is_whole(&scope.name) {
                continue;
            }
            let left = is_there.iter().enumerate();
            let left = left.filter_map(|(at, is_there)| (!is_there).then_some(at));
            gone.extend(self.scope(scope, left, (starts, now)));
            let added = added.map(|at| new.swap_remove(at).1);
            scope.change(is_there, added.unwrap_or_default());
        }
        scopes.retain(|scope| scope.set.len() > 0);
        if !new.is_empty() {
            let new = new.into_iter().map(|(name, series)| SentScope {
                name,
                set: series.into_set(),
            });
            scopes.extend(new);
            scopes.shrink_to_fit();
        }
        self.scopes = scopes;
        ended.extend(self.message(gone));
        ended
    }

    /// The end of all series at `now`, or after their last point.
    pub(super) fn end_of_series(
        &self,
        starts: &Starts,
        now: Nanos,
    ) -> Vec<ExportMetricsServiceRequest> {
        let now = now.max(self.latest.saturating_add(1));
        let mut ended = self.pending.clone();
        for message in &mut ended {
            set_times(message, now);
        }
        let all = self.scopes.iter();
        let all = all.filter_map(|scope| self.scope(scope, 0..scope.set.len(), (starts, now)));
        ended.extend(self.message(all.collect()));
        ended
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Goes on with another schema. Series of instruments that it does not have end with the next
    /// message.
    pub(super) fn retain(&mut self, schema: &Arc<Schema>, common: &CommonInstruments) {
        let starts = Starts::new(&self.schema);
        let mut gone = Vec::new();
        for scope in std::mem::take(&mut self.scopes) {
            let (mut left, mut moved) = (Vec::new(), NewSeries::default());
            for (at, series) in scope.set.series().iter().enumerate() {
                match common.index(series.instrument as usize) {
                    Some(index) => moved.add(position(index), &scope.set, at),
                    None => left.push(at),
                }
            }
            gone.extend(self.scope(&scope, left.into_iter(), (&starts, 0)));
            let set = moved.into_set();
            if set.len() > 0 {
                let name = scope.name;
                self.scopes.push(SentScope { name, set });
            }
        }
        self.pending.extend(self.message(gone));
        self.schema = Arc::clone(schema);
    }

    /// Begins again with another Resource. All series of this one end with the next message.
    pub(super) fn begin_again(&mut self, schema: &Arc<Schema>, resource: &Arc<Resource>) {
        let pending = self.end_of_series(&Starts::new(&self.schema), 0);
        let latest = self.latest;
        *self = Self {
            pending,
            latest,
            ..Self::new(schema, resource)
        };
    }

    /// A message of these scopes; none if there are none.
    fn message(&self, scope_metrics: Vec<ScopeMetrics>) -> Option<ExportMetricsServiceRequest> {
        (!scope_metrics.is_empty()).then(|| ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some((&*self.resource).into()),
                scope_metrics,
                schema_url: String::new(),
            }],
        })
    }

    /// The end of some series of a scope, which are at these positions. `None` if there are none.
    fn scope(
        &self,
        scope: &SentScope,
        ended: impl Iterator<Item = usize>,
        (starts, now): (&Starts, Nanos),
    ) -> Option<ScopeMetrics> {
        let mut metrics: BTreeMap<u32, Vec<End>> = BTreeMap::new();
        for at in ended {
            let series = scope.set.series().get(at)?;
            let start = starts.of(series.instrument as usize, series.key);
            metrics.entry(series.instrument).or_default().push(End {
                attributes: scope.set.decoded_attributes(at),
                start: start.map_or(0, |start| start.before(now)),
                time: now,
            });
        }
        let metrics = metrics.into_iter().filter_map(|(index, ends)| {
            let instrument = self.schema.get(index as usize)?;
            Some(metric(instrument, ends))
        });
        let metrics: Vec<_> = metrics.collect();
        (!metrics.is_empty()).then(|| ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: scope.name.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics,
            schema_url: String::new(),
        })
    }
}

/// The end of one series.
#[derive(Clone)]
struct End {
    attributes: Vec<common::KeyValue>,
    start: Nanos,
    time: Nanos,
}

const NO_RECORDED_VALUE: u32 = DataPointFlags::NoRecordedValueMask as u32;

impl End {
    fn number(self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            flags: NO_RECORDED_VALUE,
            ..NumberDataPoint::default()
        }
    }

    /// A reader that splits a histogram into buckets must find each of them.
    fn histogram(self, bounds: &[f64]) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            bucket_counts: vec![0; bounds.len() + 1],
            explicit_bounds: bounds.to_vec(),
            flags: NO_RECORDED_VALUE,
            ..HistogramDataPoint::default()
        }
    }
}

fn is_gauge(kind: InstrumentKind) -> bool {
    !matches!(kind, InstrumentKind::Counter | InstrumentKind::Histogram)
}

fn metric(instrument: &Instrument, ends: Vec<End>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let ends = ends.into_iter();
    let sum = |is_monotonic| {
        Data::Sum(Sum {
            data_points: ends.clone().map(End::number).collect(),
            aggregation_temporality,
            is_monotonic,
        })
    };
    let data = match instrument.kind {
        InstrumentKind::Counter => sum(true),
        InstrumentKind::UpDownCounter | InstrumentKind::StateSet => sum(false),
        InstrumentKind::Gauge => Data::Gauge(Gauge {
            data_points: ends.map(End::number).collect(),
        }),
        InstrumentKind::Histogram => {
            let bounds = match instrument.buckets.as_slice() {
                [] => &BOUNDS,
                bounds => bounds,
            };
            Data::Histogram(Histogram {
                data_points: ends.map(|end| end.histogram(bounds)).collect(),
                aggregation_temporality,
            })
        }
    };
    Metric {
        name: instrument.name.clone(),
        description: instrument.description.clone(),
        unit: instrument.unit.clone(),
        data: Some(data),
        ..Metric::default()
    }
}

/// Sets the time of the points of ended series.
fn set_times(message: &mut ExportMetricsServiceRequest, now: Nanos) {
    let scopes = message.resource_metrics.iter_mut();
    let scopes = scopes.flat_map(|of| &mut of.scope_metrics);
    for metric in scopes.flat_map(|of| &mut of.metrics) {
        match &mut metric.data {
            Some(Data::Gauge(of)) => of
                .data_points
                .iter_mut()
                .for_each(|of| of.time_unix_nano = now),
            Some(Data::Sum(of)) => of
                .data_points
                .iter_mut()
                .for_each(|of| of.time_unix_nano = now),
            Some(Data::Histogram(of)) => {
                of.data_points
                    .iter_mut()
                    .for_each(|of| of.time_unix_nano = now);
            }
            _ => {}
        }
    }
}
