//! One of the events that a total counts, and the trace that tells of it.

use std::time::SystemTime;

use opentelemetry::KeyValue;

use crate::telemetry::Trace;

/// The last event that a series of ours counted and that was traced. It counted as 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Name of the metric, one of [`TARGET`](crate::telemetry::names::TARGET).
    pub metric: &'static str,
    /// Those of the series. Sorted by key; no key twice.
    pub attributes: Vec<KeyValue>,
    /// What tells of it.
    pub trace: Trace,
    /// When it was.
    pub time: SystemTime,
}
