//! Encodes collected metrics as OTLP messages: with the time of the observation, the start time of
//! each total, and the end of each series that has disappeared.
//!
//! Numbers are written directly (`protobuf.rs`). Histograms, deltas and points with exemplars, which
//! are few, become the types of opentelemetry-proto first.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{self as proto, AggregationTemporality, metric::Data},
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
    exemplars, otlp_fields as field,
    own_points::OwnPoints,
    point_times::{Key, Nanos, nanos},
    protobuf::Protobuf,
    sent_series::{InstrumentSeries, MessageSeries, SentSeries, may_end},
    starts::Starts,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Exemplar, OtlpMessage, Schema, points},
};

/// What is known of a target between two messages, starting with the first requested message.
#[derive(Debug)]
pub(super) struct Encoder {
    deltas: Deltas,
    own_points: OwnPoints,
    sent_series: SentSeries,
    /// The size of the last message.
    usual_bytes: u32,
}

/// Encodes the messages of one collection.
#[derive(Debug)]
pub struct Encoding<'a> {
    encoder: &'a mut Encoder,
    starts: &'a Starts,
    time: SystemTime,
}

impl Encoder {
    pub(super) fn new(schema: &Arc<Schema>, resource: &Arc<Resource>) -> Self {
        Self {
            deltas: Deltas::default(),
            own_points: OwnPoints::new(schema),
            sent_series: SentSeries::new(schema, resource),
            usual_bytes: 0,
        }
    }

    /// Goes on with another schema. Series of instruments that it does not have end with the next
    /// message.
    pub(super) fn retain(&mut self, schema: &Arc<Schema>, common: &CommonInstruments) {
        self.deltas.retain(common);
        self.own_points = OwnPoints::new(schema);
        self.sent_series.retain(schema, common);
    }

    /// Begins again with another Resource. All series of this one end with the next message.
    pub(super) fn begin_again(&mut self, schema: &Arc<Schema>, resource: &Arc<Resource>) {
        self.deltas = Deltas::default();
        self.own_points = OwnPoints::new(schema);
        self.sent_series.begin_again(schema, resource);
    }

    /// Forgets what is remembered of series that are gone; says how many.
    pub(super) fn shed(&mut self) -> usize {
        self.deltas.shed(self.sent_series.schema())
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

    /// Encodes the collected metrics as an OTLP message, with deltas of the selected metrics and
    /// with the `exemplars` of the report metrics. The report metrics are there if they changed, and
    /// each minute. Series of the polled or `lost` scopes that were in an earlier message and are not
    /// in this one have ended. More messages say so.
    pub fn messages(
        self,
        collected: &Collected,
        [read, lost]: [&[Arc<str>]; 2],
        exemplars: &[Exemplar],
    ) -> Vec<OtlpMessage> {
        let Encoder {
            deltas,
            own_points,
            sent_series,
            usual_bytes,
        } = self.encoder;
        let now = nanos(self.time);
        let mut message = MessageWriter {
            out: Protobuf::with_capacity(*usual_bytes as usize),
            points: 0,
            starts: self.starts,
            now,
            series: sent_series.begin(now),
            deltas,
            exemplars,
        };
        message.write(collected, own_points);
        let MessageWriter {
            out,
            points,
            series,
            ..
        } = message;
        let bytes = out.into_bytes();
        *usual_bytes = u32::try_from(bytes.len()).unwrap_or_default();
        let ended = sent_series.end(series, [read, lost], self.starts);
        let ended = ended.iter().map(OtlpMessage::from);
        let metrics = (points > 0).then_some(OtlpMessage { bytes, points });
        metrics.into_iter().chain(ended).collect()
    }
}

/// Writes a message.
struct MessageWriter<'a> {
    out: Protobuf,
    /// The number of points so far.
    points: u64,
    starts: &'a Starts,
    now: Nanos,
    series: MessageSeries,
    deltas: &'a mut Deltas,
    exemplars: &'a [Exemplar],
}

/// The value of a point.
#[derive(Debug, Clone, Copy)]
enum Value {
    Int(i64),
    Double(f64),
}

/// What an instrument of the SDK counts in.
trait Number: Copy {
    fn value(self) -> Value;
}

impl Number for u64 {
    fn value(self) -> Value {
        // Of a target with a larger number, the signed form is encoded.
        Value::Int(i64::try_from(self).unwrap_or_default())
    }
}

impl Number for i64 {
    fn value(self) -> Value {
        Value::Int(self)
    }
}

impl Number for f64 {
    fn value(self) -> Value {
        Value::Double(self)
    }
}

