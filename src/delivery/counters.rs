//! Keeps an exporter's counters across reloads: a replacement with the same id continues its
//! predecessor's totals, so that no counter falls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{
    metrics,
    state::{DeliveryState, Figures},
};
use crate::telemetry::Meter;

/// The counters of all deliveries with one id. Clones share the same counters.
#[derive(Debug, Clone)]
pub struct ExporterCounters(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// The sum of the deliveries that have ended.
    closed: Figures,
    /// The points that the first delivery found on disk. None of the others had stored them there.
    found_first: u64,
    /// The deliveries in use; the newest one is last.
    open: Vec<Arc<Mutex<DeliveryState>>>,
    is_followed: bool,
}

impl ExporterCounters {
    /// Counters that are shown as long as a delivery uses them.
    pub(super) fn open(meter: &Meter, id: &str) -> Self {
        let account = Self(Arc::default());
        metrics::observe(meter, id, &account.0, |entries| {
            lock(entries).figures(Instant::now())
        });
        account
    }

    /// Adds a delivery.
    pub(super) fn add(&self, state: &Arc<Mutex<DeliveryState>>) {
        let mut entries = lock(&self.0);
        if !entries.is_followed {
            let first = entries.open.first();
            let found = first.map(|first| lock(first).figures(Instant::now()).found_points);
            entries.is_followed = found.is_some();
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
        let handed_on = match self.is_followed {
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
