//! The configuration that runs, as it may be shown.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The configuration that runs. It holds no secret.
#[derive(Debug, Clone)]
pub struct ConfigSummary {
    /// Its pipelines, by id.
    pub pipelines: Vec<PipelineShape>,
    /// All of it, as YAML.
    pub lines: Vec<ConfigLine>,
    /// What is to be known of it although it is valid.
    pub notes: Vec<ConfigNote>,
    /// When it was loaded.
    pub loaded: SystemTime,
}

/// Settings that are valid, and what they mean together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigNote {
    /// Whether it works worse than it seems to, so that `validate` warns. Otherwise it works as
    /// designed and is good to know.
    pub is_warning: bool,
    /// The place of a warning: file, line and column.
    pub place: Option<String>,
    /// The key, such as `receivers::betanet::retry`.
    pub key: String,
    /// What does not fit, and what to write instead.
    pub message: String,
}

/// Which components a pipeline has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineShape {
    /// Its id.
    pub id: String,
    /// Ids of its receivers.
    pub receivers: Vec<String>,
    /// Ids of its processors, in their order.
    pub processors: Vec<String>,
    /// Ids of its exporters.
    pub exporters: Vec<String>,
}

/// A line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigLine {
    /// The line, as YAML.
    pub text: String,
    /// Whether it would say the same without being written.
    pub is_default: bool,
}