impl MessageWriter<'_> {
    fn write(&mut self, collected: &Collected, own_points: &mut OwnPoints) {
        let all = self.out.open(field::RESOURCE_METRICS);
        self.resource(&collected.resource);
        let signed = collected.signed_metrics.as_ref();
        for part in signed.unwrap_or(&collected.metrics) {
            for scope in part.scope_metrics() {
                if scope.scope().name() == SCOPE && !own_points.are_due(scope, self.now) {
                    self.series.keep(SCOPE);
                } else {
                    self.scope(scope);
                }
            }
        }
        let counted = &collected.histograms;
        let (series, deltas) = (&mut self.series, &mut *self.deltas);
        for mut scope in counted::scopes(counted, self.starts, self.now, series, deltas) {
            scope.metrics.retain(|metric| count(metric) > 0);
            self.points += scope.metrics.iter().map(count).sum::<u64>();
            if !scope.metrics.is_empty() {
                self.out.message(field::SCOPE_METRICS, &scope);
            }
        }
        let schema_url = collected.resource.schema_url();
        self.out
            .text(field::SCHEMA_URL, schema_url.unwrap_or_default());
        self.out.close(all);
    }

    fn resource(&mut self, resource: &Resource) {
        let open = self.out.open(field::RESOURCE);
        // In the same order for all targets, so that messages compress well.
        let mut attributes: Vec<_> = resource.iter().collect();
        attributes.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in attributes {
            self.out.attribute(field::RESOURCE_ATTRIBUTES, key, value);
        }
        self.out.close(open);
    }

    fn scope(&mut self, part: &ScopeMetrics) {
        let (open, before) = (self.out.open(field::SCOPE_METRICS), self.points);
        let scope = part.scope();
        self.scope_name(scope);
        for metric in part.metrics() {
            self.metric(scope.name(), metric);
        }
        self.out
            .text(field::SCHEMA_URL, scope.schema_url().unwrap_or_default());
        match self.points > before {
            true => self.out.close(open),
            false => self.out.discard(open),
        }
    }

    fn scope_name(&mut self, scope: &InstrumentationScope) {
        let open = self.out.open(field::SCOPE);
        self.out.text(field::SCOPE_NAME, scope.name());
        self.out
            .text(field::SCOPE_VERSION, scope.version().unwrap_or_default());
        for KeyValue { key, value, .. } in scope.attributes() {
            self.out.attribute(field::SCOPE_ATTRIBUTES, key, value);
        }
        self.out.close(open);
    }

    fn metric(&mut self, scope: &str, metric: &Metric) {
        let fits = |of: &Instrument| is_of_kind(metric.data(), of.kind);
        let instrument = self.series.schema().find(scope, metric.name(), fits);
        let known = instrument.and_then(|index| self.series.schema().get(index));
        let has_end = known.is_some_and(|known| may_end(known));
        let series = instrument.filter(|_| has_end);
        let series = series.map(|index| self.series.of(index, scope));
        let has_exemplars =
            scope == SCOPE && self.exemplars.iter().any(|of| *of.metric == *metric.name());
        if let Some(series) = series.filter(|_| !has_exemplars)
            && self.numbers(metric, series)
        {
            return;
        }
        let mut encoded = proto::Metric::from(metric);
        let mut stamp = Stamp {
            starts: self.starts,
            now: self.now,
            instrument,
            series,
            message_series: &mut self.series,
        };
        stamp.metric(metric, &mut encoded);
        let known = instrument.and_then(|index| Some((index, self.series.schema().get(index)?)));
        if let Some((index, known)) = known {
            self.deltas.apply(index, known, &mut encoded);
        }
        if has_exemplars {
            exemplars::add(&mut encoded, self.exemplars);
        }
        let points = count(&encoded);
        if points > 0 {
            self.out.message(field::METRICS, &encoded);
            self.points += points;
        }
    }

    /// Writes a metric of numbers. False if it is something else.
    fn numbers(&mut self, metric: &Metric, series: InstrumentSeries) -> bool {
        let (open, before) = (self.out.open(field::METRICS), self.points);
        self.out.text(field::NAME, metric.name());
        self.out.text(field::DESCRIPTION, metric.description());
        self.out.text(field::UNIT, metric.unit());
        let is_written = match metric.data() {
            AggregatedMetrics::U64(data) => self.data(data, series),
            AggregatedMetrics::I64(data) => self.data(data, series),
            AggregatedMetrics::F64(data) => self.data(data, series),
        };
        // One whose values were all said before is not there for a while.
        match self.points > before {
            true => self.out.close(open),
            false => self.out.discard(open),
        }
        is_written
    }

    fn data<T: Number>(&mut self, data: &MetricData<T>, series: InstrumentSeries) -> bool {
        match data {
            MetricData::Gauge(gauge) => {
                let open = self.out.open(field::GAUGE);
                for point in gauge.data_points() {
                    let attributes = || point.attributes();
                    self.point(series, attributes, point.value().value(), false);
                }
                self.out.close(open);
            }
            MetricData::Sum(sum) => {
                let open = self.out.open(field::SUM);
                for point in sum.data_points() {
                    let attributes = || point.attributes();
                    self.point(series, attributes, point.value().value(), true);
                }
                const CUMULATIVE: u8 = AggregationTemporality::Cumulative as u8;
                self.out.small(field::TEMPORALITY, CUMULATIVE);
                if sum.is_monotonic() {
                    self.out.small(field::IS_MONOTONIC, 1);
                }
                self.out.close(open);
            }
            MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => return false,
        }
        true
    }

    /// Writes a point. A gauge has no start time.
    fn point<'p, I: Iterator<Item = &'p KeyValue>>(
        &mut self,
        series: InstrumentSeries,
        attributes: impl Fn() -> I,
        value: Value,
        has_start: bool,
    ) {
        let key = self.starts.key(attributes());
        let encoded = self.series.note(series, key, attributes);
        let times = Times::of(self.starts, (series.instrument, key), self.now);
        if times.point == OLD {
            return;
        }
        let open = self.out.open(field::DATA_POINTS);
        if has_start && times.start > 0 {
            self.out.fixed(field::START_TIME, times.start);
        }
        self.out.fixed(field::TIME, times.point);
        match value {
            Value::Double(value) => self.out.fixed(field::AS_DOUBLE, value.to_bits()),
            Value::Int(value) => self.out.fixed(field::AS_INT, value.cast_unsigned()),
        }
        self.out.raw(encoded);
        self.out.close(open);
        self.points += 1;
    }
}

