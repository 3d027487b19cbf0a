//! The value of an attribute.

use std::fmt;

use opentelemetry::{Array, StringValue, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text, a boolean, an integer, a number, or a list of one of these types. YAML decides the type.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar(Value);

impl Scalar {
    /// The value as an attribute value of OpenTelemetry.
    pub fn get(&self) -> &Value {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false, or a list of one of them")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                let value = i64::try_from(value);
                value
                    .map(|value| Scalar(value.into()))
                    .map_err(|_| E::custom("expected an integer below 2^63"))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned().into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                let mut values = Vec::new();
                while let Some(Scalar(value)) = list.next_element()? {
                    values.push(value);
                }
                let list = array(&values);
                let mixed = || de::Error::custom("expected a list of values of one type");
                list.map(|list| Scalar(Value::Array(list)))
                    .ok_or_else(mixed)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// Makes a list of values of one type. `None` if the types differ.
fn array(values: &[Value]) -> Option<Array> {
    /// The results of `take`, if there is one for every value.
    fn all<'v, T>(values: &'v [Value], take: impl Fn(&'v Value) -> Option<T>) -> Option<Vec<T>> {
        values.iter().map(take).collect()
    }
    let texts = all(values, |value| match value {
        Value::String(text) => Some(text.clone()),
        _ => None,
    });
    let truths = all(values, |value| match value {
        Value::Bool(truth) => Some(*truth),
        _ => None,
    });
    let integers = all(values, |value| match value {
        Value::I64(integer) => Some(*integer),
        _ => None,
    });
    let numbers = all(values, |value| match value {
        Value::F64(number) => Some(*number),
        _ => None,
    });
    texts
        .map(Array::String)
        .or_else(|| truths.map(Array::Bool))
        .or_else(|| integers.map(Array::I64))
        .or_else(|| numbers.map(Array::F64))
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Bool(value) => to.serialize_bool(*value),
            Value::I64(value) => to.serialize_i64(*value),
            Value::F64(value) => to.serialize_f64(*value),
            Value::Array(Array::Bool(list)) => list.serialize(to),
            Value::Array(Array::I64(list)) => list.serialize(to),
            Value::Array(Array::F64(list)) => list.serialize(to),
            Value::Array(Array::String(list)) => {
                to.collect_seq(list.iter().map(StringValue::as_str))
            }
            other => to.serialize_str(&other.as_str()),
        }
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "array"] })
    }
}
