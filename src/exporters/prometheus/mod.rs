//! `prometheus`: serves the last values of all targets to Prometheus, in its text format or in
//! OpenMetrics.
//!
//! ```yaml
//! exporters:
//!   prometheus:
//!     endpoint: localhost:9200
//!     path: /metrics
//!     max_stale: 5m
//!     translation_strategy: NoTranslation
//!     const_labels: { cluster: a }
//!     probe: { allow: [10.2.0.0/16] }
//! ```
//! When a poll ends, the exporter stores rows: labels and numbers, by source of a target (`rows.rs`).
//! A scrape writes them as text, piece by piece as the scraper reads it. Samples are the same in
//! both formats. Every series has the label `target` and the configured labels of the target. The
//! next body of an endpoint replaces all its values, so that a removed element disappears at once.
//! Without a body, the last values are shown for `max_stale`. `/probe` reads one target for each
//! request.

mod config;
mod descriptor;
mod draft;
mod escape;
mod families;
mod foreign;
mod histogram_rows;
mod labels;
pub(super) mod name;
mod negotiate;
mod number;
mod placement;
mod point_id;
mod probe;
mod refresh;
mod render;
mod rows;
mod rules;
mod scrape;
mod store;
mod text;
mod family_writer;

#[cfg(test)]
mod tests;

pub use config::{Config, ProbeConfig, ResourceConversion, ResourceLabels, TYPE};
pub use escape::Escaping;
pub use name::scrape_name;
pub use negotiate::{OutputFormat, TextFormat};
pub use rules::TranslationStrategy;
pub use scrape::NameFilter;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::{KeyValue, metrics::Counter};

use crate::{
    http::{Body, Request, Response, Route, SharedAnswers},
    pipeline::{Exporter, Snapshot, StateStore, Target},
    telemetry::{Meter, names},
};
use draft::Draft;
use refresh::NewNumber;
use render::Renderer;
use rules::RenderingRules;
use scrape::Scrape;
use store::SeriesStore;

/// The exporter: it takes snapshots and answers scrapes.
pub struct Prometheus {
    id: String,
    open_metrics: bool,
    max_stale: Duration,
    state: Arc<ShownState>,
    store: Arc<Mutex<SeriesStore>>,
    /// Scrapes of the current values, for scrapers that come at the same time.
    answers: Arc<SharedAnswers>,
    /// An empty draft with memory for the next snapshot.
    spare: Mutex<Draft>,
    /// Memory for the numbers of the next snapshot.
    numbers: Mutex<Vec<NewNumber>>,
    dropped: Counter<u64>,
    probes: Counter<u64>,
    /// Families and reasons that the log has warned about.
    warned: Mutex<HashSet<(String, &'static str)>>,
}

/// The series on the scrape. They outlive reloads: all exporters with the same id and the same rules
/// share them. Under other rules all series are different ones.
struct ShownState {
    renderer: Renderer,
    store: Arc<Mutex<SeriesStore>>,
}

/// Points that a scrape cannot show.
#[derive(Debug, PartialEq, Eq)]
struct DroppedPoints {
    family: String,
    points: usize,
    reason: &'static str,
}

impl Prometheus {
    /// An exporter with the given id. It shows the series that `states` has of it.
    pub fn new(id: &str, config: &Config, meter: &Meter, states: &StateStore) -> Self {
        let rules = config.rules();
        let has_same_rules = |state: &ShownState| state.renderer.rules == rules;
        let state = states.get_if(id, has_same_rules, || {
            let store = Arc::default();
            observe_series(id, &store, meter);
            let renderer = Renderer::new(config.rules());
            Arc::new(ShownState { renderer, store })
        });
        Self {
            id: id.to_owned(),
            open_metrics: config.enable_open_metrics,
            max_stale: config.max_stale.get(),
            store: Arc::clone(&state.store),
            state,
            answers: Arc::default(),
            spare: Mutex::default(),
            numbers: Mutex::default(),
            dropped: names::DROPPED_POINTS.counter(meter),
            probes: names::PROBES.counter(meter),
            warned: Mutex::default(),
        }
    }

    /// The route that answers scrapes.
    pub fn route(self: &Arc<Self>, path: &str) -> Route {
        let exporter = Arc::clone(self);
        let answer = move |request| std::future::ready(exporter.answer(&request));
        Route::get(&self.id, path, answer).described("metrics of all targets, for Prometheus")
    }

    fn answer(&self, request: &Request) -> Response {
        let negotiated = negotiate::negotiate(&request.headers, self.open_metrics);
        let filter = NameFilter::from_query(negotiated.form, &request.query);
        // A filter is the wish of one scraper.
        let form = filter
            .names
            .is_empty()
            .then(|| format!("{:?}", filter.form));
        let pieces = self.scrape(filter);
        let version = lock(&self.store).version();
        negotiated.answer(match form {
            Some(form) => Body::shared(&self.answers, (version, form), pieces),
            None => Body::stream(pieces),
        })
    }

    /// The text of a scrape, in pieces that are created on demand.
    pub fn scrape(&self, filter: NameFilter) -> impl Iterator<Item = Bytes> + Send + use<> {
        Scrape::new(&self.store, filter)
    }

    fn rules(&self) -> &RenderingRules {
        &self.state.renderer.rules
    }

    fn note(&self, dropped: &DroppedPoints) {
        let DroppedPoints {
            family,
            points,
            reason,
        } = dropped;
        let attributes = [
            KeyValue::new(names::EXPORTER, self.id.clone()),
            KeyValue::new(names::REASON, *reason),
        ];
        self.dropped.add(*points as u64, &attributes);
        if lock(&self.warned).insert((family.clone(), *reason)) {
            tracing::warn!(exporter = self.id, family, reason, "cannot show a metric");
        }
    }
}

fn observe_series(id: &str, store: &Arc<Mutex<SeriesStore>>, meter: &Meter) {
    let attributes = [KeyValue::new(names::EXPORTER, id.to_owned())];
    names::SERIES.observe(meter, store, move |store, observer| {
        observer.observe(lock(store).series() as u64, &attributes);
    });
}

impl Exporter for Prometheus {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let mut numbers = std::mem::take(&mut *lock(&self.numbers));
        let is_done =
            lock(&self.store).refresh(snapshot, self.rules(), &mut numbers, self.max_stale);
        *lock(&self.numbers) = numbers;
        if is_done {
            self.answers.clear();
            return;
        }
        let labels = lock(&self.store).labels(snapshot.target, self.rules());
        // The store is not locked while the rows are written.
        let mut draft = std::mem::take(&mut *lock(&self.spare));
        let dropped = self.state.renderer.render(snapshot, &labels, &mut draft);
        let conflicts = lock(&self.store).replace(snapshot, labels, &mut draft, self.max_stale);
        self.answers.clear();
        *lock(&self.spare) = draft.cleared();
        for dropped in dropped.iter().chain(&conflicts) {
            self.note(dropped);
        }
    }

    fn shed(&self) -> u64 {
        let shed = lock(&self.store).shed();
        self.answers.clear();
        shed as u64
    }

    fn forget(&self, target: &Target) {
        lock(&self.store).forget(target);
        self.answers.clear();
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
    // A panic elsewhere costs at most the values that were just being replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
