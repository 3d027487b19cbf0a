//! What a file `NAME.test.yaml` contains.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

use crate::definition::InstrumentKind;

/// Tests of a definition: saved bodies, and the points that they must give.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TestFile {
    /// The definition: a name, or a file relative to this one. The default is the file beside this
    /// one: `NAME.yaml` for `NAME.test.yaml`.
    pub(super) definition: Option<String>,
    /// Where the bodies come from, such as `recorded from nginx 1.26.3`.
    pub(super) source: Option<String>,
    /// What the metrics must be, by name. A metric that is not named here may be anything.
    #[serde(default)]
    pub(super) metrics: BTreeMap<String, ExpectedMetric>,
    /// The tests, in the order in which they run.
    pub(super) tests: Vec<TestCase>,
}

/// What a metric must be.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExpectedMetric {
    /// Its kind.
    pub(super) instrument: Option<InstrumentKind>,
    /// Its unit in UCUM.
    pub(super) unit: Option<String>,
}

/// One poll, and what it must give.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TestCase {
    /// What is tested, in a few words.
    pub(super) name: String,
    /// Whether it is the next poll of the same server: after the test above, a counter that falls
    /// must stand in `resets`.
    #[serde(default)]
    pub(super) follows: bool,
    /// The body of each endpoint, by its name. An endpoint without a body counts as failed.
    pub(super) bodies: Option<BTreeMap<String, SavedBody>>,
    /// Instead of `bodies`: the directory with the answers of one target, as `check --record` writes
    /// it, relative to this file. It has pages and requests for elements too.
    pub(super) recorded: Option<String>,
    /// All points that the bodies give, as a scrape shows them but with the names of the
    /// definition: `nginx.connections{state="active"} 3`. A time that the body says may follow, in
    /// Unix seconds. `test --update` writes them.
    pub(super) points: Option<Vec<String>>,
    /// All values that cannot be read.
    #[serde(default)]
    pub(super) problems: Vec<ExpectedProblem>,
    /// The counters that fell since the test above, and so begin again.
    #[serde(default)]
    pub(super) resets: Vec<String>,
    /// When the process began, as `start_time` of the definition finds it, in RFC 3339.
    pub(super) start_time: Option<String>,
    /// For how many seconds the process has been running, as `uptime` of the definition finds it.
    pub(super) uptime: Option<f64>,
}

/// A value that cannot be read.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExpectedProblem {
    /// The metric, or `start_time` or `uptime`.
    pub(super) metric: String,
    /// Why, as in `http_json.mapping.problems`.
    pub(super) reason: Reason,
    /// How many values have it.
    #[serde(default = "one")]
    pub(super) count: u64,
}

fn one() -> u64 {
    1
}

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// There is nothing, or `null`.
    Missing,
    /// There are several where one is wanted.
    Several,
    /// It has another type.
    Type,
    /// It is out of range.
    Range,
    /// It is above `max_series`.
    MaxSeries,
    /// Another one has the same attributes.
    Duplicate,
    /// It takes too many steps to find.
    Steps,
}

impl Reason {
    /// The value of the `reason` attribute.
    pub(super) fn name(self) -> &'static str {
        use crate::pipeline::ProblemReason as Of;
        let reason = match self {
            Self::Missing => Of::Missing,
            Self::Several => Of::Several,
            Self::Type => Of::Type,
            Self::Range => Of::Range,
            Self::MaxSeries => Of::MaxSeries,
            Self::Duplicate => Of::Duplicate,
            Self::Steps => Of::Steps,
        };
        reason.name()
    }
}

/// What is saved of an endpoint: a text, `{file: PATH}`, `{json: …}`, `{pages: […]}` or
/// `{for_each: […]}`.
#[derive(Debug)]
pub(super) enum SavedBody {
    /// As it is.
    Text(String),
    /// In a file, relative to the test file.
    File(String),
    /// As a JSON document.
    Json(serde_json::Value),
    /// The pages of one answer.
    Pages(Vec<Self>),
    /// An answer for each element, in their order; none for a request that failed.
    ForEach(Vec<Option<Self>>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BodyMap {
    /// The file that holds it, relative to this file.
    file: Option<String>,
    /// The body as a JSON document.
    json: Option<serde_json::Value>,
    /// The bodies of the pages, if the endpoint has `pages`.
    pages: Option<Vec<SavedBody>>,
    /// The body for each element, if the endpoint has `for_each`: in the order in which the body of
    /// the other endpoint has the elements, and `null` for a request that failed.
    for_each: Option<Vec<Option<SavedBody>>>,
}

struct BodyVisitor;

impl<'de> de::Visitor<'de> for BodyVisitor {
    type Value = SavedBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, {file: PATH}, {json: …}, {pages: […]} or {for_each: […]}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SavedBody, E> {
        Ok(SavedBody::Text(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SavedBody, A::Error> {
        let map = BodyMap::deserialize(MapAccessDeserializer::new(map))?;
        let mut given = [
            map.file.map(SavedBody::File),
            map.json.map(SavedBody::Json),
            map.pages.map(SavedBody::Pages),
            map.for_each.map(SavedBody::ForEach),
        ]
        .into_iter()
        .flatten();
        match (given.next(), given.next()) {
            (Some(body), None) => Ok(body),
            _ => Err(de::Error::custom(
                "a body has one of `file`, `json`, `pages` and `for_each`",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for SavedBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(BodyVisitor)
    }
}

impl JsonSchema for SavedBody {
    fn schema_name() -> Cow<'static, str> {
        "Body".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<BodyMap>();
        schemars::json_schema!({
            "description": "The body as a text, `{file: PATH}` or `{json: …}`; `{pages: […]}` and \
                            `{for_each: […]}` where there are several.",
            "anyOf": [{ "type": "string" }, map],
        })
    }
}
