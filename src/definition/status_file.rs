//! A status or a class of statuses in a file: `503` or `5xx`.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A status, or all of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFile {
    /// One status.
    One(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusFile {
    /// The statuses.
    pub(super) fn range(&self) -> RangeInclusive<u16> {
        match *self {
            Self::One(status) => status..=status,
            Self::Class(digit) => digit * 100..=digit * 100 + 99,
        }
    }

    /// Whether it is one of them; a class has not those that have no body.
    pub(super) fn holds(&self, status: u16) -> bool {
        *self == Self::One(status)
    }

    fn of(number: u64) -> Option<Self> {
        let status = u16::try_from(number).ok()?;
        (200..=599).contains(&status).then_some(Self::One(status))
    }
}

const EXPECTED: &str = "a status from 200 to 599 or a class such as 5xx";

impl<'de> Deserialize<'de> for StatusFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = StatusFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<StatusFile, E> {
                let wrong = || E::custom(format!("expected {EXPECTED}"));
                StatusFile::of(number).ok_or_else(wrong)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusFile, E> {
                let class = text.strip_suffix("xx").or(text.strip_suffix("XX"));
                let class = class.and_then(|digit| digit.parse().ok());
                match class.filter(|digit| (2..=5).contains(digit)) {
                    Some(digit) => Ok(StatusFile::Class(digit)),
                    None => self.visit_u64(text.parse().unwrap_or_default()),
                }
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Serialize for StatusFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(status) => to.serialize_u16(*status),
            Self::Class(digit) => to.serialize_str(&format!("{digit}xx")),
        }
    }
}

impl JsonSchema for StatusFile {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A status such as 503, or a class of them such as 5xx.",
            "anyOf": [
                {"type": "integer", "minimum": 200, "maximum": 599},
                {"type": "string", "pattern": "^[2-5]xx$"},
            ],
        })
    }
}
