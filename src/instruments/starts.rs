//! The start time of each total.
//!
//! Nobody knows when a node started to count what it had at its first poll. OTLP expresses this
//! with a first point whose start time is its own time; later points keep that start time. A total
//! that fell has started again after it was last seen, and only this series gets a new start time:
//! a new start time for the unchanged values of other series would look like a second full
//! increase. What the collector itself counts starts at a known time.
//!
//! The SDK has one start time for each instrument, when it was created, so the SDK's start times
//! are never shown.

use std::{
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;

use super::{
    SCOPE,
    common_instruments::CommonInstruments,
    hashing,
    last_totals::{Last, LastTotals, Start},
    point_times::{Key, Nanos, PointTime, PointTimes, nanos},
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{self, Number, Reading, Schema, Total, TotalStart},
};

/// The time from the last observation to the new start of a total that fell. Nobody knows when it
/// fell; this is the smallest difference that Prometheus can see.
const AFTER: Nanos = 1_000_000;

/// What is known of the totals of a target.
#[derive(Debug)]
pub(super) struct Starts {
    schema: Arc<Schema>,
    /// The totals of the node.
    series: LastTotals,
    /// The start time of everything that an instrumentation scope counts, if it is known.
    scopes: ScopeTimes,
    /// When the recording of the histograms of a scope started.
    histograms: ScopeTimes,
    /// When values were measured that say so.
    times: PointTimes,
    pub(super) counts: ResetCounts,
}

/// A time for each of a few scopes.
#[derive(Debug, Default)]
struct ScopeTimes(Vec<(Arc<str>, Nanos)>);

impl ScopeTimes {
    fn get(&self, scope: &str) -> Option<Nanos> {
        let mut all = self.0.iter();
        all.find(|(of, _)| **of == *scope).map(|(_, time)| *time)
    }

    fn set(&mut self, scope: &Arc<str>, time: Nanos) {
        match self.0.iter_mut().find(|(of, _)| of == scope) {
            Some((_, known)) => *known = time,
            None => {
                self.0.reserve_exact(1);
                self.0.push((Arc::clone(scope), time));
            }
        }
    }
}

/// How often totals fell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResetCounts {
    /// All resets.
    pub seen: u64,
}

impl std::ops::AddAssign for ResetCounts {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
    }
}

