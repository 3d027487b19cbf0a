//! One SDK provider with observable instruments, which targets use in turns, or with the histograms
//! of one endpoint of a target.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{
        Instrument as SdkInstrument, SdkMeterProvider, Stream, data::ResourceMetrics,
        reader::MetricReader,
    },
};

use super::{
    common_instruments::CommonInstruments,
    hashing::SeriesHashing,
    interner::shared,
    number_kind::{FittedNumber, NumberKind},
    reader::PullReader,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Reading, Schema},
};

/// So many points take some hundred KiB in the SDK.
const MANY_POINTS: usize = 1000;

/// Instruments are created when they are first needed.
#[derive(Debug)]
pub(super) struct Provider {
    provider: SdkMeterProvider,
    reader: PullReader,
    schema: Arc<Schema>,
    /// The metrics of the last collection, in whose memory the next ones are written.
    spare: ResourceMetrics,
    /// The observable instruments, by their index in the schema.
    slots: Vec<Slot>,
    /// The most points that one collect had.
    most_points: usize,
    points: Arc<Points>,
    histograms: BTreeMap<usize, Recorded>,
    hashing: SeriesHashing,
}

/// One observable instrument: which number types it was needed with.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    made: [bool; 3],
}

/// A histogram, and hashes of its attribute sets.
#[derive(Debug)]
struct Recorded {
    histogram: Histogram<f64>,
    series: HashSet<u64>,
}

/// The points that the callbacks observe at the next collection. All instruments share one list.
#[derive(Debug, Default)]
struct Points(Mutex<Vec<Point>>);

#[derive(Debug)]
struct Point {
    /// Index of the instrument in the schema.
    instrument: usize,
    value: FittedNumber,
    attributes: Vec<KeyValue>,
}

impl Points {
    fn lock(&self) -> MutexGuard<'_, Vec<Point>> {
        // A callback must never panic: it would poison the SDK's pipeline for good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes the points of an instrument to `observe`. The points are sorted at this time.
    fn observe(&self, instrument: usize, observe: impl Fn(&Point)) {
        of_instrument(&self.lock(), instrument).for_each(observe);
    }
}

/// The points of an instrument, of points that are sorted.
fn of_instrument(points: &[Point], instrument: usize) -> impl Iterator<Item = &Point> {
    let first = points.partition_point(|point| point.instrument < instrument);
    let own = points.iter().skip(first);
    own.take_while(move |point| point.instrument == instrument)
}

impl Provider {
    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        let reader = PullReader::default();
        let provider = SdkMeterProvider::builder()
            .with_resource(Resource::builder_empty().build())
            .with_reader(reader.clone())
            .with_view(cardinality(Arc::clone(schema)))
            .build();
        Self {
            provider,
            reader,
            schema: Arc::clone(schema),
            spare: ResourceMetrics::default(),
            slots: Vec::new(),
            most_points: 0,
            points: Arc::default(),
            histograms: BTreeMap::new(),
            hashing: SeriesHashing::default(),
        }
    }

    /// Goes on with another schema, and only with histograms that stay.
    pub(super) fn retain(&mut self, schema: &Arc<Schema>, common: &CommonInstruments) {
        self.schema = Arc::clone(schema);
        let histograms = std::mem::take(&mut self.histograms);
        self.histograms = common.moved(histograms).collect();
    }

    /// Adds values for the next collection, each with its number type.
    pub(super) fn put(&mut self, readings: impl Iterator<Item = (Reading, NumberKind)>) {
        let mut points = self.points.lock();
        let instruments = self.schema.instruments();
        self.slots.resize(instruments.len(), Slot::default());
        for (reading, repr) in readings {
            let index = reading.instrument;
            let (Some(instrument), Some(slot)) =
                (instruments.get(index), self.slots.get_mut(index))
            else {
                continue;
            };
            if !std::mem::replace(&mut slot.made[repr as usize], true) {
                let meter = meter(&self.provider, instrument);
                observe(&meter, instrument, repr, &self.points, index);
            }
            points.push(Point {
                instrument: index,
                value: FittedNumber::new(reading.value, repr),
                attributes: reading.attributes,
            });
        }
        // They nearly always come in this order.
        if !points.is_sorted_by_key(|point| point.instrument) {
            points.sort_by_key(|point| point.instrument);
        }
        self.most_points = self.most_points.max(points.len());
    }

    /// Whether histograms have room for all of `readings`. The SDK never removes one of their
    /// series, and folds everything above the limit into one.
    pub(super) fn has_room(&self, readings: &[&Reading]) -> bool {
        let mut new: BTreeMap<usize, HashSet<u64>> = BTreeMap::new();
        readings.iter().all(|reading| {
            let known = self.histograms.get(&reading.instrument);
            let series = known.map(|known| &known.series);
            let key = self.key(reading);
            let new = new.entry(reading.instrument).or_default();
            if !series.is_some_and(|series| series.contains(&key)) {
                new.insert(key);
            }
            series.map_or(0, HashSet::len) + new.len() <= self.max_series(reading)
        })
    }

    /// Records a value in a histogram, which is kept after that. Returns false if there is no room.
    pub(super) fn record(&mut self, reading: &Reading) -> bool {
        let Some(instrument) = self.schema.get(reading.instrument) else {
            return false;
        };
        let (key, max_series) = (self.key(reading), self.max_series(reading));
        let new = || Recorded {
            histogram: make_histogram(&meter(&self.provider, instrument), instrument),
            series: HashSet::new(),
        };
        let recorded = self
            .histograms
            .entry(reading.instrument)
            .or_insert_with(new);
        let is_known = recorded.series.contains(&key);
        if !is_known && recorded.series.len() >= max_series {
            return false;
        }
        recorded.series.insert(key);
        let value = reading.value.as_f64();
        recorded.histogram.record(value, &reading.attributes);
        true
    }

    fn key(&self, reading: &Reading) -> u64 {
        self.hashing.hash_one(&reading.attributes)
    }

    fn max_series(&self, reading: &Reading) -> usize {
        let instrument = self.schema.get(reading.instrument);
        instrument.map_or(1, |of| of.max_series)
    }

    /// Collects the added values, which are removed, and all histograms. The result may be given back
    /// with [`Self::reuse`].
    pub(super) fn collect(&mut self) -> ResourceMetrics {
        let mut metrics = std::mem::take(&mut self.spare);
        if let Err(error) = self.reader.collect(&mut metrics) {
            tracing::warn!(error = %error, "collecting a target's metrics failed");
            metrics = ResourceMetrics::default();
        }
        let mut points = self.points.lock();
        points.clear();
        points.shrink_to(MANY_POINTS);
        drop(points);
        metrics
    }

    /// Takes metrics whose memory the next collection uses.
    pub(super) fn reuse(&mut self, metrics: ResourceMetrics) {
        self.spare = metrics;
    }

    /// Whether a collect had so many points that the tables of the SDK, which never become smaller,
    /// take much memory.
    pub(super) fn is_roomy(&self) -> bool {
        self.most_points >= MANY_POINTS
    }
}

