//! A histogram that the body holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A histogram that the body holds: running totals of a process.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct HistogramFile {
    /// JSONPath of its buckets, relative to the innermost element: the items of an array, or the
    /// members of an object.
    pub buckets: String,
    /// JSONPath of a bucket's upper bound, relative to the bucket, or `@key`. `+Inf` is none.
    pub upper_bound: String,
    /// JSONPath of how many observations a bucket has, relative to the bucket; the bucket itself if
    /// not given.
    pub count: Option<String>,
    /// Whether a bucket counts those below it as well, as in Prometheus.
    #[serde(default)]
    pub cumulative: bool,
    /// JSONPath of the sum of all observations, relative to the innermost element.
    pub sum: Option<String>,
}
