//! One SDK provider of a target: instruments that observe what is put before them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{AsyncInstrument, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{
        Instrument as SdkInstrument, SdkMeterProvider, Stream, data::ResourceMetrics,
        reader::MetricReader,
    },
};

use super::{
    heritage::Common,
    reader::PullReader,
    repr::{Repr, Sorted},
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
    /// Those that were needed, by their index in the schema.
    slots: BTreeMap<usize, Slot>,
}

/// One instrument of the definition within an epoch.
#[derive(Debug)]
struct Slot {
    instrument: Arc<Instrument>,
    points: Arc<Points>,
    /// By representation.
    made: [bool; 3],
    histogram: Option<Histogram<f64>>,
}

/// What the callbacks observe at the next collect.
#[derive(Debug, Default)]
struct Points(Mutex<Sorted>);

impl Points {
    fn lock(&self) -> MutexGuard<'_, Sorted> {
        // A callback must never panic: it would poison the SDK's pipeline for good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        }
    }

    /// Goes on with the instruments that another schema has in common with its own.
    pub(super) fn follow(&mut self, schema: &Arc<Schema>, common: &Common) {
        self.schema = Arc::clone(schema);
        let slots = std::mem::take(&mut self.slots);
        self.slots = common.moved(slots).collect();
    }

    /// Puts a value before its instrument for the next collect, as `repr`.
    pub(super) fn put(&mut self, reading: &Reading, repr: Repr) {
        let Some(slot) = slot(&mut self.slots, &self.schema, reading.instrument) else {
            return;
        };
        if !std::mem::replace(&mut slot.made[repr as usize], true) {
            slot.make(&meter(&self.provider, &slot.instrument), repr);
        }
        slot.points
            .lock()
            .push(reading.attributes.clone(), reading.value, repr);
    }

    /// Records an observation in a histogram; kept from then on.
    pub(super) fn record(&mut self, reading: &Reading) {
        let Some(slot) = slot(&mut self.slots, &self.schema, reading.instrument) else {
            return;
        };
        let histogram = slot.histogram.get_or_insert_with(|| {
            make_histogram(&meter(&self.provider, &slot.instrument), &slot.instrument)
        });
        histogram.record(reading.value.as_f64(), &reading.attributes);
    }

    /// Collects what was put before the instruments, and all histograms.
    pub(super) fn collect(&self) -> ResourceMetrics {
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            tracing::warn!(error = %error, "collecting a target's metrics failed");
        }
        metrics
    }

    /// Takes away what was put before the instruments.
    pub(super) fn clear(&mut self) {
        for slot in self.slots.values() {
            // Their room as well: between two polls of a target there are those of all others.
            *slot.points.lock() = Sorted::default();
        }
    }
}

/// The slot of an instrument, made when it is first asked for.
fn slot<'s>(
    slots: &'s mut BTreeMap<usize, Slot>,
    schema: &Schema,
    index: usize,
) -> Option<&'s mut Slot> {
    match slots.entry(index) {
        Entry::Occupied(slot) => Some(slot.into_mut()),
        Entry::Vacant(free) => Some(free.insert(Slot::new(Arc::clone(schema.get(index)?)))),
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

impl Slot {
    fn new(instrument: Arc<Instrument>) -> Self {
        Self {
            instrument,
            points: Arc::default(),
            made: [false; 3],
            histogram: None,
        }
    }

    /// Makes the SDK instrument that observes the points of one representation. The SDK keeps it
    /// as long as the provider lives; the handle says nothing.
    fn make(&self, meter: &Meter, repr: Repr) {
        let points = Arc::clone(&self.points);
        let unsigned = |points: Arc<Points>| {
            move |observer: &dyn AsyncInstrument<u64>| observe(observer, &points.lock().unsigned)
        };
        let signed = |points: Arc<Points>| {
            move |observer: &dyn AsyncInstrument<i64>| observe(observer, &points.lock().signed)
        };
        let double = |points: Arc<Points>| {
            move |observer: &dyn AsyncInstrument<f64>| observe(observer, &points.lock().double)
        };
        let [name, description, unit] = texts(&self.instrument);
        macro_rules! observable {
            ($builder:ident, $callback:ident) => {{
                meter
                    .$builder(name)
                    .with_description(description)
                    .with_unit(unit)
                    .with_callback($callback(points))
                    .build();
            }};
        }
        match (self.instrument.kind, repr) {
            (InstrumentKind::Counter, Repr::Double) => {
                observable!(f64_observable_counter, double);
            }
            (InstrumentKind::Counter, _) => observable!(u64_observable_counter, unsigned),
            (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, Repr::Double) => {
                observable!(f64_observable_up_down_counter, double);
            }
            (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, _) => {
                observable!(i64_observable_up_down_counter, signed);
            }
            (InstrumentKind::Gauge, Repr::Unsigned) => observable!(u64_observable_gauge, unsigned),
            (InstrumentKind::Gauge, Repr::Signed) => observable!(i64_observable_gauge, signed),
            (InstrumentKind::Gauge, Repr::Double) => observable!(f64_observable_gauge, double),
            (InstrumentKind::Histogram, _) => {}
        }
    }
}

/// Name, description and unit. The SDK copies them for each target and again at each collect, and
/// what we say ourselves need not be copied.
fn texts(instrument: &Instrument) -> [Cow<'static, str>; 3] {
    [&instrument.name, &instrument.description, &instrument.unit].map(|text| shared(text))
}

fn observe<T: Copy>(observer: &dyn AsyncInstrument<T>, points: &[(Vec<KeyValue>, T)]) {
    for (attributes, value) in points {
        observer.observe(*value, attributes);
    }
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
