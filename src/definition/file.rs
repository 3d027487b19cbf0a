//! What a file in `pipelines/` says.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

/// An API definition: its endpoints and which of their JSON becomes which metric.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct File {
    /// What API this is.
    pub description: Option<String>,
    /// Resource attributes of every target, for example `service.name`.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
    /// The documents that are polled, by name.
    pub endpoints: BTreeMap<String, EndpointFile>,
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
    /// JSONPath (RFC 9535) of the elements that give one series each. A path of names alone is
    /// short for the one that ends in `[*]`: `$.nodes` goes through the items of an array and the
    /// members of an object.
    pub for_each: Option<PathFile>,
    /// JSONPath of the one value, relative to the element.
    pub value: String,
    /// Attribute values: a JSONPath relative to the element, `@key` for the name under which the
    /// element stands in its parent, or any other text as it is.
    #[serde(default)]
    pub attributes: BTreeMap<String, PathFile>,
    /// How a found value is read.
    #[serde(default)]
    pub parse: Parse,
    /// Numbers for texts, numbers and booleans: `{green: 0, yellow: 1, "*": 2}`; `*` is any
    /// other. A text without an entry is a problem; so is a number or a boolean if another one has
    /// an entry, and else it is itself.
    #[serde(default)]
    pub values: BTreeMap<String, f64>,
    /// What the number is multiplied with, for example 0.001 for milliseconds.
    pub scale: Option<f64>,
    /// Which numbers the instrument holds; `auto` if not given.
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
    /// What is missing is expected and not counted as a problem: the value, an attribute, the
    /// elements of `for_each`.
    #[serde(default)]
    pub optional: bool,
}

/// A path, and whether it may find nothing: `$.site`, or `{path: $.site, optional: true}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathFile {
    /// The path.
    pub path: String,
    /// That it finds nothing is expected and no problem.
    pub optional: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PathMap {
    /// The path.
    path: String,
    /// That it finds nothing is expected and no problem: an attribute is left out.
    #[serde(default)]
    optional: bool,
}

impl<'de> Deserialize<'de> for PathFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(PathVisitor)
    }
}

struct PathVisitor;

impl<'de> de::Visitor<'de> for PathVisitor {
    type Value = PathFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as $.a, or a map such as {path: $.a, optional: true}")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<PathFile, E> {
        Ok(PathFile {
            path: path.to_owned(),
            optional: false,
        })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<PathFile, A::Error> {
        let PathMap { path, optional } = PathMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PathFile { path, optional })
    }
}

impl JsonSchema for PathFile {
    fn schema_name() -> Cow<'static, str> {
        "PathFile".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<PathMap>();
        schemars::json_schema!({
            "description": "`$.site`, or `{path: $.site, optional: true}` if it may be missing.",
            "anyOf": [{ "type": "string" }, map],
        })
    }
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
    /// A moment, read as Unix seconds: RFC 3339 text, or Unix seconds as number or text. With
    /// `scale: 0.001` numbers are milliseconds. A year beyond 9999 is a problem.
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
    /// Exact integers until a floating-point number arrives, floating point from then on.
    Auto,
}
