//! Remembers the series in the last OTLP messages, to send the end of those that disappear: a point
//! with the flag `no recorded value`, like a stale marker in Prometheus.
//!
//! A series has ended when its endpoint was polled and the answer does not have it, or there is no
//! answer, and when its target is removed. A delta needs no end: it has no value between two
//! points.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{InstrumentationScope, KeyValue},
    metrics::v1::{
        AggregationTemporality, DataPointFlags, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    },
};
use opentelemetry_sdk::Resource;
use prost::Message as _;

use super::{
    common_instruments::CommonInstruments,
    point_times::{Key, Nanos},
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
    resource: Resource,
    scopes: BTreeMap<Arc<str>, Series>,
    /// Points for series that ended without a message. Their time is that of the next message.
    pending: Vec<ExportMetricsServiceRequest>,
    latest: Nanos,
}

/// The series of one scope, in two allocations.
#[derive(Debug, Default)]
struct Series {
    /// The entries, sorted by instrument and key.
    entries: Vec<Entry>,
    /// The encoded attributes of all series, one after the other.
    attributes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    instrument: u32,
    /// Where its attributes start and end.
    attributes: (u32, u32),
    /// Whether the messages that are being encoded have it.
    is_there: bool,
}

/// The series in the messages that are being encoded. Nearly always these are the series of the last
/// messages, which are only marked.
#[derive(Debug)]
pub(super) struct MessageSeries {
    schema: Arc<Schema>,
    now: Nanos,
    /// The series of the last messages.
    last: BTreeMap<Arc<str>, Series>,
    /// Those that are new.
    scopes: BTreeMap<Arc<str>, Series>,
    /// The scope that is not in the messages, because all of it was said before.
    kept: Option<&'static str>,
}

/// Only the attributes of a series.
#[derive(Clone, PartialEq, prost::Message)]
struct Attributes {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

impl MessageSeries {
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The series of a scope are those of an earlier message.
    pub(super) fn keep(&mut self, scope: &'static str) {
        self.kept = Some(scope);
    }

