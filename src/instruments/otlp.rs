//! Encodes collected metrics as OTLP messages: with the time of the observation, the start time of
//! each total, and the end of each series that has disappeared.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1 as common,
    metrics::v1::{self as proto, metric::Data},
};
use opentelemetry_sdk::{
    Resource,
    metrics::data::{AggregatedMetrics, Metric, MetricData, ScopeMetrics},
};

use super::{
    Collected, SCOPE,
    common_instruments::CommonInstruments,
    counted,
    delta::Deltas,
    exemplars,
    own_points::OwnPoints,
    point_times::{Nanos, nanos},
    sent_series::{MessageSeries, SentSeries},
    starts::Starts,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Exemplar, Schema},
};

/// What is known of a target between two messages, starting with the first requested message.
#[derive(Debug)]
pub(super) struct Encoder {
    deltas: Deltas,
    own_points: OwnPoints,
    sent_series: SentSeries,
}

/// Encodes the messages of one collection.
#[derive(Debug)]
pub struct Encoding<'a> {
    encoder: &'a mut Encoder,
    starts: &'a Starts,
    time: SystemTime,
}

impl Encoder {
    pub(super) fn new(schema: &Arc<Schema>, resource: &Resource) -> Self {
        Self {
            deltas: Deltas::new(schema),
            own_points: OwnPoints::new(schema),
            sent_series: SentSeries::new(schema, resource),
        }
    }

    /// Continues `old`, which has the same Resource, for the instruments that both have. The other
    /// series end with the next message.
    pub(super) fn take_over(&mut self, old: &mut Self, common: &CommonInstruments) {
        self.deltas.take_over(&mut old.deltas);
        self.sent_series.take_over(&mut old.sent_series, common);
    }

    /// Ends all series of `old`, which has another Resource, with the next message.
    pub(super) fn end_all(&mut self, old: &mut Self) {
        self.sent_series.end_all(&mut old.sent_series);
    }

    /// Forgets what is remembered of series that are gone; says how many.
    pub(super) fn shed(&mut self) -> usize {
        self.deltas.shed()
    }

    pub(super) fn end_of_series(
        &self,
        starts: &Starts,
        now: SystemTime,
    ) -> Vec<ExportMetricsServiceRequest> {
        self.sent_series.end_of_series(starts, nanos(now))
    }
}

impl<'a> Encoding<'a> {
    pub(super) fn new(encoder: &'a mut Encoder, starts: &'a Starts, time: SystemTime) -> Self {
        Self {
            encoder,
            starts,
            time,
        }
    }

    /// Encodes the collected metrics as OTLP messages, one for each part, with deltas of the
    /// selected metrics and with the `exemplars` of the report metrics. The report metrics are there
    /// if they changed, and each minute. Series of the polled or
    /// `lost` scopes that were in an earlier message and are not in this one have ended. A last
    /// message says so.
    pub fn messages(
        self,
        collected: &Collected,
        [read, lost]: [&[Arc<str>]; 2],
        exemplars: &[Exemplar],
    ) -> Vec<ExportMetricsServiceRequest> {
        let Encoder {
            deltas,
            own_points,
            sent_series,
        } = self.encoder;
        let now = nanos(self.time);
        let mut series = sent_series.begin(now);
        let signed = collected.signed_metrics.as_ref();
        let parts = signed.unwrap_or(&collected.metrics).iter();
        let messages = parts.map(|part| {
            let mut message = ExportMetricsServiceRequest::default();
            let mut encoded = resource(&collected.resource);
            for scope in part.scope_metrics() {
                if scope.scope().name() == SCOPE && !own_points.are_due(scope, now) {
                    series.keep(SCOPE);
                    continue;
                }
                encoded
                    .scope_metrics
                    .push(stamped(scope, (self.starts, now), &mut series));
            }
            message.resource_metrics.push(encoded);
            deltas.apply(&mut message);
            exemplars::add(&mut message, exemplars);
            message
        });
        let mut messages: Vec<_> = messages.collect();
        let counted = counted::scopes(&collected.histograms, self.starts, now, &mut series);
        messages.extend(sent_series.message(counted).map(|mut message| {
            deltas.apply(&mut message);
            message
        }));
        messages.extend(sent_series.end(series, read.iter().chain(lost), self.starts));
        messages
    }
}

/// A Resource without metrics.
fn resource(resource: &Resource) -> proto::ResourceMetrics {
    let schema_url = resource.schema_url();
    proto::ResourceMetrics {
        resource: Some(resource.into()),
        scope_metrics: Vec::new(),
        schema_url: schema_url.map(Into::into).unwrap_or_default(),
    }
}