fn count(metric: &proto::Metric) -> u64 {
    metric.data.as_ref().map_or(0, points)
}

/// Whether an instrument of this kind has this kind of data.
fn is_of_kind(data: &AggregatedMetrics, kind: InstrumentKind) -> bool {
    fn is<T>(data: &MetricData<T>, kind: InstrumentKind) -> bool {
        use InstrumentKind::{Counter, Gauge, Histogram, StateSet, UpDownCounter};
        match data {
            MetricData::Sum(sum) if sum.is_monotonic() => kind == Counter,
            MetricData::Sum(_) => matches!(kind, UpDownCounter | StateSet),
            MetricData::Gauge(_) => kind == Gauge,
            MetricData::Histogram(_) => kind == Histogram,
            MetricData::ExponentialHistogram(_) => false,
        }
    }
    match data {
        AggregatedMetrics::U64(data) => is(data, kind),
        AggregatedMetrics::I64(data) => is(data, kind),
        AggregatedMetrics::F64(data) => is(data, kind),
    }
}

/// Sets the times of the points of one metric.
struct Stamp<'a> {
    starts: &'a Starts,
    now: Nanos,
    instrument: Option<usize>,
    /// None if the end of its series is not sent.
    series: Option<InstrumentSeries>,
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
                    let times = self.point(|| point.attributes());
                    // A gauge has no start time.
                    encoded.start_time_unix_nano = 0;
                    encoded.time_unix_nano = times.point;
                }
                encoded.data_points.retain(|of| of.time_unix_nano != OLD);
            }
            (MetricData::Sum(sum), Data::Sum(encoded)) => {
                for (point, encoded) in sum.data_points().zip(&mut encoded.data_points) {
                    let times = self.point(|| point.attributes());
                    encoded.start_time_unix_nano = times.start;
                    encoded.time_unix_nano = times.point;
                }
                encoded.data_points.retain(|of| of.time_unix_nano != OLD);
            }
            (MetricData::Histogram(histogram), Data::Histogram(encoded)) => {
                for (point, encoded) in histogram.data_points().zip(&mut encoded.data_points) {
                    let times = self.point(|| point.attributes());
                    encoded.start_time_unix_nano = times.start;
                    encoded.time_unix_nano = times.point;
                }
            }
            // No instrument of this collector creates other kinds.
            _ => {}
        }
    }

    /// Records a series and returns its times.
    fn point<'p, I: Iterator<Item = &'p KeyValue>>(&mut self, attributes: impl Fn() -> I) -> Times {
        let key = self.starts.key(attributes());
        if let Some(series) = self.series {
            self.message_series.note(series, key, attributes);
        }
        match self.instrument {
            Some(instrument) => Times::of(self.starts, (instrument, key), self.now),
            None => Times {
                start: 0,
                point: self.now,
            },
        }
    }
}

/// The times of a point; a start of 0 is none.
struct Times {
    start: Nanos,
    point: Nanos,
}

impl Times {
    fn of(starts: &Starts, (instrument, key): (usize, Key), now: Nanos) -> Self {
        let point = match starts.measured(instrument, key) {
            Some(measured) if measured.is_old => OLD,
            Some(measured) => measured.time,
            None => now,
        };
        let start = starts.of(instrument, key);
        Self {
            start: start.map_or(0, |start| start.before(point)),
            point,
        }
    }
}

/// The time of a value that was measured before the last message and said there: it is not said
/// again, and its series has not ended.
const OLD: Nanos = 0;
