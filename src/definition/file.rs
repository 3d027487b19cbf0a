//! What a file in `pipelines/` contains.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    endpoint_file::EndpointFile,
    groups,
    metric_file::{MetricFile, MomentFile},
    request::Parameters,
};

/// An API definition: its endpoints, and the metrics that are made from their JSON.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct File {
    /// What API this is.
    pub description: Option<String>,
    /// Resource attributes of every target, for example `service.name`.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
    /// The documents that are polled, by name. A new target is asked for them one after the other,
    /// in this order.
    pub endpoints: BTreeMap<String, EndpointFile>,
    /// When the process behind the API began: all its counters count since then, and begin again
    /// when it changes.
    pub start_time: Option<MomentFile>,
    /// The same as a length of time: how long the process has been running.
    pub uptime: Option<MomentFile>,
    /// What requests may refer to as `${param:NAME}`, with what it is if the receiver does not say
    /// it under `parameters`; `null` if the receiver has to.
    #[serde(default)]
    pub parameters: Parameters,
    /// What is measured. Entries of one name form one metric and must agree on its kind. An entry
    /// with `metrics` is a group, whose other keys its metrics share.
    #[schemars(schema_with = "groups::schema")]
    pub metrics: Vec<MetricFile>,
}
