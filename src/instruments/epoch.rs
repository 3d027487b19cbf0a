//! One SDK provider of a target: instruments that observe what is put before them.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Histogram, Meter, MeterProvider as _},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::metric::Data,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{
        Instrument as SdkInstrument, SdkMeterProvider, Stream, data::ResourceMetrics,
        reader::MetricReader,
    },
};

use super::{
    common::Common,
    reader::PullReader,
    repr::{Fitted, Repr},
    texts::shared,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Reading, Schema},
};

/// A provider with its own start time. Its instruments are made when they are first needed.
#[derive(Debug)]
pub(super) struct Epoch {
    provider: SdkMeterProvider,
    reader: PullReader,
    schema: Arc<Schema>,
    /// Those that observe and were needed, by their index in the schema.
    slots: BTreeMap<usize, Slot>,
    next_slot: u32,
    points: Arc<Points>,
    histograms: BTreeMap<usize, Histogram<f64>>,
    /// When counters began, by their index in the schema: the SDK gives one that goes over from
    /// integers to floating point another start time.
    starts: BTreeMap<usize, u64>,
}

/// One instrument within an epoch.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Stays when the schema changes: callbacks know it.
    id: u32,
    /// By representation.
    made: [bool; 3],
}

/// What the callbacks observe at the next collect. One for all: between two collects, which is
/// nearly always, a target has nothing in it.
#[derive(Debug, Default)]
struct Points(Mutex<Vec<Point>>);

#[derive(Debug)]
struct Point {
    slot: u32,
    value: Fitted,
    attributes: Vec<KeyValue>,
}

impl Points {
    fn lock(&self) -> MutexGuard<'_, Vec<Point>> {
        // A callback must never panic: it would poison the SDK's pipeline for good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows those of a slot to `observe`; they are sorted by now.
    fn observe(&self, slot: u32, observe: impl Fn(&Point)) {
        let points = self.lock();
        let first = points.partition_point(|point| point.slot < slot);
        let own = points.iter().skip(first);
        own.take_while(|point| point.slot == slot).for_each(observe);
    }
}

impl Epoch {
    pub(super) fn new(resource: Resource, schema: &Arc<Schema>) -> Self {
        let reader = PullReader::default();
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader.clone())
            .with_view(cardinality(Arc::clone(schema)))
            .build();
        Self {
            provider,
            reader,
            schema: Arc::clone(schema),
            slots: BTreeMap::new(),
            next_slot: 0,
            points: Arc::default(),
            histograms: BTreeMap::new(),
            starts: BTreeMap::new(),
        }
    }

    /// Goes on with the instruments that another schema has in common with its own.
    pub(super) fn follow(&mut self, schema: &Arc<Schema>, common: &Common) {
        self.schema = Arc::clone(schema);
        let slots = std::mem::take(&mut self.slots);
        self.slots = common.moved(slots).collect();
        let histograms = std::mem::take(&mut self.histograms);
        self.histograms = common.moved(histograms).collect();
        let starts = std::mem::take(&mut self.starts);
        self.starts = common.moved(starts).collect();
    }

    /// Puts a value before its instrument for the next collect, as `repr`.
    pub(super) fn put(&mut self, reading: Reading, repr: Repr) {
        let Some(instrument) = self.schema.get(reading.instrument) else {
            return;
        };
        let slot = self.slots.entry(reading.instrument).or_insert_with(|| {
            let id = self.next_slot;
            self.next_slot += 1;
            let made = [false; 3];
            Slot { id, made }
        });
        if !std::mem::replace(&mut slot.made[repr as usize], true) {
            let meter = meter(&self.provider, instrument);
            observe(&meter, instrument, repr, &self.points, slot.id);
        }
        self.points.lock().push(Point {
            slot: slot.id,
            value: Fitted::new(reading.value, repr),
            attributes: reading.attributes,
        });
    }

    /// Records an observation in a histogram; kept from then on.
    pub(super) fn record(&mut self, reading: &Reading) {
        let Some(instrument) = self.schema.get(reading.instrument) else {
            return;
        };
        let new = || make_histogram(&meter(&self.provider, instrument), instrument);
        let histogram = self.histograms.entry(reading.instrument);
        histogram
            .or_insert_with(new)
            .record(reading.value.as_f64(), &reading.attributes);
    }

    /// Gives a counter that went over to floating point the start time that it had as an integer:
    /// another one under a total that goes on reads as a second full increase.
    pub(super) fn keep_starts(&mut self, message: &mut ExportMetricsServiceRequest) {
        let schema = &self.schema;
        let (slots, starts) = (&self.slots, &mut self.starts);
        let is_counter = |index: usize| schema.kind(index) == Some(InstrumentKind::Counter);
        let is_settled = |(index, slot): (&usize, &Slot)| {
            let is_one = slot.made.iter().filter(|made| **made).count() == 1;
            !is_counter(*index) || (is_one && starts.contains_key(index))
        };
        if slots.iter().all(is_settled) {
            return;
        }
        let scopes = message.resource_metrics.iter_mut();
        for part in scopes.flat_map(|resource| &mut resource.scope_metrics) {
            let scope = part.scope.as_ref().map_or("", |scope| &scope.name);
            for metric in &mut part.metrics {
                let Some(Data::Sum(sum)) = &mut metric.data else {
                    continue;
                };
                let mut known = slots.keys().copied().filter(|index| is_counter(*index));
                let found = known.find(|index| {
                    let of = schema.get(*index);
                    of.is_some_and(|of| of.name == metric.name && *of.scope == *scope)
                });
                let first = sum.data_points.first();
                if let (Some(index), Some(first)) = (found, first) {
                    let start = starts.entry(index).or_insert(first.start_time_unix_nano);
                    for point in &mut sum.data_points {
                        point.start_time_unix_nano = *start;
                    }
                }
            }
        }
    }

    /// Collects what was put before the instruments, which are empty again, and all histograms.
    pub(super) fn collect(&mut self) -> ResourceMetrics {
        self.points.lock().sort_by_key(|point| point.slot);
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            tracing::warn!(error = %error, "collecting a target's metrics failed");
        }
        // Their room as well: between two polls of a target there are those of all others.
        *self.points.lock() = Vec::new();
        metrics
    }
}

