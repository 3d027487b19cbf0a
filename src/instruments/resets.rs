//! A reset is an epoch: which start time each running total has.
//!
//! The SDK gives all series of a provider one start time, but one counter of a node can fall
//! while its neighbours go on. So a series whose total falls moves, alone, to an epoch that
//! begins now; its neighbours keep theirs, because a changed start time under an unchanged value
//! reads as a second full increase downstream.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry::KeyValue;

use super::common::Common;
use crate::pipeline::{Number, Reading};

/// Number of an epoch; a larger one began later.
pub(super) type EpochId = u64;

/// The epoch that begins with the target.
pub(super) const FIRST: EpochId = 0;

/// The most epochs that a target may have at once; each costs a provider.
pub(super) const EPOCHS_MAX: usize = 8;

/// What is known of each running total of a target.
#[derive(Debug)]
pub(super) struct Resets {
    series: HashMap<usize, HashMap<Vec<KeyValue>, Last>>,
    poll: u64,
    newest: EpochId,
    /// Where an instrument's totals begin, if that is not the first epoch: it is younger than the
    /// target.
    homes: BTreeMap<usize, EpochId>,
    pub(super) counts: ResetCounts,
}

/// How often running totals fell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResetCounts {
    /// All of them.
    pub seen: u64,
    /// Those that kept their old start time, because there were too many epochs.
    pub exhausted: u64,
}

impl std::ops::AddAssign for ResetCounts {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.exhausted += other.exhausted;
    }
}

#[derive(Debug)]
struct Last {
    value: Number,
    epoch: EpochId,
    poll: u64,
}

impl Resets {
    pub(super) fn new() -> Self {
        Self {
            series: HashMap::new(),
            poll: 0,
            newest: FIRST,
            homes: BTreeMap::new(),
            counts: ResetCounts::default(),
        }
    }

    /// Notes the totals of a poll and says, in the same order, the epoch of each.
    pub(super) fn observe<'a>(
        &mut self,
        totals: impl Iterator<Item = &'a Reading>,
        max_series: impl Fn(usize) -> usize,
    ) -> Vec<EpochId> {
        self.poll += 1;
        // All that falls in one poll shares one new epoch.
        let room = self.in_use().len() < EPOCHS_MAX;
        let epochs: Vec<_> = totals.map(|total| self.epoch_of(total, room)).collect();
        self.newest = epochs.iter().copied().fold(self.newest, EpochId::max);
        for (instrument, series) in &mut self.series {
            forget_oldest(series, max_series(*instrument).saturating_mul(2));
        }
        epochs
    }

    /// The epoch of an instrument of which nothing fell.
    pub(super) fn home(&self, instrument: usize) -> EpochId {
        self.homes.get(&instrument).copied().unwrap_or(FIRST)
    }

    /// Knows what `old` knew of the instruments that both have; those that are `new` are at home
    /// in an epoch of their own.
    pub(super) fn take_over(&mut self, old: &mut Self, common: &Common, new: &[usize]) {
        let Self {
            series,
            poll,
            newest,
            homes,
            counts,
        } = std::mem::replace(old, Self::new());
        let newest = newest + u64::from(!new.is_empty());
        let moved = common.moved(homes);
        *self = Self {
            series: common.moved(series).collect(),
            poll,
            newest,
            homes: moved.chain(new.iter().map(|at| (*at, newest))).collect(),
            counts,
        };
    }

    /// The epochs that some series has, also one that is absent at the moment: should it return,
    /// its start time must not have changed. The first one is always in use.
    pub(super) fn in_use(&self) -> BTreeSet<EpochId> {
        let series = self.series.values().flat_map(HashMap::values);
        let epochs = series.map(|last| last.epoch);
        epochs
            .chain(self.homes.values().copied())
            .chain([FIRST])
            .collect()
    }

    fn epoch_of(&mut self, total: &Reading, room: bool) -> EpochId {
        let (poll, next) = (self.poll, self.newest + 1);
        let home = self.home(total.instrument);
        let series = self.series.entry(total.instrument).or_default();
        let Some(last) = series.get_mut(&total.attributes) else {
            let last = Last {
                value: total.value,
                epoch: home,
                poll,
            };
            series.insert(total.attributes.clone(), last);
            return home;
        };
        if is_less(total.value, last.value) {
            self.counts.seen += 1;
            if room {
                last.epoch = next;
            } else {
                self.counts.exhausted += 1;
            }
        }
        last.value = total.value;
        last.poll = poll;
        last.epoch
    }
}