impl Starts {
    #[cfg(test)]
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        Self {
            schema: Arc::clone(schema),
            series: LastTotals::default(),
            scopes: ScopeTimes::default(),
            histograms: ScopeTimes::default(),
            times: PointTimes::default(),
            counts: ResetCounts::default(),
        }
    }

    /// Sets the start time of a scope. The first one for a scope counted here stays: what it counts
    /// never starts again.
    pub(super) fn begin(&mut self, scope: &Arc<str>, start: SystemTime) {
        if **scope != *SCOPE || self.scopes.get(scope).is_none() {
            self.scopes.set(scope, nanos(start));
        }
    }

    /// Sets when the recording of the histograms of a scope started.
    pub(super) fn begin_histograms(&mut self, scope: &Arc<str>, start: SystemTime) {
        self.histograms.set(scope, nanos(start));
    }

    /// The start time of the report metrics, if it is known.
    pub(super) fn own(&self) -> Option<SystemTime> {
        self.scopes.get(SCOPE).map(time)
    }

    /// Records a total that a node has at `now`.
    pub(super) fn observe(&mut self, total: &Reading, now: SystemTime) {
        let key = self.key(total.attributes.iter());
        self.note(total, key, nanos(now));
    }

    /// Limits the memory for totals that have disappeared.
    pub(super) fn forget_oldest(&mut self) {
        let schema = &self.schema;
        self.series.forget_oldest(|instrument| {
            let max_series = schema.get(instrument).map_or(1, |of| of.max_series);
            max_series.saturating_mul(2)
        });
    }

    /// Notes when values were measured that say so.
    pub(super) fn note_times(&mut self, readings: &[Reading]) {
        if readings.iter().any(|reading| reading.time.is_some()) {
            let mut times = std::mem::take(&mut self.times);
            times.note(readings, |reading| self.key(reading.attributes.iter()));
            self.times = times;
        }
    }

    /// When the last value of a series was measured, if it says so.
    pub(super) fn measured(&self, instrument: usize, key: Key) -> Option<PointTime> {
        self.times.of(instrument, key)
    }

    fn note(&mut self, total: &Reading, key: Key, now: Nanos) {
        let Some(instrument) = self.schema.get(total.instrument) else {
            return;
        };
        let begun = self.scopes.get(&instrument.scope);
        let begun = begun.filter(|start| *start <= now);
        let value = total.value;
        let new = || Last {
            value,
            start: begun.map_or(Start::Unknown(now), Start::Known),
            seen: now,
            per_second: f32::NAN,
        };
        let Some(last) = self.series.known_or_add(total.instrument, key, new) else {
            return;
        };
        let fell = is_less(value, last.value);
        self.counts.seen += u64::from(fell);
        if let Some(start) = begun.filter(|start| *start > last.seen) {
            last.start = Start::Known(start);
        } else if fell {
            // The total started again after it was seen. If the clock was set back, the last time
            // may be later than now.
            last.start = Start::Known(last.seen.saturating_add(AFTER).min(now));
        }
        last.per_second = match fell {
            true => f32::NAN,
            false => growth(last, value, now),
        };
        (last.value, last.seen) = (value, now);
    }

    /// Forgets the series that were not in the last answer that had any of their instrument. Says how
    /// many they are. Of what is sent as a delta from the first value on, none: a total that came
    /// back would count in full again.
    pub(super) fn shed(&mut self) -> usize {
        let schema = &self.schema;
        self.series.shed(|instrument| {
            let delta = schema.get(instrument).and_then(|of| of.delta);
            !delta.is_some_and(|delta| delta.keeps_first)
        })
    }

    /// The key of a series, from its attributes sorted by key.
    pub(super) fn key<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> Key {
        let mut hasher = hashing::SERIES.build_hasher();
        attributes.for_each(|attribute| attribute.hash(&mut hasher));
        hasher.finish()
    }

    /// The start time of a series. `None` if it is not a total.
    pub(super) fn of(&self, instrument: usize, key: Key) -> Option<Start> {
        let known = self.schema.get(instrument)?;
        match known.kind {
            InstrumentKind::Histogram => {
                if let Some(last) = self.series.get(instrument, key) {
                    return Some(last.start);
                }
                let start = self.histograms.get(&known.scope)?;
                Some(Start::Known(start))
            }
            InstrumentKind::Counter if *known.scope == *SCOPE => {
                let start = self.scopes.get(&known.scope)?;
                Some(Start::Known(start))
            }
            InstrumentKind::Counter => Some(self.series.get(instrument, key)?.start),
            InstrumentKind::Gauge | InstrumentKind::UpDownCounter | InstrumentKind::StateSet => {
                None
            }
        }
    }

    /// Since when a total of the node counts, and how fast it grows.
    pub(super) fn total(&self, instrument: usize, key: Key) -> Option<Total> {
        let last = self.series.get(instrument, key)?;
        Some(Total {
            start: match last.start {
                Start::Known(start) => TotalStart::At(time(start)),
                Start::Unknown(first) => TotalStart::Before(time(first)),
            },
            per_second: Some(f64::from(last.per_second)).filter(|rate| rate.is_finite()),
        })
    }

    /// Goes on with another schema, and knows only instruments that stay.
    pub(super) fn retain(&mut self, schema: &Arc<Schema>, common: &CommonInstruments) {
        self.series.retain(common);
        self.times.retain(common);
        self.schema = Arc::clone(schema);
    }
}

