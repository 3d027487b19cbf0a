//! The values of a parameter in a request for a token.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};

use crate::settings::Secret;

/// One value, or a list of them. A text is one value, with its commas: a resource or an audience may
/// have some. The Collector would split it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParameterValues(Vec<Secret>);

impl ParameterValues {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for ParameterValues {
    /// By the name of secrets, so that a number comes as it is written.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct("Secret", ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = ParameterValues;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, or a list of strings")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<ParameterValues, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E: de::Error>(self) -> Result<ParameterValues, E> {
        Ok(ParameterValues(Vec::new()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ParameterValues, E> {
        Ok(ParameterValues(vec![text.into()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ParameterValues, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(ParameterValues(values))
    }
}

impl JsonSchema for ParameterValues {
    fn schema_name() -> Cow<'static, str> {
        "ParameterValues".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({
            "description": "One value, which may have commas, or a list of them.",
            "anyOf": [secret, {"type": "array", "items": secret}]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::yaml::{self, Diagnostics};

    fn values(text: &str) -> Result<Vec<String>, String> {
        let mut diagnostics = Diagnostics::new();
        let node = yaml::parse("test", text, &mut diagnostics).ok_or("no YAML")?;
        let decoded: Option<BTreeMap<String, ParameterValues>> =
            yaml::decode_foreign(&node, "", &yaml::Foreign::NONE, &mut diagnostics);
        diagnostics.into_result().map_err(|e| e.to_string())?;
        let decoded = decoded.ok_or("nothing")?;
        let values = decoded.values().flat_map(ParameterValues::iter);
        Ok(values.map(|value| value.expose().to_owned()).collect())
    }

    #[test]
    fn a_text_is_one_value_with_its_commas() {
        for (text, expected) in [
            ("resource: https://a/?x=1,2", &["https://a/?x=1,2"][..]),
            ("resource: [a, 'b,c', 007]", &["a", "b,c", "007"]),
            ("resource: 0010", &["0010"]),
            ("resource:", &[]),
        ] {
            let expected = expected.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(values(text), Ok(expected), "{text}");
        }
        let wrong = values("resource: {a: b}").unwrap_err();
        assert!(wrong.contains("a string, or a list of strings"), "{wrong}");
    }
}