    /// Records a series of a message.
    pub(super) fn note(&mut self, instrument: usize, key: Key, attributes: &[KeyValue]) {
        let Some(known) = self.schema.get(instrument) else {
            return;
        };
        if known.delta.is_some() && !is_gauge(known.kind) {
            return;
        }
        let place = place(instrument, key);
        let last = self.last.get_mut(&known.scope);
        if let Some(entry) = last.and_then(|series| series.find(place)) {
            entry.is_there = true;
            return;
        }
        if !self.scopes.contains_key(&known.scope) {
            let scope = Arc::clone(&known.scope);
            self.scopes.insert(scope, Series::default());
        }
        if let Some(series) = self.scopes.get_mut(&known.scope) {
            series.push(place, attributes);
        }
    }
}

/// The instrument and the key of a series, by which entries are sorted.
type Place = (u32, Key);

fn place(instrument: usize, key: Key) -> Place {
    (position(instrument), key)
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Entry {
    fn place(&self) -> Place {
        (self.instrument, self.key)
    }
}

impl Series {
    fn push(&mut self, place: Place, attributes: &[KeyValue]) {
        let from = self.attributes.len();
        for attribute in attributes {
            // This is field 1 of `Attributes`, a message.
            self.attributes.push(0x0a);
            // Only a buffer of a fixed size can be too small.
            attribute
                .encode_length_delimited(&mut self.attributes)
                .unwrap_or_default();
        }
        let (instrument, key) = place;
        self.entries.push(Entry {
            key,
            instrument,
            attributes: (position(from), position(self.attributes.len())),
            is_there: true,
        });
    }

    fn find(&mut self, place: Place) -> Option<&mut Entry> {
        let found = self.entries.binary_search_by_key(&place, Entry::place);
        self.entries.get_mut(found.ok()?)
    }

    fn are_all_there(&self) -> bool {
        self.entries.iter().all(|entry| entry.is_there)
    }

    /// Adds the entries of `old` that are there.
    fn add(&mut self, old: &Self) {
        for entry in old.entries.iter().filter(|entry| entry.is_there) {
            let (from, to) = entry.attributes;
            let attributes = old.attributes.get(from as usize..to as usize);
            let start = self.attributes.len();
            self.attributes.extend(attributes.unwrap_or_default());
            self.entries.push(Entry {
                attributes: (position(start), position(self.attributes.len())),
                ..*entry
            });
        }
    }

    /// Frees unused memory, sorts the entries, and marks none of them.
    fn close(&mut self) {
        self.entries.sort_unstable_by_key(Entry::place);
        self.entries.shrink_to_fit();
        self.attributes.shrink_to_fit();
        self.unmark();
    }

    fn unmark(&mut self) {
        for entry in &mut self.entries {
            entry.is_there = false;
        }
    }

    fn attributes(&self, entry: &Entry) -> Vec<KeyValue> {
        let (from, to) = entry.attributes;
        let encoded = self.attributes.get(from as usize..to as usize);
        let decoded = Attributes::decode(encoded.unwrap_or_default());
        decoded.unwrap_or_default().attributes
    }
}

impl SentSeries {
    pub(super) fn new(schema: &Arc<Schema>, resource: &Resource) -> Self {
        Self {
            schema: Arc::clone(schema),
            resource: resource.clone(),
            scopes: BTreeMap::new(),
            pending: Vec::new(),
            latest: 0,
        }
    }

    /// Starts messages with points of the time `now`.
    pub(super) fn begin(&mut self, now: Nanos) -> MessageSeries {
        MessageSeries {
            schema: Arc::clone(&self.schema),
            now,
            last: std::mem::take(&mut self.scopes),
            scopes: BTreeMap::new(),
            kept: None,
        }
    }

    /// Finishes messages that have all series of the scopes in `whole`. Returns the series that
    /// ended.
    pub(super) fn end<'a>(
        &mut self,
        saying: MessageSeries,
        whole: impl Iterator<Item = &'a Arc<str>>,
        starts: &Starts,
    ) -> Vec<ExportMetricsServiceRequest> {
        let MessageSeries {
            now,
            last,
            mut scopes,
            kept,
            ..
        } = saying;
        self.scopes = last;
        self.latest = self.latest.max(now);
        let mut ended = std::mem::take(&mut self.pending);
        for message in &mut ended {
            set_times(message, now);
        }
        let mut gone = Vec::new();
        for scope in whole.filter(|scope| kept != Some(&***scope)) {
            let new = scopes.remove(scope);
            if let (None, Some(old)) = (&new, self.scopes.get_mut(scope))
                && old.are_all_there()
            {
                old.unmark();
                continue;
            }
            let mut new = new.unwrap_or_default();
            if let Some(old) = self.scopes.remove(scope) {
                let entries = old.entries.iter().filter(|entry| !entry.is_there);
                gone.extend(self.scope(scope, (&old, entries), (starts, now)));
                new.add(&old);
            }
            new.close();
            if !new.entries.is_empty() {
                self.scopes.insert(Arc::clone(scope), new);
            }
        }
        // Those of other scopes are neither new nor gone.
        self.scopes.values_mut().for_each(Series::unmark);
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
        let all = all.filter_map(|(scope, series)| {
            self.scope(scope, (series, series.entries.iter()), (starts, now))
        });
        ended.extend(self.message(all.collect()));
        ended
    }

    /// Continues `old`, whose series have the same Resource. Series of instruments that no longer
    /// exist end with the next message.
    pub(super) fn take_over(&mut self, old: &mut Self, common: &CommonInstruments) {
        let starts = Starts::new(&old.schema);
        let mut gone = Vec::new();
        for (scope, mut series) in std::mem::take(&mut old.scopes) {
            let is_kept = |entry: &&Entry| common.index(entry.instrument as usize).is_some();
            let left = series.entries.iter().filter(|entry| !is_kept(entry));
            gone.extend(old.scope(&scope, (&series, left), (&starts, 0)));
            series.entries.retain_mut(|entry| {
                let moved = common.index(entry.instrument as usize);
                let moved = moved.and_then(|index| u32::try_from(index).ok());
                entry.instrument = moved.unwrap_or_default();
                moved.is_some()
            });
            series.entries.sort_unstable_by_key(Entry::place);
            if !series.entries.is_empty() {
                self.scopes.insert(scope, series);
            }
        }
        self.pending.append(&mut old.pending);
        self.pending.extend(old.message(gone));
        self.latest = old.latest;
    }

    /// Ends all series of `old` with the next message.
    pub(super) fn end_all(&mut self, old: &mut Self) {
        let starts = Starts::new(&old.schema);
        self.pending.extend(old.end_of_series(&starts, 0));
        self.latest = self.latest.max(old.latest);
        old.scopes.clear();
        old.pending.clear();
    }

    /// A message of these scopes; none if there are none.
    pub(super) fn message(&self, scopes: Vec<ScopeMetrics>) -> Option<ExportMetricsServiceRequest> {
        let scope_metrics: Vec<_> = scopes.into_iter().collect();
        (!scope_metrics.is_empty()).then(|| ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some((&self.resource).into()),
                scope_metrics,
                schema_url: String::new(),
            }],
        })
    }

    /// The end of some series of a scope. `None` if there are none.
    fn scope<'a>(
        &self,
        name: &Arc<str>,
        (series, ended): (&'a Series, impl Iterator<Item = &'a Entry>),
        (starts, now): (&Starts, Nanos),
    ) -> Option<ScopeMetrics> {
        let mut metrics: BTreeMap<u32, Vec<End>> = BTreeMap::new();
        for entry in ended {
            let start = starts.of(entry.instrument as usize, entry.key);
            metrics.entry(entry.instrument).or_default().push(End {
                attributes: series.attributes(entry),
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
                name: name.to_string(),
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
    attributes: Vec<KeyValue>,
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
