//! The sums of totals, each of which never falls.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use opentelemetry::KeyValue;
use tokio::time::Instant;

use crate::{
    pipeline::{Number, Reading, ResourceAttributes},
    processors::number,
};

/// How long a missing total is remembered: the lookback of PromQL.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The sums of the operations of one target so far.
#[derive(Debug, Default)]
pub(super) struct Sums(HashMap<Key, Sum>);

/// The place where totals are added up.
pub(super) struct SumLocation<'a> {
    /// Transform, aggregation, operation.
    pub(super) at: [usize; 3],
    /// The Resource of the totals.
    pub(super) resource: &'a ResourceAttributes,
    /// When they were read.
    pub(super) now: Instant,
    /// The sums so far.
    pub(super) sums: &'a mut Sums,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    at: [usize; 3],
    resource: ResourceAttributes,
    attributes: Vec<KeyValue>,
}

#[derive(Debug)]
struct Sum {
    total: Number,
    /// The totals in the sum, by instrument and attributes.
    members: HashMap<(usize, Vec<KeyValue>), SumMember>,
}

#[derive(Debug)]
struct SumMember {
    last: Number,
    seen: Instant,
}

impl SumLocation<'_> {
    /// The sum of totals that all become one point with `attributes`. It starts with their sum and
    /// grows by the increase of each. A new total counts from its first value on.
    pub(super) fn sum(&mut self, attributes: Vec<KeyValue>, totals: &[Reading]) -> Number {
        let key = Key {
            at: self.at,
            resource: self.resource.clone(),
            attributes,
        };
        let now = self.now;
        match self.sums.0.entry(key) {
            Entry::Occupied(known) => known.into_mut().grow(totals, now),
            Entry::Vacant(free) => free.insert(Sum::new(totals, now)).total,
        }
    }
}

impl Sum {
    fn new(totals: &[Reading], now: Instant) -> Self {
        let mut sum = Self {
            total: Number::Unsigned(0),
            members: HashMap::new(),
        };
        for reading in totals {
            if sum.note(reading, now).is_none() {
                sum.total = number::grown(sum.total, reading.value);
            }
        }
        sum
    }

    fn grow(&mut self, totals: &[Reading], now: Instant) -> Number {
        for reading in totals {
            let before = self.note(reading, now);
            // Of two readings of one series the first one counts.
            if let Some(before) = before.filter(|before| before.seen < now) {
                let increment = number::increment(before.last, reading.value);
                self.total = number::grown(self.total, increment);
            }
        }
        self.total
    }

    /// Records a total. Returns its last value.
    fn note(&mut self, reading: &Reading, now: Instant) -> Option<SumMember> {
        let key = (reading.instrument, reading.attributes.clone());
        let last = reading.value;
        self.members.insert(key, SumMember { last, seen: now })
    }
}

impl Sums {
    /// Forgets totals that have been missing for a long time.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        self.0.retain(|_, sum| {
            let is_known = |member: &SumMember| now - member.seen <= IDLE_MAX;
            sum.members.retain(|_, member| is_known(member));
            !sum.members.is_empty()
        });
    }
}