impl pipeline::Starts for Starts {
    fn known(
        &self,
        scope: &str,
        metric: &str,
        attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        let instrument = self.schema.find(scope, metric, has_start)?;
        match self.of(instrument, self.key(attributes))? {
            Start::Known(start) => Some(time(start)),
            Start::Unknown(_) => None,
        }
    }

    fn has_measured(&self, scope: &str, metric: &str) -> bool {
        let instrument = self.schema.find(scope, metric, |_| true);
        instrument.is_some_and(|instrument| self.times.has(instrument))
    }

    fn measured(
        &self,
        scope: &str,
        metric: &str,
        attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        let instrument = self.schema.find(scope, metric, |_| true)?;
        let measured = self.times.of(instrument, self.key(attributes))?;
        Some(time(measured.time))
    }
}

/// Whether the instrument has a start time. A sum that may fall has none.
fn has_start(instrument: &Instrument) -> bool {
    let kind = instrument.kind;
    kind == InstrumentKind::Counter || kind == InstrumentKind::Histogram
}

fn time(nanos: Nanos) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn is_less(value: Number, last: Number) -> bool {
    match (value, last) {
        (Number::Unsigned(value), Number::Unsigned(last)) => value < last,
        _ => value.as_f64() < last.as_f64(),
    }
}

