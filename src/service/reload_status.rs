//! The result of the last attempt to load a configuration.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::ServiceContext;
use crate::{
    pipeline::{ComponentKind, Reporter},
    runtime::Clock,
    telemetry::names,
};

/// The result of the last attempt, as metrics.
pub(super) struct ReloadStatus {
    clock: Clock,
    status: Reporter,
    successful: Arc<AtomicU64>,
    last_success: Arc<AtomicU64>,
}

impl ReloadStatus {
    /// The first configuration counts as a success.
    pub(super) fn new(site: &ServiceContext) -> Self {
        let (meter, clock) = (&site.meter, &site.clock);
        let outcome = Self {
            clock: clock.clone(),
            status: site.components.register(ComponentKind::Service, "config"),
            successful: Arc::new(AtomicU64::new(1)),
            last_success: Arc::new(AtomicU64::new(clock.since_epoch().as_secs())),
        };
        for (metric, value) in [
            (&names::RELOAD_SUCCESSFUL, &outcome.successful),
            (&names::RELOAD_SUCCESS_TIME, &outcome.last_success),
        ] {
            metric.observe(meter, value, |value, observer| {
                observer.observe(value.load(Ordering::Relaxed), &[]);
            });
        }
        outcome
    }

    /// Records the result of an attempt.
    pub(super) fn note(&self, result: &Result<(), String>) {
        self.successful
            .store(u64::from(result.is_ok()), Ordering::Relaxed);
        match result {
            Ok(()) => {
                let now = self.clock.since_epoch().as_secs();
                self.last_success.store(now, Ordering::Relaxed);
                self.status.ok();
            }
            Err(error) => {
                tracing::error!(error, "configuration not reloaded: the running one stays");
                self.status.recoverable_error(error);
            }
        }
    }
}
