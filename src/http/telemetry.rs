//! Counts refusals by reason.

use opentelemetry::{KeyValue, metrics::Counter};

use crate::telemetry::{Meter, names};

/// Counts refused connections and requests.
#[derive(Debug, Clone)]
pub(super) struct ListenerTelemetry {
    connections: Counter<u64>,
    requests: Counter<u64>,
}

impl ListenerTelemetry {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            connections: names::CONNECTIONS_REFUSED.counter(meter),
            requests: names::REQUESTS_REFUSED.counter(meter),
        }
    }

    /// Counts a connection that was closed before it could send a request.
    pub(super) fn connection_refused(&self, reason: &'static str) {
        self.connections
            .add(1, &[KeyValue::new(names::REASON, reason)]);
    }

    /// Counts a request that was refused.
    pub(super) fn request_refused(&self, reason: &'static str) {
        self.requests
            .add(1, &[KeyValue::new(names::REASON, reason)]);
    }
}