/// The growth of a total each second, from what it last was to `value` at `now`.
fn growth(last: &Last, value: Number, now: Nanos) -> f32 {
    let more = match (value, last.value) {
        // Exact, also where doubles are not.
        (Number::Unsigned(value), Number::Unsigned(last)) => value.saturating_sub(last) as f64,
        _ => value.as_f64() - last.value.as_f64(),
    };
    let seconds = Duration::from_nanos(now.saturating_sub(last.seen)).as_secs_f64();
    #[expect(clippy::cast_possible_truncation, reason = "people read seven digits")]
    let rate = (more / seconds) as f32;
    rate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition;

    const DEFINITION: &str = "
endpoints: {a: {path: /a}}
metrics:
  - {name: n, instrument: counter, endpoint: a, for_each: $, value: $.n, attributes: {id: $.id}, max_series: 10}
";

    fn starts() -> Starts {
        let definition = definition::from_text("test", "test.yaml", DEFINITION).unwrap();
        Starts::new(&Arc::new(definition.instruments.iter().cloned().collect()))
    }

    fn total(id: &str, value: u64) -> Reading {
        Reading {
            instrument: 0,
            attributes: vec![KeyValue::new("id", id.to_owned())],
            value: Number::Unsigned(value),
            time: None,
            histogram: None,
        }
    }

    const SECOND: Nanos = 1_000_000_000;

    fn known(second: Nanos) -> Start {
        Start::Known(second * SECOND)
    }

    fn unknown(second: Nanos) -> Start {
        Start::Unknown(second * SECOND)
    }

    /// The start of a total that fell and was last seen at `second`.
    fn fell(second: Nanos) -> Start {
        Start::Known(second * SECOND + AFTER)
    }

    /// The start of each total that is observed at `second`.
    fn observe(starts: &mut Starts, second: Nanos, totals: &[Reading]) -> Vec<Start> {
        for total in totals {
            starts.observe(total, time(second * SECOND));
        }
        starts.forget_oldest();
        let keys = totals.iter().map(|of| starts.key(of.attributes.iter()));
        keys.map(|key| starts.of(0, key).unwrap()).collect()
    }

    #[test]
    fn a_first_total_has_an_unknown_start_and_a_fallen_one_a_new_start() {
        let mut starts = starts();
        let mut at = |second, a, b| observe(&mut starts, second, &[total("a", a), total("b", b)]);
        assert_eq!(at(10, 10, 10), [unknown(10), unknown(10)]);
        assert_eq!(at(20, 3, 10), [fell(10), unknown(10)]);
        assert_eq!(at(30, 3, 11), [fell(10), unknown(10)]);
        assert_eq!(at(40, 2, 11), [fell(30), unknown(10)]);
        assert_eq!(starts.counts.seen, 2);
    }

    #[test]
    fn a_later_element_has_an_unknown_start_and_a_returning_one_keeps_its_start() {
        let mut starts = starts();
        observe(&mut starts, 10, &[total("a", 10)]);
        let both = observe(&mut starts, 20, &[total("a", 11), total("b", 1_000)]);
        assert_eq!(both, [unknown(10), unknown(20)]);
        observe(&mut starts, 30, &[]);
        assert_eq!(observe(&mut starts, 40, &[total("a", 12)]), [unknown(10)]);
        assert_eq!(observe(&mut starts, 50, &[total("b", 1)]), [fell(20)]);
    }

    #[test]
    fn a_given_start_time_is_used_unless_it_is_in_the_future() {
        let mut starts = starts();
        let begin = |starts: &mut Starts, second| {
            starts.begin(&"test/a".into(), time(second * SECOND));
        };
        begin(&mut starts, 5);
        assert_eq!(observe(&mut starts, 10, &[total("a", 10)]), [known(5)]);
        assert_eq!(observe(&mut starts, 20, &[total("a", 11)]), [known(5)]);
        // It started again and is larger than before.
        begin(&mut starts, 25);
        assert_eq!(observe(&mut starts, 30, &[total("a", 99)]), [known(25)]);
        begin(&mut starts, 99);
        assert_eq!(observe(&mut starts, 40, &[total("b", 1)]), [unknown(40)]);
    }

    #[test]
    fn a_total_has_a_rate_from_the_second_observation_on_and_none_after_a_fall() {
        let mut starts = starts();
        let key = starts.key(total("a", 0).attributes.iter());
        let mut at = |second, value| {
            observe(&mut starts, second, &[total("a", value)]);
            starts.total(0, key).unwrap().per_second
        };
        assert_eq!(at(10, 1 << 60), None);
        assert_eq!(at(14, (1 << 60) + 10), Some(2.5));
        assert_eq!(at(20, 3), None);
        assert_eq!(at(22, 3), Some(0.0));
        assert_eq!(at(22, 4), None, "no time has passed");
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_start_after_a_point() {
        let mut starts = starts();
        observe(&mut starts, 50, &[total("a", 10)]);
        let after = observe(&mut starts, 40, &[total("a", 11)]);
        assert_eq!(after[0].before(40 * SECOND), 40 * SECOND);
        assert_eq!(observe(&mut starts, 30, &[total("a", 1)]), [known(30)]);
    }

    #[test]
    fn where_memory_is_short_the_start_of_an_element_that_left_is_unknown_again() {
        let mut starts = starts();
        observe(&mut starts, 10, &[total("a", 10), total("b", 10)]);
        observe(&mut starts, 20, &[total("b", 11)]);
        assert_eq!((starts.shed(), starts.shed()), (1, 0));
        let both = observe(&mut starts, 30, &[total("a", 12), total("b", 12)]);
        assert_eq!(both, [unknown(30), unknown(10)]);
    }

    #[test]
    fn memory_for_series_that_disappeared_is_limited() {
        let mut starts = starts();
        for id in 0..1000 {
            observe(&mut starts, id, &[total(&id.to_string(), 1)]);
            assert!(starts.series.len() <= 20);
        }
    }

    proptest! {
        // The rule in short: between two starts a total never falls.
        #[test]
        fn within_a_start_a_total_never_falls(values in proptest::collection::vec(0_u64..50, 1..40)) {
            let mut starts = starts();
            let mut last: Option<(Start, u64)> = None;
            for (second, value) in (1..).zip(values) {
                let start = observe(&mut starts, second, &[total("a", value)])[0];
                prop_assert!(start.before(second * SECOND) <= second * SECOND);
                if let Some((before, fell_from)) = last {
                    prop_assert_eq!(start != before, value < fell_from);
                }
                last = Some((start, value));
            }
        }
    }
}
