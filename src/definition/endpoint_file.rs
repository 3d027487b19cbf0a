//! What a file in `pipelines/` says of an endpoint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    derivation_file::DerivationFile,
    pages_file::PagesFile,
    status_file::StatusFile,
    word_file::{Word, Words},
};
use crate::settings::{Duration, Pattern};

/// A document of the API.
///
/// `${scheme:…}` in `path`, `query`, `headers` and `body` is a value that is put in and escaped for
/// where it stands: `${env:KEY}` and `${file:PATH}` when the file is read; at each request
/// `${target:LABEL}`, `${param:NAME}`, and a time such as `${now:rfc3339}`, `${now-5m:unix}` or
/// `${now:unix_ms}`; with `for_each: {as: app, …}` also `${app:id}`. `$$` is a dollar.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct EndpointFile {
    /// Path below the target's URL, with its query if it has one. Labels and logs show the names
    /// of the query without the values, and of `${env:KEY}` the name; what is put in is
    /// percent-encoded.
    pub path: String,
    /// How it is asked.
    #[serde(default)]
    pub method: Method,
    /// More of the query: a value, or a list of values, a name.
    #[serde(default)]
    pub query: BTreeMap<String, Words>,
    /// Headers of the request. Those of the receiver and its `auth` come before them.
    #[serde(default)]
    pub headers: BTreeMap<String, Word>,
    /// What is sent along with a `POST`.
    pub body: Option<BodyFile>,
    /// The statuses of which the body is read and which are no failure; those of a success (2xx)
    /// if not given.
    #[serde(default)]
    pub accept_status: Vec<StatusFile>,
    /// Whether a `POST` only reads, so that it may be sent again when the connection was lost
    /// before an answer began.
    pub idempotent: Option<bool>,
    /// How often it is asked: a multiple of the receiver's `collection_interval`. Its values stay
    /// shown meanwhile. One that failed is asked again with the next poll.
    pub interval: Option<Duration>,
    /// Makes one request for each element of another endpoint's answer. All are one poll of the
    /// endpoint; one that fails costs its own series.
    pub for_each: Option<DerivationFile>,
    /// How the rest of a long answer is found. All pages are one poll of the endpoint.
    pub pages: Option<PagesFile>,
    /// How the body is read.
    #[serde(default)]
    pub format: Format,
    /// A jq program that turns the document into another one before anything is read from it. Its
    /// output is the document; of several outputs, an array.
    pub transform: Option<String>,
    /// How CSV is read.
    pub csv: Option<CsvFile>,
    /// How lines of text are read.
    pub lines: Option<LinesFile>,
}

/// How an endpoint is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    #[default]
    Get,
    /// `POST`: sent again only if nothing arrived, or with `idempotent: true`.
    Post,
    /// `HEAD`: the answer has no body, and the document is `null`.
    Head,
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Head => Self::HEAD,
        }
    }
}

impl Method {
    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
        }
    }
}

/// What is sent along: one of them.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct BodyFile {
    /// A JSON document. A reference that is a whole text keeps its type: a number stays a number.
    pub json: Option<serde_json::Value>,
    /// The fields of a form.
    pub form: Option<BTreeMap<String, Word>>,
    /// A text as it is; values are put in as they are.
    pub text: Option<String>,
}

/// How a body is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON document.
    #[default]
    Json,
    /// A JSON document a line; read as an array of them.
    Ndjson,
    /// Records of fields; read as an array of objects by the names of the first record, or of
    /// arrays with `csv: {header: false}`.
    Csv,
    /// XML, read as `{"name": {"@attribute": "…", "#text": "…", "child": [{…}, …]}}`.
    Xml,
    /// Plain text, read as an array of what the named groups of `lines: {pattern: …}` find in
    /// each line.
    Text,
    /// Prometheus text 0.0.4, read as the document
    /// `{"metric_name": [{"labels": {…}, "value": 1}, …], …}`.
    Prometheus,
}

/// How CSV is read.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct CsvFile {
    /// What is between two fields: one ASCII character.
    pub delimiter: String,
    /// Lines that begin with this character are passed.
    pub comment: Option<String>,
    /// Whether the first record names the columns.
    pub header: bool,
}

impl Default for CsvFile {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            comment: None,
            header: true,
        }
    }
}

/// How lines of text are read.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct LinesFile {
    /// A regular expression with named groups, such as `^(?P<key>\w+)\t(?P<value>.*)$`. Lines that
    /// it does not match are passed.
    pub pattern: Pattern,
}
