//! An exemplar: one event that a total counts, and its trace.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::KeyValue;

use crate::telemetry::Trace;

/// The last traced event of a series of report metrics. It counted as 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The name of the metric, one of
    /// [`TargetMetric`](crate::telemetry::target_metrics::TargetMetric).
    pub metric: Arc<str>,
    /// The attributes of the series, sorted by key. No key is there twice.
    pub attributes: Vec<KeyValue>,
    /// The trace of the event.
    pub trace: Trace,
    /// The time of the event.
    pub time: SystemTime,
}
