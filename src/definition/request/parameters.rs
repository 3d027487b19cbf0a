//! What requests may refer to as `${param:NAME}`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::settings::REDACTED;

/// Values of parameters, by name: texts, numbers and booleans. They may be secret and are never
/// shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub(super) BTreeMap<String, Value>);

impl Parameters {
    /// These.
    #[cfg(test)]
    pub(super) fn of<const N: usize>(values: [(&str, Value); N]) -> Self {
        let named = values.map(|(name, value)| (name.to_owned(), value));
        Self(named.into())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the parameter has a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// The names of those that are neither a text, nor a number, a boolean or nothing.
    pub fn wrong(&self) -> impl Iterator<Item = &str> {
        let wrong = self
            .0
            .iter()
            .filter(|(_, value)| value.is_array() || value.is_object());
        wrong.map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.keys().map(|name| (name, REDACTED)))
    }
}

impl JsonSchema for Parameters {
    fn schema_name() -> Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Texts, numbers and booleans, by name.",
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        })
    }
}
