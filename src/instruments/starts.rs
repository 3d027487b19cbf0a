//! Since when each running total counts.
//!
//! What a node had counted before it was polled for the first time began nobody knows when. OTLP
//! says that with a first point whose start time is its own time, and later points keep that. A
//! total that fell began again after it was seen the last time, and so does its series, alone: a
//! changed start time under the unchanged values of its neighbours would read as a second full
//! increase downstream. What is counted here began when that is said.
//!
//! The SDK has one start time an instrument, of the moment at which it was made, so none of its
//! start times is shown.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;

use super::{SCOPE, common_instruments::CommonInstruments};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{self, Number, Reading, Schema},
    runtime::clock::since_epoch,
};

/// Nanoseconds since 1970.
pub(super) type Nanos = u64;

/// What a series is within its instrument: the hash of its attributes, which are sorted by key.
pub(super) type Key = u64;

/// How long after it was seen a total began that fell: nobody knows when it did, and this is the
/// least that Prometheus tells apart.
const AFTER: Nanos = 1_000_000;

/// What is known of each running total of a target.
#[derive(Debug)]
pub(super) struct Starts {
    schema: Arc<Schema>,
    hashing: RandomState,
    /// By index of the instrument: those that a node counts.
    series: HashMap<usize, HashMap<Key, Last>>,
    /// When all that an instrumentation scope counts began, where that is known.
    scopes: BTreeMap<Arc<str>, Nanos>,
    /// When the recording of the histograms of a scope began.
    histograms: BTreeMap<Arc<str>, Nanos>,
    pub(super) counts: ResetCounts,
}

/// How often running totals fell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResetCounts {
    /// All of them.
    pub seen: u64,
}

impl std::ops::AddAssign for ResetCounts {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
    }
}

/// When a total began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Then.
    Known(Nanos),
    /// Before it was seen for the first time, which was then.
    Unknown(Nanos),
}

#[derive(Debug)]
struct Last {
    value: Number,
    start: Start,
    seen: Nanos,
}

impl Starts {
    #[cfg(test)]
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        Self {
            schema: Arc::clone(schema),
            hashing: RandomState::new(),
            series: HashMap::new(),
            scopes: BTreeMap::new(),
            histograms: BTreeMap::new(),
            counts: ResetCounts::default(),
        }
    }

    /// What a scope counts began then. The first that is said of a scope counted here holds: what
    /// it counts never begins again.
    pub(super) fn begin(&mut self, scope: &Arc<str>, start: SystemTime) {
        let start = nanos(start);
        let known = self.scopes.entry(Arc::clone(scope)).or_insert(start);
        if **scope != *SCOPE {
            *known = start;
        }
    }

    /// The recording of the histograms of a scope began then.
    pub(super) fn begin_histograms(&mut self, scope: &Arc<str>, start: SystemTime) {
        self.histograms.insert(Arc::clone(scope), nanos(start));
    }

    /// When what the collector itself counts of the target began, if that is known.
    pub(super) fn own(&self) -> Option<SystemTime> {
        self.scopes.get(SCOPE).copied().map(time)
    }

    /// Notes the totals that a node gave at `now`.
    pub(super) fn observe(&mut self, totals: &[Reading], now: SystemTime) {
        let now = nanos(now);
        for total in totals {
            let key = self.key(total.attributes.iter());
            self.note(total, key, now);
        }
        for (instrument, series) in &mut self.series {
            let max_series = self.schema.get(*instrument).map_or(1, |of| of.max_series);
            forget_oldest(series, max_series.saturating_mul(2));
        }
    }

    fn note(&mut self, total: &Reading, key: Key, now: Nanos) {
        let Some(instrument) = self.schema.get(total.instrument) else {
            return;
        };
        let said = self.scopes.get(&instrument.scope).copied();
        let said = said.filter(|start| *start <= now);
        let value = total.value;
        match self.series.entry(total.instrument).or_default().entry(key) {
            Entry::Vacant(free) => {
                let start = said.map_or(Start::Unknown(now), Start::Known);
                let seen = now;
                free.insert(Last { value, start, seen });
            }
            Entry::Occupied(mut known) => {
                let last = known.get_mut();
                let fell = is_less(value, last.value);
                self.counts.seen += u64::from(fell);
                if let Some(start) = said.filter(|start| *start > last.seen) {
                    last.start = Start::Known(start);
                } else if fell {
                    // It began again after it was seen. A clock that was put back has not seen it
                    // before now.
                    last.start = Start::Known(last.seen.saturating_add(AFTER).min(now));
                }
                (last.value, last.seen) = (value, now);
            }
        }
    }

    /// What a series is called here, by its attributes, sorted by key.
    pub(super) fn key<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> Key {
        let mut hasher = self.hashing.build_hasher();
        attributes.for_each(|attribute| attribute.hash(&mut hasher));
        hasher.finish()
    }

    /// When the total of a series began; none if it is no total.
    pub(super) fn of(&self, instrument: usize, key: Key) -> Option<Start> {
        let known = self.schema.get(instrument)?;
        match known.kind {
            InstrumentKind::Histogram => {
                let start = self.histograms.get(&known.scope)?;
                Some(Start::Known(*start))
            }
            InstrumentKind::Counter if *known.scope == *SCOPE => {
                let start = self.scopes.get(&known.scope)?;
                Some(Start::Known(*start))
            }
            InstrumentKind::Counter => Some(self.series.get(&instrument)?.get(&key)?.start),
            InstrumentKind::Gauge | InstrumentKind::UpDownCounter | InstrumentKind::StateSet => {
                None
            }
        }
    }

    /// Knows what `old` knew of the instruments that both have.
    pub(super) fn take_over(&mut self, old: &mut Self, common: &CommonInstruments) {
        let new = Self::new(&old.schema);
        let old = std::mem::replace(old, new);
        self.series = common.moved(old.series).collect();
        self.hashing = old.hashing;
        self.scopes = old.scopes;
        self.histograms = old.histograms;
        self.counts = old.counts;
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
}

