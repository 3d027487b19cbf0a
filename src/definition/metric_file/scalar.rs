//! Scalars whose type is not fixed.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::definition::Number;

/// A number. Integers stay exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberFile(pub Number);

/// A scalar, represented by its text: `N/A`, `-1`, `true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ScalarFile(pub String);

/// A JSONPath or a number.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueFile {
    /// A path such as `$.a`.
    Path(String),
    /// A number that every series has.
    Constant(Number),
}

impl Serialize for NumberFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::Unsigned(value) => to.serialize_u64(value),
            Number::Negative(value) => to.serialize_i64(value),
            Number::Double(value) => to.serialize_f64(value),
        }
    }
}

impl Serialize for ValueFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Path(path) => to.serialize_str(path),
            Self::Constant(number) => NumberFile(*number).serialize(to),
        }
    }
}

/// A scalar of any type.
enum AnyScalar {
    Number(Number),
    Bool(bool),
    Text(String),
}

/// A visitor that names the expected type in its errors.
struct ScalarVisitor(&'static str);

impl de::Visitor<'_> for ScalarVisitor {
    type Value = AnyScalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Number(Number::Unsigned(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Number(match u64::try_from(value) {
            Ok(value) => Number::Unsigned(value),
            Err(_) => Number::Negative(value),
        }))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the number is larger than any integer type"
    )]
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Number(Number::Double(value as f64)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Number(Number::Double(value).integral()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Bool(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<AnyScalar, E> {
        Ok(AnyScalar::Text(value.to_owned()))
    }
}

impl<'de> Deserialize<'de> for NumberFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(ScalarVisitor("a number"))? {
            AnyScalar::Number(number) => Ok(Self(number)),
            AnyScalar::Bool(_) | AnyScalar::Text(_) => Err(de::Error::custom("expected a number")),
        }
    }
}

impl<'de> Deserialize<'de> for ScalarFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = from.deserialize_any(ScalarVisitor("a text or a number"))?;
        Ok(Self(match scalar {
            AnyScalar::Text(text) => text,
            AnyScalar::Bool(value) => value.to_string(),
            AnyScalar::Number(Number::Unsigned(value)) => value.to_string(),
            AnyScalar::Number(Number::Negative(value)) => value.to_string(),
            AnyScalar::Number(Number::Double(value)) => value.to_string(),
        }))
    }
}

impl<'de> Deserialize<'de> for ValueFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a JSONPath such as $.a, or a number";
        match from.deserialize_any(ScalarVisitor(EXPECTED))? {
            AnyScalar::Text(path) => Ok(Self::Path(path)),
            AnyScalar::Number(number) => Ok(Self::Constant(number)),
            AnyScalar::Bool(_) => Err(de::Error::custom(format_args!("expected {EXPECTED}"))),
        }
    }
}

impl JsonSchema for NumberFile {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}

impl JsonSchema for ScalarFile {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for ValueFile {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A JSONPath such as `$.a`, or a number that every series has.",
            "type": ["string", "number"],
        })
    }
}