fn is_less(value: Number, last: Number) -> bool {
    match (value, last) {
        (Number::Unsigned(value), Number::Unsigned(last)) => value < last,
        _ => value.as_f64() < last.as_f64(),
    }
}

/// Bounds what is remembered of series that are gone.
fn forget_oldest(series: &mut HashMap<Vec<KeyValue>, Last>, keep: usize) {
    if series.len() <= keep {
        return;
    }
    let mut polls: Vec<u64> = series.values().map(|last| last.poll).collect();
    polls.sort_unstable_by(|a, b| b.cmp(a));
    let oldest_kept = polls
        .get(keep.saturating_sub(1))
        .copied()
        .unwrap_or_default();
    series.retain(|_, last| last.poll >= oldest_kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(id: &str, value: u64) -> Reading {
        let attributes = vec![KeyValue::new("id", id.to_owned())];
        Reading {
            instrument: 0,
            attributes,
            value: Number::Unsigned(value),
        }
    }

    fn observe(resets: &mut Resets, totals: &[Reading]) -> Vec<EpochId> {
        resets.observe(totals.iter(), |_| 100)
    }

    #[test]
    fn only_the_total_that_falls_moves() {
        let mut resets = Resets::new();
        assert_eq!(
            observe(&mut resets, &[total("a", 10), total("b", 10)]),
            [0, 0]
        );
        assert_eq!(
            observe(&mut resets, &[total("a", 3), total("b", 11)]),
            [1, 0]
        );
        assert_eq!(
            observe(&mut resets, &[total("a", 3), total("b", 11)]),
            [1, 0]
        );
        assert_eq!(resets.counts.seen, 1);
    }

    #[test]
    fn after_an_ordinary_restart_one_epoch_remains_beside_the_first() {
        let mut resets = Resets::new();
        for start in [100, 50, 20] {
            observe(&mut resets, &[total("a", start), total("b", start)]);
        }
        assert_eq!(resets.in_use(), BTreeSet::from([0, 2]));
        assert_eq!(resets.counts.seen, 4);
    }

    #[test]
    fn an_absent_series_keeps_its_start_time() {
        let mut resets = Resets::new();
        observe(&mut resets, &[total("a", 10)]);
        observe(&mut resets, &[total("a", 5)]);
        observe(&mut resets, &[]);
        assert_eq!(observe(&mut resets, &[total("a", 6)]), [1]);
        assert_eq!(resets.counts.seen, 1);
    }

    #[test]
    fn over_the_cap_a_reset_stays_where_it_is_and_is_counted() {
        let mut resets = Resets::new();
        let ids: Vec<String> = (0..20).map(|id| id.to_string()).collect();
        let all: Vec<_> = ids.iter().map(|id| total(id, 100)).collect();
        observe(&mut resets, &all);
        for id in &ids {
            observe(&mut resets, &[total(id, 1)]);
        }
        assert_eq!(resets.in_use().len(), EPOCHS_MAX);
        assert_eq!(resets.counts.seen, 20);
        assert_eq!(resets.counts.exhausted, 20 - (EPOCHS_MAX as u64 - 1));
    }

    #[test]
    fn what_is_remembered_of_the_departed_is_bounded() {
        let mut resets = Resets::new();
        for id in 0..1000 {
            resets.observe([total(&id.to_string(), 1)].iter(), |_| 10);
        }
        assert!(resets.series[&0].len() <= 20);
    }

    proptest! {
        // The rule in one line: within an epoch a total never falls.
        #[test]
        fn within_an_epoch_a_total_never_falls(values in proptest::collection::vec(0_u64..50, 1..40)) {
            let mut resets = Resets::new();
            let mut last = None;
            for value in values {
                let epoch = observe(&mut resets, &[total("a", value)])[0];
                if let Some((epoch_before, value_before)) = last {
                    prop_assert_eq!(epoch != epoch_before, value < value_before);
                }
                last = Some((epoch, value));
            }
        }
    }
}