/// A view that gives each instrument its own limit: the SDK allocates to the limit at once, and
/// folds what is over it into one meaningless point.
fn cardinality(
    schema: Arc<Schema>,
) -> impl Fn(&SdkInstrument) -> Option<Stream> + Send + Sync + 'static {
    move |asked| {
        let named = |known: &&Arc<Instrument>| known.name == asked.name();
        let found = schema.instruments().iter().filter(named);
        // One of several scopes may have the name. One more than can come, so that the SDK's own
        // overflow point never appears.
        let max_series = found.map(|known| known.max_series).max()?;
        Stream::builder()
            .with_cardinality_limit(max_series + 1)
            .build()
            .ok()
    }
}

fn meter(provider: &SdkMeterProvider, instrument: &Instrument) -> Meter {
    let scope = InstrumentationScope::builder(shared(&instrument.scope))
        .with_version(env!("CARGO_PKG_VERSION"));
    provider.meter_with_scope(scope.build())
}

/// Makes the SDK instrument that observes the points of one slot and representation. The SDK keeps
/// it as long as the provider lives; the handle says nothing.
fn observe(meter: &Meter, instrument: &Instrument, repr: Repr, points: &Arc<Points>, slot: u32) {
    let [name, description, unit] = texts(instrument);
    macro_rules! observable {
        ($builder:ident, $fitted:ident) => {{
            let points = Arc::clone(points);
            meter
                .$builder(name)
                .with_description(description)
                .with_unit(unit)
                .with_callback(move |observer| {
                    points.observe(slot, |point| {
                        if let Fitted::$fitted(value) = point.value {
                            observer.observe(value, &point.attributes);
                        }
                    });
                })
                .build();
        }};
    }
    match (instrument.kind, repr) {
        (InstrumentKind::Counter, Repr::Double) => observable!(f64_observable_counter, Double),
        (InstrumentKind::Counter, _) => observable!(u64_observable_counter, Unsigned),
        (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, Repr::Double) => {
            observable!(f64_observable_up_down_counter, Double);
        }
        (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, _) => {
            observable!(i64_observable_up_down_counter, Signed);
        }
        (InstrumentKind::Gauge, Repr::Unsigned) => observable!(u64_observable_gauge, Unsigned),
        (InstrumentKind::Gauge, Repr::Signed) => observable!(i64_observable_gauge, Signed),
        (InstrumentKind::Gauge, Repr::Double) => observable!(f64_observable_gauge, Double),
        (InstrumentKind::Histogram, _) => {}
    }
}

/// Name, description and unit. The SDK copies them for each target and again at each collect, and
/// what we say ourselves need not be copied.
fn texts(instrument: &Instrument) -> [Cow<'static, str>; 3] {
    [&instrument.name, &instrument.description, &instrument.unit].map(|text| shared(text))
}

fn make_histogram(meter: &Meter, instrument: &Instrument) -> Histogram<f64> {
    let [name, description, unit] = texts(instrument);
    let builder = meter
        .f64_histogram(name)
        .with_description(description)
        .with_unit(unit);
    if instrument.buckets.is_empty() {
        return builder.build();
    }
    builder.with_boundaries(instrument.buckets.clone()).build()
}

impl Drop for Epoch {
    fn drop(&mut self) {
        // Frees the callbacks; "already shut down" is the only other answer.
        drop(self.provider.shutdown());
    }
}
