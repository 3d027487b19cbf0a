//! The totals of the few targets that somebody looks at, as destinations get them.
//!
//! Start times belong to the pipeline of a target, which runs in the task of the target. A look at
//! a target asks for them here, and the pipeline leaves them here after each poll while somebody
//! looks. Targets that nobody looks at cost nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::KeyValue;
use tokio::time::Instant;

/// The most targets that are looked at at the same time. Those beyond have no start times.
const TARGETS_MAX: usize = 32;

/// The most totals of a target.
const TOTALS_MAX: usize = 5000;

/// A look is over when nobody has looked for so long: two slow polls.
const PATIENCE: Duration = Duration::from_secs(180);

/// The totals of the targets that somebody looks at.
#[derive(Debug, Default)]
pub struct WatchedTotals {
    looks: Mutex<BTreeMap<String, Look>>,
    /// How many there are, so that a poll of a fleet that nobody looks at takes no lock.
    count: AtomicUsize,
}

/// The totals of one target.
pub type Totals = HashMap<TotalKey, Total>;

#[derive(Debug)]
struct Look {
    until: Instant,
    totals: Arc<Totals>,
}

/// The series of a total.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TotalKey {
    /// The name of the metric.
    pub metric: String,
    /// The attributes, sorted by key.
    pub attributes: Vec<KeyValue>,
}

/// What is known of a running total beside its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    /// Since when it counts.
    pub start: TotalStart,
    /// Its growth each second between the last two polls; none after the first poll or a reset.
    pub per_second: Option<f64>,
}

/// Since when a total counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotalStart {
    /// Since this moment.
    At(SystemTime),
    /// Since some moment before its first poll, which was then.
    Before(SystemTime),
}

impl WatchedTotals {
    /// The totals of a target after its last poll; empty before the first poll that somebody
    /// watches.
    pub fn look(&self, target: &str) -> Arc<Totals> {
        let (now, mut looks) = (Instant::now(), self.lock());
        looks.retain(|_, look| now < look.until);
        if looks.len() < TARGETS_MAX && !looks.contains_key(target) {
            let look = Look {
                until: now,
                totals: Arc::default(),
            };
            looks.insert(target.to_owned(), look);
        }
        self.count.store(looks.len(), Ordering::Relaxed);
        looks.get_mut(target).map_or_else(Arc::default, |look| {
            look.until = now + PATIENCE;
            Arc::clone(&look.totals)
        })
    }

    /// Whether somebody looks at a target.
    pub fn wants(&self, target: &str) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let (now, mut looks) = (Instant::now(), self.lock());
        looks.retain(|_, look| now < look.until);
        self.count.store(looks.len(), Ordering::Relaxed);
        looks.contains_key(target)
    }

    /// Leaves the totals of a target after a poll. Those of an endpoint that failed stay as they
    /// were. Of several pipelines the last one counts.
    pub fn publish(&self, target: &str, totals: impl Iterator<Item = (TotalKey, Total)>) {
        if let Some(look) = self.lock().get_mut(target) {
            let known = Arc::make_mut(&mut look.totals);
            for (key, total) in totals {
                if known.len() < TOTALS_MAX || known.contains_key(&key) {
                    known.insert(key, total);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Look>> {
        // Its entries are whole at every moment.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn total(of: usize, per_second: f64) -> (TotalKey, Total) {
        let key = TotalKey {
            metric: format!("n{of}"),
            attributes: vec![KeyValue::new("a", "b")],
        };
        let total = Total {
            start: TotalStart::At(SystemTime::UNIX_EPOCH),
            per_second: Some(per_second),
        };
        (key, total)
    }

    fn rates(totals: &Totals) -> Vec<Option<f64>> {
        let rate = |of| totals.get(&total(of, 0.0).0)?.per_second;
        vec![rate(1), rate(2)]
    }

    #[tokio::test(start_paused = true)]
    async fn only_targets_that_somebody_looks_at_leave_their_totals() {
        let watched = WatchedTotals::default();
        assert!(!watched.wants("a"));
        watched.publish("a", [total(1, 1.0)].into_iter());
        assert!(watched.look("a").is_empty());
        assert!(watched.wants("a") && !watched.wants("b"));
        watched.publish("a", [total(1, 1.0), total(2, 2.0)].into_iter());
        watched.publish("a", [total(1, 3.0)].into_iter());
        advance(PATIENCE / 2).await;
        assert_eq!(rates(&watched.look("a")), [Some(3.0), Some(2.0)]);
        advance(PATIENCE / 2).await;
        assert!(watched.wants("a"), "each look is a new one");
        advance(PATIENCE).await;
        assert!(!watched.wants("a"));
        assert!(watched.look("a").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_bounded() {
        let watched = WatchedTotals::default();
        for n in 0..=TARGETS_MAX {
            watched.look(&format!("target-{n}"));
        }
        assert!(watched.wants("target-0"));
        assert!(!watched.wants(&format!("target-{TARGETS_MAX}")));
        watched.publish("target-0", (0..=TOTALS_MAX).map(|of| total(of, 0.0)));
        assert_eq!(watched.look("target-0").len(), TOTALS_MAX);
    }
}
