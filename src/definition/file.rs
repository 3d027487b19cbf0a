//! What a file in `pipelines/` says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::metric_file::{MetricFile, MomentFile};

/// An API definition: its endpoints and which of their JSON becomes which metric.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct File {
    /// What API this is.
    pub description: Option<String>,
    /// Resource attributes of every target, for example `service.name`.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
    /// The documents that are polled, by name. A target that nothing is known of is asked for them
    /// one after the other, in this order.
    pub endpoints: BTreeMap<String, EndpointFile>,
    /// When the process behind the API began: all its counters count since then, and begin again
    /// when it changes.
    pub start_time: Option<MomentFile>,
    /// The same as a length of time: how long the process has been running.
    pub uptime: Option<MomentFile>,
    /// What is measured. Entries of one name form one metric and must agree on its kind.
    pub metrics: Vec<MetricFile>,
}

/// A document of the API.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct EndpointFile {
    /// Path below the target's URL, with its query if it has one. Labels and logs show the names
    /// of the query without the values, and of `${env:KEY}` the name; what is put in for it is
    /// percent-encoded.
    pub path: String,
    /// How the body is read.
    #[serde(default)]
    pub format: Format,
    /// A jq program that turns the document into another one before anything is read from it. Its
    /// output is the document; of several outputs, an array.
    pub transform: Option<String>,
}

/// How a body is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON document.
    #[default]
    Json,
    /// Prometheus text 0.0.4, read as the document
    /// `{"metric_name": [{"labels": {…}, "value": 1}, …], …}`.
    Prometheus,
}
