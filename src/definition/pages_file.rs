//! What a file in `pipelines/` says of the pages of an endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the page behind a page is found. One of `next`, `link_header`, `cursor` and `until_empty`.
/// Their paths read the body as it comes, before its `transform`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct PagesFile {
    /// JSONPath of the URL of the next page, or of its path. Nothing there, `null`, `false` and an
    /// empty text mean that there is none.
    pub next: Option<String>,
    /// Whether the header `Link` with `rel="next"` has it (RFC 8288).
    pub link_header: Option<bool>,
    /// JSONPath of a text or a number that goes into the query `parameter` of the next request.
    pub cursor: Option<String>,
    /// The name in the query that says which page is asked for.
    pub parameter: Option<String>,
    /// What the first request has there: 1, or 0 with a `step`.
    pub from: Option<u64>,
    /// How much more each further request has there: 1 if not given, as for numbers of pages.
    pub step: Option<u64>,
    /// JSONPath of what is empty on the page behind the last one: an array, an object, a text or
    /// `null`.
    pub until_empty: Option<String>,
    /// The most pages of a poll: 50 if not given, at most 1000. That there are more is a problem.
    pub max: Option<usize>,
}
