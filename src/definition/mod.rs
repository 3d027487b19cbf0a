//! API definitions: the endpoints of an API, and the instruments that its JSON feeds.
//!
//! A definition is one YAML file of `pipelines/`. [`load()`] reads it into [`file::File`] and
//! compiles it into a [`Definition`]. It is compiled once, whatever the number of targets.

mod builtin;
mod compile;
mod derivation;
mod derivation_compiler;
pub mod derivation_file;
mod element_key;
mod endpoint;
mod endpoint_compiler;
pub mod endpoint_file;
mod endpoint_id;
pub mod file;
mod grammar;
mod groups;
mod hint;
mod load;
mod metric_compiler;
pub mod metric_file;
mod number;
mod number_format;
mod pages;
mod pages_compiler;
pub mod pages_file;
pub mod path;
mod pattern;
mod query;
mod request;
mod rule;
pub mod status_file;
pub mod transform;
mod transforms;
mod unit;
pub mod word_file;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use builtin::{BUILTIN, Builtin};
pub use derivation::{Derivation, FoundElements};
pub use element_key::ElementKey;
pub use endpoint::{BodyFormat, CsvFormat, Endpoint};
pub use endpoint_file::Method;
pub use endpoint_id::{EndpointId, EndpointLabels};
pub use hint::listed_keys;
pub(crate) use load::schema_of;
pub use load::{LoadError, from_text, load, load_builtin, location, schema};
pub use metric_file::{InstrumentKind, TimeUnit, ValueType};
pub use number::Number;
pub use number_format::{NumberFormat, Parse, Separators, TimestampFormat};
pub use pages::{PageClue, PageSource, Pages, PagesError};
pub use path::{Elements, Hit, NotOne, Path};
pub use pattern::Pattern;
pub use query::{Steps, TooManySteps};
pub use request::{
    AcceptedStatuses, ELEMENT_BYTES_MAX, ElementNeeds, Parameters, RenderError, RenderedRequest,
    Request, RequestElement, Scope,
};
pub use rule::{
    Attribute, AttributeSource, Buckets, Level, MappingRule, Origin, StartRule, TimeRule,
    ValueSource,
};
pub use transform::{Transform, TransformError};

/// A compiled API definition, which all its targets share.
#[derive(Debug)]
pub struct Definition {
    /// The name, which is the stem of the file.
    pub name: String,
    /// The resource attributes of every target, including `service.name`.
    pub resource: BTreeMap<String, String>,
    /// The documents that are polled, in the order of the file.
    pub endpoints: Vec<Endpoint>,
    /// What requests may refer to, and what it is if the receiver does not say it.
    pub parameters: Parameters,
    /// What is measured; a rule refers to one by index.
    pub instruments: Vec<Arc<Instrument>>,
    /// Whether instruments of different endpoints have the same name, and so may give the same series.
    pub shares_names: bool,
    /// How bodies become values.
    pub rules: Vec<MappingRule>,
    /// Where a body says when the process behind the API began.
    pub start: Option<StartRule>,
    /// Of the text that it was read from: two definitions of one digest are the same.
    pub digest: u64,
}

/// A metric as OpenTelemetry sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// The name as configured.
    pub name: String,
    /// What the metric measures, for HELP and for OTLP.
    pub description: String,
    /// The unit in UCUM. Empty if there is none.
    pub unit: String,
    /// The kind of the metric, which decides how its values aggregate.
    pub kind: InstrumentKind,
    /// The type of its numbers.
    pub value_type: ValueType,
    /// The upper bounds of the buckets of a histogram.
    pub buckets: Vec<f64>,
    /// The largest number of series that one target may have.
    pub max_series: usize,
    /// The name of its instrumentation scope.
    pub scope: Arc<str>,
    /// How totals become deltas in OTLP. None if the totals are sent.
    pub delta: Option<Delta>,
}

/// How totals become deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// Whether the first total of a series counts as a delta. It does if the collector itself began
    /// the counting.
    pub keeps_first: bool,
    /// A total counts as the first of its series again this long after the last one. None means
    /// never.
    pub max_staleness: Option<Duration>,
}

/// Whether `name` is a valid instrument name of the OpenTelemetry specification.
pub fn is_metric_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    first && name.chars().all(is_known) && name.len() <= 255
}

impl Definition {
    /// The keys directly below the document of an endpoint that rules read. None if a rule reads
    /// the whole document.
    fn root_keys(&self, endpoint: usize) -> Option<BTreeSet<String>> {
        let rules = self.rules.iter().filter(|rule| rule.endpoint == endpoint);
        let start = self.start.iter().filter(|of| of.endpoint == endpoint);
        let paths = rules
            .flat_map(MappingRule::paths_of_document)
            .chain(start.map(|of| &of.path));
        let keys = paths.map(Path::root_keys).collect::<Option<Vec<_>>>()?;
        Some(keys.into_iter().flatten().map(str::to_owned).collect())
    }

    /// What a problem is about: the name of a metric, by its index; behind the last one the key
    /// that says when the process began, and then the endpoints.
    pub fn subject(&self, index: usize) -> Option<&str> {
        let Some(behind) = index.checked_sub(self.instruments.len()) else {
            return self.instruments.get(index).map(|of| of.name.as_str());
        };
        match behind.checked_sub(1) {
            None => self.start.as_ref().map(StartRule::name),
            Some(endpoint) => self.endpoints.get(endpoint).map(|of| &*of.subject),
        }
    }

    /// The index of an endpoint among the subjects of problems.
    pub fn subject_of_endpoint(&self, endpoint: usize) -> usize {
        self.instruments.len() + 1 + endpoint
    }

    /// The number of subjects that problems can have.
    pub fn subjects(&self) -> usize {
        self.subject_of_endpoint(self.endpoints.len())
    }

    /// The endpoints that are requested for elements of an answer of this one, by their indices.
    pub fn derived_from(&self, parent: usize) -> impl Iterator<Item = (usize, &Derivation)> {
        let derivations = self.endpoints.iter().map(|of| of.derivation.as_ref());
        let of_parent = derivations
            .enumerate()
            .filter_map(|(index, of)| Some((index, of?)));
        of_parent.filter(move |(_, of)| of.parent == parent)
    }

    /// The index of the endpoint called `name`.
    pub fn endpoint(&self, name: &str) -> Option<usize> {
        self.endpoints
            .iter()
            .position(|endpoint| endpoint.id.as_str() == name)
    }
}
