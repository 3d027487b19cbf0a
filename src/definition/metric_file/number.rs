//! How a found value is read.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer, value::MapAccessDeserializer},
};

/// How a found value is read: `bytes`, or `{as: timestamp, unit: ms}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ParseFile {
    /// What it is.
    #[serde(rename = "as")]
    pub kind: Option<ParseKind>,
    /// How it is written.
    #[serde(flatten)]
    pub options: ParseOptions,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParseKind {
    /// A number, a boolean (1 or 0) or a number in a text.
    Number,
    /// A share of a hundred: `"28 %"` is 0.28.
    Percent,
    /// A number of bytes with its unit: `"1.5 GiB"`, `"150G"`. `K`, `M`, `G` are powers of 1000,
    /// `Ki`, `Mi`, `Gi` of 1024; with `base: 1024` both are.
    Bytes,
    /// A length of time, read as seconds: `5d3h2m`, `846:17:56`, `P1DT2H`. A number is so many
    /// seconds, or what `unit` says.
    Duration,
    /// A moment, read as Unix seconds: RFC 3339 text, a text as `formats` says, or Unix seconds as
    /// number or text, of which `unit` names the parts. A year beyond 9999 is a problem.
    Timestamp,
}

/// How a value is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ParseOptions {
    /// A regular expression whose first group is the value.
    pub pattern: Option<String>,
    /// What stands before the fraction.
    pub decimal: Option<String>,
    /// What stands between groups of three digits.
    pub thousands: Option<String>,
    /// What a number counts.
    pub unit: Option<TimeUnit>,
    /// How moments are written.
    pub formats: Vec<String>,
    /// Where a text is a local time.
    pub timezone: Option<String>,
    /// What `K` is.
    pub base: Option<u64>,
}

/// What a number of a moment or of a length of time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParseMap {
    /// What it is; known already where another key belongs to one kind only.
    #[serde(rename = "as")]
    kind: Option<ParseKind>,
    /// A regular expression that is matched before the value is read; its first group is the value.
    pattern: Option<String>,
    /// What stands before the fraction in texts, a point if not given.
    decimal: Option<String>,
    /// What stands between groups of three digits in texts.
    thousands: Option<String>,
    /// What a number of a moment or of a length of time counts; seconds if not given.
    unit: Option<TimeUnit>,
    /// How moments are written in texts, as `strftime` has it.
    #[serde(default)]
    formats: Vec<String>,
    /// Where a text is a local time that names no offset: `Europe/Berlin`.
    timezone: Option<String>,
    /// What `K` is for bytes: 1000, or 1024.
    base: Option<u64>,
}

impl From<ParseMap> for ParseFile {
    fn from(map: ParseMap) -> Self {
        Self {
            kind: map.kind,
            options: ParseOptions {
                pattern: map.pattern,
                decimal: map.decimal,
                thousands: map.thousands,
                unit: map.unit,
                formats: map.formats,
                timezone: map.timezone,
                base: map.base,
            },
        }
    }
}

struct ParseVisitor;

impl<'de> de::Visitor<'de> for ParseVisitor {
    type Value = ParseFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "one of number, percent, bytes, duration, timestamp, or a map such as \
             {as: timestamp, unit: ms}",
        )
    }

    fn visit_str<E: de::Error>(self, kind: &str) -> Result<ParseFile, E> {
        let kind = ParseKind::deserialize(kind.into_deserializer())?;
        Ok(ParseFile {
            kind: Some(kind),
            ..ParseFile::default()
        })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ParseFile, A::Error> {
        ParseMap::deserialize(MapAccessDeserializer::new(map)).map(ParseFile::from)
    }
}

impl<'de> Deserialize<'de> for ParseFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(ParseVisitor)
    }
}

impl JsonSchema for ParseFile {
    fn schema_name() -> Cow<'static, str> {
        "Parse".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kind = generator.subschema_for::<ParseKind>();
        let map = generator.subschema_for::<ParseMap>();
        schemars::json_schema!({
            "description": "`bytes`, or with how it is written: `{as: timestamp, unit: ms}`.",
            "anyOf": [kind, map],
        })
    }
}
