//! The counters of an exporter. They outlive reloads: all deliveries with one id share them, so that
//! no counter falls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{
    DeliveryContext, metrics,
    state::{DeliveryState, Figures},
};

/// The counters of all deliveries with one id.
#[derive(Debug, Default)]
pub(super) struct ExporterCounters(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The sum of the deliveries that have ended.
    closed: Figures,
    /// The points that the first delivery found on disk. None of the others had stored them there.
    found_first: u64,
    /// The deliveries in use; the newest one is last.
    open: Vec<Arc<Mutex<DeliveryState>>>,
    has_several: bool,
}

impl ExporterCounters {
    /// The counters of an exporter. They are shown as long as a delivery uses them.
    pub(super) fn of(context: &DeliveryContext<'_>) -> Arc<Self> {
        let DeliveryContext { id, meter, .. } = *context;
        context.states.get(id, || {
            let counters = Arc::default();
            metrics::observe(meter, id, &counters, |counters: &Self| {
                lock(&counters.0).figures(Instant::now())
            });
            counters
        })
    }

    /// Adds a delivery.
    pub(super) fn add(&self, state: &Arc<Mutex<DeliveryState>>) {
        let mut entries = lock(&self.0);
        if !entries.has_several {
            let first = entries.open.first();
            let found = first.map(|first| lock(first).figures(Instant::now()).found_points);
            entries.has_several = found.is_some();
            entries.found_first = found.unwrap_or_default();
        }
        entries.open.push(Arc::clone(state));
    }
}

impl Entries {
    fn figures(&mut self, now: Instant) -> Option<Figures> {
        let (open, closed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open)
            .into_iter()
            // No one else has this state, so nothing will change in it any more.
            .partition(|state| Arc::strong_count(state) > 1);
        for state in closed {
            self.closed = self.closed.followed_by(&lock(&state).figures(now));
        }
        self.open = open;
        self.open.last()?;
        let open = self.open.iter().map(|state| lock(state).figures(now));
        let mut sum = open.fold(self.closed, |sum, one| sum.followed_by(&one));
        // The points that one delivery left on disk are held. The delivery that finds them must not
        // count them as received again.
        let handed_on = match self.has_several {
            true => sum.left_points.min(sum.found_points - self.found_first),
            false => 0,
        };
        sum.held_points += sum.left_points - handed_on;
        sum.tally.received -= handed_on;
        Some(sum)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks panics halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
