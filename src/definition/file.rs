//! What a file in `pipelines/` says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What is measured. Entries of one name form one metric and must agree on its kind.
    pub metrics: Vec<MetricFile>,
}

/// A document of the API.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct EndpointFile {
    /// Path below the target's URL, with its query if it has one.
    pub path: String,
    /// How the body is read.
    #[serde(default)]
    pub format: Format,
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

/// One metric, or one part of it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct MetricFile {
    /// Its name, as it should appear: `betanet_bytes_transmitted_total`.
    pub name: String,
    /// What it measures; one sentence.
    #[serde(default)]
    pub description: String,
    /// What is measured and how it aggregates.
    pub instrument: InstrumentKind,
    /// UCUM unit: `s`, `By`, `{packet}`.
    #[serde(default)]
    pub unit: String,
    /// Which endpoint's body holds it; may be left out where there is only one.
    pub endpoint: Option<String>,
    /// JSONPath (RFC 9535) of the elements that give one series each. An object iterates over
    /// its members like an array.
    pub for_each: Option<String>,
    /// JSONPath of the value, relative to the element.
    pub value: String,
    /// Attribute values: a JSONPath relative to the element, `@key` for the name under which the
    /// element stands in its parent, or any other text as it is.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// How a found value is read.
    #[serde(default)]
    pub parse: Parse,
    /// Numbers for texts: `{green: 0, yellow: 1, red: 2}`.
    #[serde(default)]
    pub values: BTreeMap<String, f64>,
    /// What the number is multiplied with, for example 0.001 for milliseconds.
    pub scale: Option<f64>,
    /// Which numbers the instrument holds.
    pub value_type: Option<ValueType>,
    /// Upper bounds of a histogram's buckets, ascending.
    #[serde(default)]
    pub buckets: Vec<f64>,
    /// The states of a state set: one series each, 1 for the current state and 0 for the others.
    #[serde(default)]
    pub states: Vec<String>,
    /// The attribute that names the state; `state` if not given.
    pub state_attribute: Option<String>,
    /// The most elements that give a series; 1 without `for_each`, 200 with it. What is over is
    /// dropped and counted.
    pub max_series: Option<usize>,
    /// A missing value is expected and not counted as a problem.
    #[serde(default)]
    pub optional: bool,
}

/// What is measured and how it aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstrumentKind {
    /// A running total that only grows; a fall is a restart of the source.
    Counter,
    /// A sum that may fall.
    UpDownCounter,
    /// A value of the moment.
    Gauge,
    /// One observation a fresh poll.
    Histogram,
    /// One of a closed list of states.
    StateSet,
}

/// How a found value is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parse {
    /// A number, a boolean (1 or 0) or a number in a string.
    #[default]
    Number,
    /// A moment, read as Unix seconds: RFC 3339 text, or Unix seconds as number or text.
    Timestamp,
}

/// Which numbers an instrument holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Integers, exact up to 2^64 − 1. A value with a fraction is refused and counted.
    Int,
    /// Floating point.
    Double,
    /// Integers until a value with a fraction arrives, floating point from then on.
    Auto,
}