/// A view that gives each instrument its own limit: the SDK allocates memory for the limit at once,
/// and folds everything above it into one meaningless point. Of a gauge it also counts the points of
/// the collection before, which may be those of another target.
fn cardinality(
    schema: Arc<Schema>,
) -> impl Fn(&SdkInstrument) -> Option<Stream> + Send + Sync + 'static {
    move |asked| {
        let named = |known: &&Arc<Instrument>| known.name == asked.name();
        let found = schema.instruments().iter().filter(named);
        // One of several scopes may have the name.
        let room = found.map(|known| match known.kind {
            InstrumentKind::Histogram => known.max_series,
            _ => known.max_series.saturating_mul(2),
        });
        Stream::builder()
            .with_cardinality_limit(room.max()?.saturating_add(1))
            .build()
            .ok()
    }
}

fn meter(provider: &SdkMeterProvider, instrument: &Instrument) -> Meter {
    let scope = InstrumentationScope::builder(shared(&instrument.scope))
        .with_version(env!("CARGO_PKG_VERSION"));
    provider.meter_with_scope(scope.build())
}

/// Creates the SDK instrument that observes the points of one instrument and number type. The SDK keeps
/// it as long as the provider lives; the handle has no use.
fn observe(
    meter: &Meter,
    instrument: &Instrument,
    repr: NumberKind,
    points: &Arc<Points>,
    index: usize,
) {
    let [name, description, unit] = texts(instrument);
    macro_rules! observable {
        ($builder:ident, $fitted:ident) => {{
            let points = Arc::clone(points);
            meter
                .$builder(name)
                .with_description(description)
                .with_unit(unit)
                .with_callback(move |observer| {
                    points.observe(index, |point| {
                        if let FittedNumber::$fitted(value) = point.value {
                            observer.observe(value, &point.attributes);
                        }
                    });
                })
                .build();
        }};
    }
    match (instrument.kind, repr) {
        (InstrumentKind::Counter, NumberKind::Double) => {
            observable!(f64_observable_counter, Double);
        }
        (InstrumentKind::Counter, _) => observable!(u64_observable_counter, Unsigned),
        (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, NumberKind::Double) => {
            observable!(f64_observable_up_down_counter, Double);
        }
        (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, _) => {
            observable!(i64_observable_up_down_counter, Signed);
        }
        (InstrumentKind::Gauge, NumberKind::Unsigned) => {
            observable!(u64_observable_gauge, Unsigned);
        }
        (InstrumentKind::Gauge, NumberKind::Signed) => observable!(i64_observable_gauge, Signed),
        (InstrumentKind::Gauge, NumberKind::Double) => observable!(f64_observable_gauge, Double),
        (InstrumentKind::Histogram, _) => {}
    }
}

/// Name, description and unit. The SDK copies them for each target and at each collection, and the
/// texts of report metrics need no copy.
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

impl Drop for Provider {
    fn drop(&mut self) {
        // Frees the callbacks. The only possible error is "already shut down".
        drop(self.provider.shutdown());
    }
}
