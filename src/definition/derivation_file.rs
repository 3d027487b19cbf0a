//! What a file in `pipelines/` says of requests for each element of another endpoint's answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One request for each element of another endpoint's answer. The request refers to it as
/// `${NAME:id}`, where `as: NAME` names it, and attributes as `NAME:$.id`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct DerivationFile {
    /// The endpoint that has the elements. It is polled before this one.
    pub endpoint: String,
    /// JSONPath of the elements in its document; a path of names alone is short for the one that
    /// ends in `[*]`.
    pub path: String,
    /// What the element is called.
    #[serde(rename = "as")]
    pub name: String,
    /// The most requests of a poll: 100 if not given, at most 1000. That there are more elements is
    /// a problem.
    pub max: Option<usize>,
    /// Whether it is a fact that the path finds nothing, for example because a filter chooses none:
    /// no requests, and no failure. An empty array or object is one anyway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}
