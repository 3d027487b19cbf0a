//! The collector's own metrics about an exporter. All instruments of a collection see one snapshot,
//! so that the counters in every scrape add up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, ThreadId},
};

use opentelemetry::{KeyValue, metrics::AsyncInstrument};

use super::{
    DropReason,
    state::{DiskFailure, Figures},
};
use crate::telemetry::{
    Meter,
    names::{self, Metric},
};

/// More threads than will ever collect at the same time.
const MAX_LOOKS: usize = 64;

type NumberFn = fn(&Figures) -> u64;

const NUMBERS: [(&Metric, NumberFn); 10] = [
    (&names::RECEIVED_POINTS, |f| f.tally.received),
    (&names::SENT_POINTS, |f| f.tally.sent),
    (&names::REJECTED_POINTS, |f| f.tally.rejected),
    (&names::FAILED_POINTS, |f| f.tally.failed),
    (&names::HELD_POINTS, |f| f.held_points),
    (&names::QUEUE_BYTES, |f| f.held_bytes),
    (&names::QUEUE_SIZE, |f| f.queue_size),
    (&names::QUEUE_CAPACITY, |f| f.queue_capacity),
    (&names::QUEUE_OLDEST_AGE, |f| f.oldest_age_seconds),
    (&names::STORED_POINTS, |f| f.stored_points),
];

/// Registers the metrics of exporter `id`, with the values of `read`, as long as `of` lives.
pub(super) fn observe<T: Send + Sync + 'static>(
    meter: &Meter,
    id: &str,
    of: &Arc<T>,
    read: fn(&T) -> Option<Figures>,
) {
    let exporter = KeyValue::new(names::EXPORTER, id.to_owned());
    let looks = Arc::new(CollectionSnapshots::default());
    for (position, (metric, number)) in NUMBERS.iter().enumerate() {
        let (looks, exporter) = (Arc::clone(&looks), [exporter.clone()]);
        metric.observe(meter, of, move |of, to| {
            if let Some(figures) = looks.figures(position, || read(of)) {
                to.observe(number(&figures), &exporter);
            }
        });
    }
    let by_reason = |reason| [exporter.clone(), KeyValue::new(names::REASON, reason)];
    let reasons = DropReason::ALL.map(|reason| by_reason(reason.name()));
    let drops = Arc::clone(&looks);
    names::DROPPED_POINTS.observe(meter, of, move |of, to| {
        if let Some(figures) = drops.figures(NUMBERS.len(), || read(of)) {
            observe_each(to, &figures.tally.dropped, &reasons);
        }
    });
    let reasons = DiskFailure::ALL.map(|failure| by_reason(failure.name()));
    names::STORAGE_FAILURES.observe(meter, of, move |of, to| {
        if let Some(figures) = looks.figures(NUMBERS.len() + 1, || read(of)) {
            observe_each(to, &figures.storage_failures, &reasons);
        }
    });
}

fn observe_each(to: &dyn AsyncInstrument<u64>, numbers: &[u64], attributes: &[[KeyValue; 2]]) {
    for (number, attributes) in numbers.iter().zip(attributes) {
        to.observe(*number, attributes);
    }
}

/// One snapshot of the figures for all instruments of a collection. A collection reads each
/// instrument once, from one thread. If an instrument is read again on the same thread, a new
/// collection has begun.
#[derive(Default)]
struct CollectionSnapshots(Mutex<Vec<CollectionSnapshot>>);

struct CollectionSnapshot {
    thread: ThreadId,
    figures: Option<Figures>,
    /// A bit for each instrument that has been read.
    asked: u32,
}

impl CollectionSnapshots {
    fn figures(&self, position: usize, read: impl Fn() -> Option<Figures>) -> Option<Figures> {
        let (thread, bit) = (thread::current().id(), 1 << position);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = taken.iter().position(|look| look.thread == thread);
        if let Some(look) = known.and_then(|at| taken.get_mut(at)) {
            if look.asked & bit != 0 {
                look.figures = read();
                look.asked = 0;
            }
            look.asked |= bit;
            return look.figures;
        }
        if taken.len() >= MAX_LOOKS {
            taken.clear();
        }
        let figures = read();
        taken.push(CollectionSnapshot {
            thread,
            figures,
            asked: bit,
        });
        figures
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn all_instruments_of_a_collection_see_one_snapshot() {
        let moment = AtomicU64::new(0);
        let looks = CollectionSnapshots::default();
        let read = || {
            let held_points = moment.fetch_add(1, Ordering::Relaxed);
            Some(Figures {
                held_points,
                ..Figures::default()
            })
        };
        let collect = || [0, 1, 2].map(|at| looks.figures(at, read).unwrap().held_points);
        assert_eq!(collect(), [0; 3]);
        assert_eq!(collect(), [1; 3]);
        thread::scope(|scope| {
            looks.figures(0, read);
            let other = scope.spawn(collect);
            assert_eq!(other.join().unwrap(), [3; 3], "a separate collection");
            assert_eq!(looks.figures(1, read).unwrap().held_points, 2);
        });
    }
}
