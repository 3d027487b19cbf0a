//! How a value is read, as written in a file.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer, value::MapAccessDeserializer},
};

/// How a value is read: `bytes`, or `{as: timestamp, unit: ms}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ParseFile {
    /// The kind of the value.
    #[serde(rename = "as")]
    pub kind: Option<ParseKind>,
    /// How the value is written.
    #[serde(flatten)]
    pub options: ParseOptions,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParseKind {
    /// A number, a boolean (1 or 0), or a number in a text.
    Number,
    /// A percentage: `"28 %"` is 0.28.
    Percent,
    /// A number of bytes with its unit: `"1.5 GiB"`, `"150G"`. `K`, `M` and `G` are powers of 1000;
    /// `Ki`, `Mi` and `Gi` are powers of 1024. With `base: 1024` all of them are powers of 1024.
    Bytes,
    /// A duration, read as seconds: `5d3h2m`, `846:17:56`, `P1DT2H`. A plain number counts seconds,
    /// or the unit of `unit`.
    Duration,
    /// A timestamp, read as Unix seconds. It is a text in RFC 3339, a text in one of `formats`, or
    /// a Unix time as a number or a text, in the unit of `unit`. A year after 9999 is a problem.
    Timestamp,
}

/// How a value is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ParseOptions {
    /// A regular expression whose first group is the value.
    pub pattern: Option<String>,
    /// The decimal separator.
    pub decimal: Option<String>,
    /// The separator between groups of three digits.
    pub thousands: Option<String>,
    /// The unit of a plain number.
    pub unit: Option<TimeUnit>,
    /// The formats of timestamps.
    pub formats: Vec<String>,
    /// The time zone of local times.
    pub timezone: Option<String>,
    /// The value of `K`.
    pub base: Option<u64>,
}

/// The unit of a plain number that is a timestamp or a duration.
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
    /// The kind of the value. It can be left out if another key belongs to one kind only.
    #[serde(rename = "as")]
    kind: Option<ParseKind>,
    /// A regular expression that is applied before the value is read. Its first group is the value.
    pattern: Option<String>,
    /// The decimal separator in texts. The default is a point.
    decimal: Option<String>,
    /// The separator between groups of three digits in texts.
    thousands: Option<String>,
    /// The unit of a plain number that is a timestamp or a duration. The default is seconds.
    unit: Option<TimeUnit>,
    /// The formats of timestamps in texts, as in `strftime`.
    #[serde(default)]
    formats: Vec<String>,
    /// The time zone of local times that name no offset: `Europe/Berlin`.
    timezone: Option<String>,
    /// The value of `K` in a number of bytes: 1000 or 1024.
    base: Option<u64>,
    /// The same as `as: number`, with what belongs to it inside.
    number: Option<ParseInner>,
    /// The same as `as: percent`.
    percent: Option<ParseInner>,
    /// The same as `as: bytes`.
    bytes: Option<ParseInner>,
    /// The same as `as: duration`.
    duration: Option<ParseInner>,
    /// The same as `as: timestamp`.
    timestamp: Option<ParseInner>,
}

/// How a value of one kind is written.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParseInner {
    /// A regular expression that is applied before the value is read. Its first group is the value.
    pattern: Option<String>,
    /// The decimal separator in texts. The default is a point.
    decimal: Option<String>,
    /// The separator between groups of three digits in texts.
    thousands: Option<String>,
    /// The unit of a plain number that is a timestamp or a duration. The default is seconds.
    unit: Option<TimeUnit>,
    /// The formats of timestamps in texts, as in `strftime`.
    #[serde(default)]
    formats: Vec<String>,
    /// The time zone of local times that name no offset: `Europe/Berlin`.
    timezone: Option<String>,
    /// The value of `K` in a number of bytes: 1000 or 1024.
    base: Option<u64>,
}

impl ParseMap {
    /// What it says: `{as: timestamp, unit: ms}`, or `{timestamp: {unit: ms}}`, which is the same.
    fn read<E: de::Error>(mut self) -> Result<ParseFile, E> {
        let named = [
            (ParseKind::Number, self.number.take()),
            (ParseKind::Percent, self.percent.take()),
            (ParseKind::Bytes, self.bytes.take()),
            (ParseKind::Duration, self.duration.take()),
            (ParseKind::Timestamp, self.timestamp.take()),
        ];
        let mut named = named.into_iter().filter_map(|(kind, of)| Some((kind, of?)));
        let Some((kind, inner)) = named.next() else {
            return Ok(ParseFile {
                kind: self.kind,
                options: self.options(),
            });
        };
        if named.next().is_some()
            || self.kind.is_some()
            || self.options() != ParseOptions::default()
        {
            let message = "give one kind, such as `{timestamp: {unit: ms}}`";
            return Err(E::custom(message));
        }
        Ok(ParseFile {
            kind: Some(kind),
            options: ParseOptions {
                pattern: inner.pattern,
                decimal: inner.decimal,
                thousands: inner.thousands,
                unit: inner.unit,
                formats: inner.formats,
                timezone: inner.timezone,
                base: inner.base,
            },
        })
    }

    fn options(&self) -> ParseOptions {
        ParseOptions {
            pattern: self.pattern.clone(),
            decimal: self.decimal.clone(),
            thousands: self.thousands.clone(),
            unit: self.unit,
            formats: self.formats.clone(),
            timezone: self.timezone.clone(),
            base: self.base,
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
        ParseMap::deserialize(MapAccessDeserializer::new(map)).and_then(ParseMap::read)
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
