//! Who follows another under the same id is counted on, so that no counter falls at a reload.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{
    metrics,
    state::{DeliveryState, Figures},
};
use crate::telemetry::Meter;

/// What all deliveries under one id have done and hold. Clones are handles to the same account.
#[derive(Debug, Clone)]
pub struct ExporterCounters(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// What those have done that are no more.
    closed: Figures,
    /// What the first one found on disk, which none of these had left there.
    found_first: u64,
    /// The newest comes last.
    open: Vec<Arc<Mutex<DeliveryState>>>,
    is_followed: bool,
}

impl ExporterCounters {
    /// An account that is shown as long as a delivery is counted in it.
    pub(super) fn open(meter: &Meter, id: &str) -> Self {
        let account = Self(Arc::default());
        metrics::observe(meter, id, &account.0, |entries| {
            lock(entries).figures(Instant::now())
        });
        account
    }

    /// Counts one more delivery.
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
            // Nobody else has it: nothing will change in it any more.
            .partition(|state| Arc::strong_count(state) > 1);
        for state in closed {
            self.closed = self.closed.followed_by(&lock(&state).figures(now));
        }
        self.open = open;
        self.open.last()?;
        let open = self.open.iter().map(|state| lock(state).figures(now));
        let mut sum = open.fold(self.closed, |sum, one| sum.followed_by(&one));
        // What one left on disk is held, and not received again by who finds it there.
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
    // Nothing under these locks panics half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
