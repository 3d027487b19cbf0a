//! Shows the last values of all targets to Prometheus, in the text format 0.0.4.
//!
//! ```yaml
//! exporters:
//!   prometheus:
//!     endpoint: localhost:9200
//!     path: /metrics
//!     max_stale: 5m
//! ```
//!
//! Text is rendered when a poll ends, for each target and family; a scrape only concatenates.
//! Every series carries `target` and the target's configured labels. What an endpoint gave is
//! replaced as a whole by its next body, so that an element that left is gone at once, and is
//! shown for `max_stale` where none comes.

mod config;
mod families;
mod labels;
mod name;
mod render;
mod store;
mod text;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use name::scrape_name;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use crate::{
    http::{Response, Route},
    pipeline::{Exporter, Snapshot, Target},
    telemetry::names,
};
use store::Store;

/// The exporter: takes snapshots and answers scrapes.
pub struct Prometheus {
    id: String,
    store: Arc<Mutex<Store>>,
    dropped: Counter<u64>,
    warned: Mutex<HashSet<String>>,
}

/// Points that a scrape cannot show.
#[derive(Debug, PartialEq, Eq)]
struct Dropped {
    family: String,
    points: usize,
    reason: &'static str,
}

impl Prometheus {
    /// An exporter called `id` that shows an endpoint's last values for `max_stale`.
    pub fn new(id: &str, max_stale: Duration, meter: &Meter) -> Self {
        let store = Arc::new(Mutex::new(Store::new(max_stale)));
        observe_series(id, &store, meter);
        let dropped = &names::DROPPED_POINTS;
        Self {
            id: id.to_owned(),
            store,
            dropped: meter
                .u64_counter(dropped.name)
                .with_unit(dropped.unit)
                .with_description(dropped.description)
                .build(),
            warned: Mutex::default(),
        }
    }

    /// The route that answers scrapes.
    pub fn route(self: &Arc<Self>, path: &str) -> Route {
        let exporter = Arc::clone(self);
        let answer = move |_| {
            let mut response = Response::new(text::CONTENT_TYPE, "");
            response.body = exporter.scrape();
            std::future::ready(response)
        };
        Route::get(&self.id, path, answer).described("metrics of all targets, for Prometheus")
    }

    /// The text of a scrape, in pieces.
    pub fn scrape(&self) -> Vec<Bytes> {
        lock(&self.store).text()
    }

    fn note(&self, dropped: &Dropped) {
        let Dropped {
            family,
            points,
            reason,
        } = dropped;
        let attributes = [
            KeyValue::new(names::EXPORTER, self.id.clone()),
            KeyValue::new(names::REASON, *reason),
        ];
        self.dropped.add(*points as u64, &attributes);
        if lock(&self.warned).insert(family.clone()) {
            tracing::warn!(exporter = self.id, family, reason, "cannot show a metric");
        }
    }
}

fn observe_series(id: &str, store: &Arc<Mutex<Store>>, meter: &Meter) {
    let series = &names::SERIES;
    let attributes = [KeyValue::new(names::EXPORTER, id.to_owned())];
    // The meter outlives an exporter that a reload replaces.
    let store = Arc::downgrade(store);
    meter
        .u64_observable_gauge(series.name)
        .with_unit(series.unit)
        .with_description(series.description)
        .with_callback(move |observer| {
            if let Some(store) = store.upgrade() {
                observer.observe(lock(&store).series() as u64, &attributes);
            }
        })
        .build();
}

impl Exporter for Prometheus {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let labels = lock(&self.store).open(snapshot.target);
        // The store stays free while the text is made.
        let rendered = render::snapshot(snapshot, &labels);
        let conflicts = lock(&self.store).replace(snapshot, rendered.families);
        for dropped in rendered.dropped.iter().chain(&conflicts) {
            self.note(dropped);
        }
    }

    fn forget(&self, target: &Target) {
        lock(&self.store).forget(target);
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere costs at most the fragments that were just replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
