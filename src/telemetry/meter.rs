//! Creates the collector's own instruments.
//!
//! The SDK never unregisters callbacks. A callback for each source would observe a source that a
//! reload replaced forever. So each metric has one callback, which iterates over the live sources.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use opentelemetry::metrics::{AsyncInstrument, Meter as SdkMeter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::names::{Metric, MetricKind};

/// Creates the collector's own instruments. Clones share the same provider.
#[derive(Debug, Clone)]
pub struct Meter {
    sdk: SdkMeter,
    asked: Arc<Mutex<BTreeMap<&'static str, MetricSources>>>,
}

/// All sources of the values of one metric. Clones share the same list.
#[derive(Clone, Default)]
struct MetricSources(Arc<Mutex<Vec<Arc<dyn MetricSource>>>>);

/// A source of values of a metric.
trait MetricSource: Send + Sync {
    fn is_gone(&self) -> bool;

    fn observe(&self, to: &dyn AsyncInstrument<u64>);
}

/// Observes `of` as long as `of` lives.
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
    /// Creates instruments of this provider.
    pub fn of(provider: &SdkMeterProvider) -> Self {
        Self {
            sdk: provider.meter("betanet-collector"),
            asked: Arc::default(),
        }
    }

    /// The meter of the SDK.
    pub(super) fn sdk(&self) -> &SdkMeter {
        &self.sdk
    }

    /// The number of live sources, of all metrics.
    #[cfg(test)]
    pub(crate) fn sources(&self) -> usize {
        let asked = lock(&self.asked);
        asked.values().map(|sources| lock(&sources.0).len()).sum()
    }

    /// The sources of a metric. They are observed at each collection.
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
    /// Registers `of` as a source of an integer, as long as `of` lives. The metrics table says
    /// whether it is a counter or a gauge.
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

    /// Copies the list, because a source may take any lock while it is observed.
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
    // The lists are consistent at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
