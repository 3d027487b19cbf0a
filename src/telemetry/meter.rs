//! What makes the collector's own instruments.
//!
//! The SDK keeps each callback as long as it lives, and what a reload replaces would be asked for
//! ever. So each metric that is asked for has one callback, which asks those that still are.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use opentelemetry::metrics::{AsyncInstrument, Meter as SdkMeter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::names::{Metric, MetricKind};

/// Makes the collector's own instruments. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Meter {
    sdk: SdkMeter,
    asked: Arc<Mutex<BTreeMap<&'static str, MetricSources>>>,
}

/// All that give a metric its values. Clones are handles to the same list.
#[derive(Clone, Default)]
struct MetricSources(Arc<Mutex<Vec<Arc<dyn MetricSource>>>>);

/// One that gives a metric values.
trait MetricSource: Send + Sync {
    fn is_gone(&self) -> bool;

    fn observe(&self, to: &dyn AsyncInstrument<u64>);
}

/// Asks `of`, as long as it lives.
struct WeakObserver<T, F> {
    of: Weak<T>,
    observe: F,
}

impl<T, F> MetricSource for WeakObserver<T, F>
where
    T: Send + Sync,
    F: Fn(&T, &dyn AsyncInstrument<u64>) + Send + Sync,
{
    fn is_gone(&self) -> bool {
        self.of.strong_count() == 0
    }

    fn observe(&self, to: &dyn AsyncInstrument<u64>) {
        if let Some(of) = self.of.upgrade() {
            (self.observe)(&of, to);
        }
    }
}

impl Meter {
    /// Makes instruments of this provider.
    pub fn of(provider: &SdkMeterProvider) -> Self {
        Self {
            sdk: provider.meter("betanet-collector"),
            asked: Arc::default(),
        }
    }

    /// The SDK's own.
    pub(super) fn sdk(&self) -> &SdkMeter {
        &self.sdk
    }

    /// How many give some metric its values.
    #[cfg(test)]
    pub(crate) fn sources(&self) -> usize {
        let asked = lock(&self.asked);
        asked.values().map(|sources| lock(&sources.0).len()).sum()
    }

    /// The list of a metric, which is asked at each collection.
    fn sources_of(&self, metric: &Metric) -> MetricSources {
        let mut asked = lock(&self.asked);
        let sources = asked.entry(metric.name).or_insert_with(|| {
            let sources = MetricSources::default();
            let all = sources.clone();
            let observe = move |to: &dyn AsyncInstrument<u64>| {
                all.left().iter().for_each(|source| source.observe(to));
            };
            let (sdk, unit, about) = (&self.sdk, metric.unit, metric.description);
            if metric.kind == MetricKind::Counter {
                let builder = sdk.u64_observable_counter(metric.name).with_unit(unit);
                builder
                    .with_description(about)
                    .with_callback(observe)
                    .build();
            } else {
                let builder = sdk.u64_observable_gauge(metric.name).with_unit(unit);
                builder
                    .with_description(about)
                    .with_callback(observe)
                    .build();
            }
            sources
        });
        sources.clone()
    }
}

impl Metric {
    /// A whole number that `of` is asked for as long as it lives: a running total or a gauge, as
    /// the table says.
    pub fn observe<T: Send + Sync + 'static>(
        &self,
        meter: &Meter,
        of: &Arc<T>,
        observe: impl Fn(&T, &dyn AsyncInstrument<u64>) + Send + Sync + 'static,
    ) {
        let of = Arc::downgrade(of);
        let source = Arc::new(WeakObserver { of, observe });
        meter.sources_of(self).add(source);
    }
}

impl MetricSources {
    fn add(&self, source: Arc<dyn MetricSource>) {
        let mut sources = lock(&self.0);
        sources.retain(|source| !source.is_gone());
        sources.push(source);
    }

    /// Whoever is asked may take any lock, so the list is not locked then.
    fn left(&self) -> Vec<Arc<dyn MetricSource>> {
        let mut sources = lock(&self.0);
        sources.retain(|source| !source.is_gone());
        sources.clone()
    }
}

impl fmt::Debug for MetricSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The lists are whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
