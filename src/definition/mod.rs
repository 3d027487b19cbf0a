//! What an API looks like: endpoints, and which JSON becomes which instrument.
//!
//! A definition is one YAML file of `pipelines/`, read by [`load()`] into [`file::File`] and
//! compiled once, whatever the number of targets, into a [`Definition`].

mod builtin;
mod compile;
mod element_key;
mod endpoint;
mod endpoint_compiler;
pub mod endpoint_file;
mod endpoint_id;
pub mod file;
mod grammar;
mod load;
mod metric_compiler;
pub mod metric_file;
mod number;
mod number_format;
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
pub use element_key::ElementKey;
pub use endpoint::{BodyFormat, CsvFormat, Endpoint};
pub use endpoint_file::Method;
pub use endpoint_id::{EndpointId, EndpointLabels};
pub use load::{LoadError, from_text, load, load_builtin, location, schema};
pub use metric_file::{InstrumentKind, TimeUnit, ValueType};
pub use number::Number;
pub use number_format::{NumberFormat, Parse, Separators, TimestampFormat};
pub use path::{Elements, Hit, NotOne, Path};
pub use pattern::Pattern;
pub use query::{Steps, TooManySteps};
pub use request::{AcceptedStatuses, Parameters, RenderError, RenderedRequest, Request, Scope};
pub use rule::{
    Attribute, AttributeSource, Buckets, Level, MappingRule, Origin, StartRule, TimeRule,
    ValueSource,
};
pub use transform::{Transform, TransformError};

/// A compiled API definition, shared by all its targets.
#[derive(Debug)]
pub struct Definition {
    /// Its name: the file's stem.
    pub name: String,
    /// Attributes that every target's Resource carries (`service.name` among them).
    pub resource: BTreeMap<String, String>,
    /// What is polled, in the order of the file.
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
    /// Name as configured.
    pub name: String,
    /// What it measures, for HELP and for OTLP.
    pub description: String,
    /// UCUM unit; empty where there is none.
    pub unit: String,
    /// What is measured and how it aggregates.
    pub kind: InstrumentKind,
    /// Which numbers it holds.
    pub value_type: ValueType,
    /// Upper bounds of a histogram's buckets.
    pub buckets: Vec<f64>,
    /// The most series that one target may have of it.
    pub max_series: usize,
    /// Name of its instrumentation scope.
    pub scope: Arc<str>,
    /// How OTLP shows what it grew by instead of totals, if it does.
    pub delta: Option<Delta>,
}

/// How totals become deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// Whether the first total of a series is a delta: it is if counting began with us.
    pub keeps_first: bool,
    /// A total is the first of its series again this long after the last one; none for never.
    pub max_staleness: Option<Duration>,
}

/// Whether the OpenTelemetry specification takes `name` for an instrument.
pub fn is_metric_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    first && name.chars().all(is_known) && name.len() <= 255
}

impl Definition {
    /// The keys directly below the document of an endpoint that rules look at; none if some look
    /// at all of it.
    fn root_keys(&self, endpoint: usize) -> Option<BTreeSet<String>> {
        let rules = self.rules.iter().filter(|rule| rule.endpoint == endpoint);
        let start = self.start.iter().filter(|of| of.endpoint == endpoint);
        let paths = rules
            .flat_map(MappingRule::paths_of_document)
            .chain(start.map(|of| &of.path));
        let keys = paths.map(Path::root_keys).collect::<Option<Vec<_>>>()?;
        Some(keys.into_iter().flatten().map(str::to_owned).collect())
    }

    /// What a problem is about: the name of a metric, by its index, or behind the last one the key
    /// that says when the process began.
    pub fn subject(&self, index: usize) -> Option<&str> {
        let metric = self.instruments.get(index).map(|of| of.name.as_str());
        let is_start = index == self.instruments.len();
        metric.or_else(|| {
            self.start
                .as_ref()
                .filter(|_| is_start)
                .map(StartRule::name)
        })
    }

    /// The index of the endpoint called `name`.
    pub fn endpoint(&self, name: &str) -> Option<usize> {
        self.endpoints
            .iter()
            .position(|endpoint| endpoint.id.as_str() == name)
    }
}