/// The metrics of a scope, with the times of each point. Records its series.
fn stamped(
    part: &ScopeMetrics,
    (starts, now): (&Starts, Nanos),
    message_series: &mut MessageSeries,
) -> proto::ScopeMetrics {
    let mut scope: proto::ScopeMetrics = part.into();
    for (metric, encoded) in part.metrics().zip(&mut scope.metrics) {
        let name = part.scope().name();
        let fits = |of: &Instrument| is_data_of(encoded, of.kind);
        let instrument = message_series.schema().find(name, metric.name(), fits);
        let mut stamp = Stamp {
            starts,
            now,
            instrument,
            message_series,
        };
        stamp.metric(metric, encoded);
    }
    // One whose values were all said before is not there for a while.
    scope.metrics.retain(has_points);
    scope
}

fn has_points(metric: &proto::Metric) -> bool {
    match &metric.data {
        Some(Data::Gauge(of)) => !of.data_points.is_empty(),
        Some(Data::Sum(of)) => !of.data_points.is_empty(),
        _ => true,
    }
}

/// Whether an instrument of this kind has this kind of data.
fn is_data_of(metric: &proto::Metric, kind: InstrumentKind) -> bool {
    use InstrumentKind::{Counter, Gauge, Histogram, StateSet, UpDownCounter};
    match &metric.data {
        Some(Data::Sum(sum)) if sum.is_monotonic => kind == Counter,
        Some(Data::Sum(_)) => matches!(kind, UpDownCounter | StateSet),
        Some(Data::Gauge(_)) => kind == Gauge,
        Some(Data::Histogram(_)) => kind == Histogram,
        _ => false,
    }
}

/// Sets the times of the points of one metric.
struct Stamp<'a> {
    starts: &'a Starts,
    now: Nanos,
    instrument: Option<usize>,
    message_series: &'a mut MessageSeries,
}

impl Stamp<'_> {
    fn metric(&mut self, metric: &Metric, encoded: &mut proto::Metric) {
        let Some(encoded) = &mut encoded.data else {
            return;
        };
        match metric.data() {
            AggregatedMetrics::F64(data) => self.data(data, encoded),
            AggregatedMetrics::U64(data) => self.data(data, encoded),
            AggregatedMetrics::I64(data) => self.data(data, encoded),
        }
    }

    fn data<T: Copy>(&mut self, data: &MetricData<T>, encoded: &mut Data) {
        match (data, encoded) {
            (MetricData::Gauge(gauge), Data::Gauge(encoded)) => {
                for (point, encoded) in gauge.data_points().zip(&mut encoded.data_points) {
                    let times = self.point(point.attributes(), &encoded.attributes);
                    // A gauge has no start time.
                    encoded.start_time_unix_nano = 0;
                    encoded.time_unix_nano = times.point;
                }
                encoded.data_points.retain(|of| of.time_unix_nano != OLD);
            }
            (MetricData::Sum(sum), Data::Sum(encoded)) => {
                for (point, encoded) in sum.data_points().zip(&mut encoded.data_points) {
                    let times = self.point(point.attributes(), &encoded.attributes);
                    encoded.start_time_unix_nano = times.start;
                    encoded.time_unix_nano = times.point;
                }
                encoded.data_points.retain(|of| of.time_unix_nano != OLD);
            }
            (MetricData::Histogram(histogram), Data::Histogram(encoded)) => {
                for (point, encoded) in histogram.data_points().zip(&mut encoded.data_points) {
                    let times = self.point(point.attributes(), &encoded.attributes);
                    encoded.start_time_unix_nano = times.start;
                    encoded.time_unix_nano = times.point;
                }
            }
            // No instrument of this collector creates other kinds.
            _ => {}
        }
    }

    /// Records a series and returns its start time; 0 if it has none.
    fn point<'p>(
        &mut self,
        attributes: impl Iterator<Item = &'p KeyValue>,
        encoded: &[common::KeyValue],
    ) -> Times {
        let Some(instrument) = self.instrument else {
            let (start, point) = (0, self.now);
            return Times { start, point };
        };
        let key = self.starts.key(attributes);
        self.message_series.note(instrument, key, encoded);
        let point = match self.starts.measured(instrument, key) {
            Some(measured) if measured.is_old => OLD,
            Some(measured) => measured.time,
            None => self.now,
        };
        let start = self.starts.of(instrument, key);
        let start = start.map_or(0, |start| start.before(point));
        Times { start, point }
    }
}

/// The times of a point; a start of 0 is none.
struct Times {
    start: Nanos,
    point: Nanos,
}

/// The time of a value that was measured before the last message and said there: it is not said
/// again, and its series has not ended.
const OLD: Nanos = 0;