impl Start {
    /// As OTLP says it, of a point of `now`: never later than that.
    pub(super) fn before(self, now: Nanos) -> Nanos {
        let (Self::Known(start) | Self::Unknown(start)) = self;
        start.min(now)
    }
}

/// Whether what it measures begins at some time. What may fall counts from nothing.
fn has_start(instrument: &Instrument) -> bool {
    let kind = instrument.kind;
    kind == InstrumentKind::Counter || kind == InstrumentKind::Histogram
}

pub(super) fn nanos(time: SystemTime) -> Nanos {
    u64::try_from(since_epoch(time).as_nanos()).unwrap_or(u64::MAX)
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

/// Bounds what is remembered of series that are gone. One that is absent for a while keeps its
/// start.
fn forget_oldest(series: &mut HashMap<Key, Last>, keep: usize) {
    if series.len() <= keep {
        return;
    }
    let mut times: Vec<Nanos> = series.values().map(|last| last.seen).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let oldest_kept = times.get(keep.saturating_sub(1)).copied();
    let oldest_kept = oldest_kept.unwrap_or_default();
    series.retain(|_, last| last.seen >= oldest_kept);
    // A clock that stands still tells nothing apart.
    if series.len() > keep.saturating_mul(2) {
        series.clear();
    }
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
        }
    }

    const SECOND: Nanos = 1_000_000_000;

    fn known(second: Nanos) -> Start {
        Start::Known(second * SECOND)
    }

    fn unknown(second: Nanos) -> Start {
        Start::Unknown(second * SECOND)
    }

    /// Of a total that fell and was seen last at a second.
    fn fell(second: Nanos) -> Start {
        Start::Known(second * SECOND + AFTER)
    }

    /// The start of each total that is given at a second.
    fn observe(starts: &mut Starts, second: Nanos, totals: &[Reading]) -> Vec<Start> {
        starts.observe(totals, time(second * SECOND));
        let keys = totals.iter().map(|of| starts.key(of.attributes.iter()));
        keys.map(|key| starts.of(0, key).unwrap()).collect()
    }

    #[test]
    fn a_total_began_before_it_was_seen_and_one_that_falls_after_that() {
        let mut starts = starts();
        let mut at = |second, a, b| observe(&mut starts, second, &[total("a", a), total("b", b)]);
        assert_eq!(at(10, 10, 10), [unknown(10), unknown(10)]);
        assert_eq!(at(20, 3, 10), [fell(10), unknown(10)]);
        assert_eq!(at(30, 3, 11), [fell(10), unknown(10)]);
        assert_eq!(at(40, 2, 11), [fell(30), unknown(10)]);
        assert_eq!(starts.counts.seen, 2);
    }

    #[test]
    fn an_element_that_comes_later_began_before_that_and_one_that_returns_goes_on() {
        let mut starts = starts();
        observe(&mut starts, 10, &[total("a", 10)]);
        let both = observe(&mut starts, 20, &[total("a", 11), total("b", 1_000)]);
        assert_eq!(both, [unknown(10), unknown(20)]);
        observe(&mut starts, 30, &[]);
        assert_eq!(observe(&mut starts, 40, &[total("a", 12)]), [unknown(10)]);
        assert_eq!(observe(&mut starts, 50, &[total("b", 1)]), [fell(20)]);
    }

    #[test]
    fn who_says_when_its_counting_began_is_believed_unless_that_lies_ahead() {
        let mut starts = starts();
        let begin = |starts: &mut Starts, second| {
            starts.begin(&"test/a".into(), time(second * SECOND));
        };
        begin(&mut starts, 5);
        assert_eq!(observe(&mut starts, 10, &[total("a", 10)]), [known(5)]);
        assert_eq!(observe(&mut starts, 20, &[total("a", 11)]), [known(5)]);
        // It began again and is larger than before.
        begin(&mut starts, 25);
        assert_eq!(observe(&mut starts, 30, &[total("a", 99)]), [known(25)]);
        begin(&mut starts, 99);
        assert_eq!(observe(&mut starts, 40, &[total("b", 1)]), [unknown(40)]);
    }

    #[test]
    fn a_clock_that_is_put_back_gives_no_start_behind_a_point() {
        let mut starts = starts();
        observe(&mut starts, 50, &[total("a", 10)]);
        let after = observe(&mut starts, 40, &[total("a", 11)]);
        assert_eq!(after[0].before(40 * SECOND), 40 * SECOND);
        assert_eq!(observe(&mut starts, 30, &[total("a", 1)]), [known(30)]);
    }

    #[test]
    fn what_is_remembered_of_the_departed_is_bounded() {
        let mut starts = starts();
        for id in 0..1000 {
            observe(&mut starts, id, &[total(&id.to_string(), 1)]);
            assert!(starts.series[&0].len() <= 20);
        }
    }

    proptest! {
        // The rule in one line: between two starts a total never falls.
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
