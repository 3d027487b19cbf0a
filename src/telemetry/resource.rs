//! Attributes of the collector's own Resource, in one of the Collector's two forms.

use std::{collections::BTreeMap, fmt};

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess},
};

/// The key of the list in the newer form. In the older form no attribute can have this name.
const LIST: &str = "attributes";

/// Attributes by their keys. A key without a value removes an attribute that the collector sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ResourceConfig(BTreeMap<String, Option<String>>);

/// An attribute in the newer form.
#[derive(Deserialize)]
struct Attribute {
    name: String,
    #[serde(default)]
    value: Option<String>,
}

impl ResourceConfig {
    /// The Resource: the collector's own attributes, and these attributes, which win.
    pub(super) fn resource(&self) -> Resource {
        let own = [
            ("service.name", "betanet-collector"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let own = own
            .into_iter()
            .filter(|(key, _)| !self.0.contains_key(*key));
        let own = own.map(|(key, value)| KeyValue::new(key, value));
        let given = self.0.iter();
        let given =
            given.filter_map(|(key, value)| Some(KeyValue::new(key.clone(), value.clone()?)));
        Resource::builder_empty()
            .with_attributes(own.chain(given))
            .build()
    }
}

impl<'de> Deserialize<'de> for ResourceConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ResourceConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes, or `attributes` with a list of {name, value}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ResourceConfig, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == LIST {
                        let list = map.next_value::<Vec<Attribute>>()?.into_iter();
                        attributes.extend(list.map(|of| (of.name, of.value)));
                    } else {
                        attributes.insert(key, map.next_value()?);
                    }
                }
                Ok(ResourceConfig(attributes))
            }
        }
        from.deserialize_map(Visitor)
    }
}

impl JsonSchema for ResourceConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ResourceConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Attributes by their keys. A key without a value (`null`) removes an attribute that the collector sets. Or `attributes` with a list of `{name, value}`.",
            "type": "object",
            "properties": {
                "attributes": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "value": {"type": ["string", "null"]}
                        },
                        "required": ["name"],
                        "additionalProperties": false
                    }
                }
            },
            "additionalProperties": {"type": ["string", "null"]}
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Diagnostics};

    fn resource(text: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        let node = yaml::parse("f", text, &mut diagnostics).unwrap();
        let config: ResourceConfig = yaml::decode(&node, "", &mut diagnostics).unwrap();
        let resource = config.resource();
        let mut attributes: Vec<_> = resource.iter().map(|(k, v)| format!("{k}={v}")).collect();
        attributes.sort();
        attributes
    }

    #[test]
    fn an_attribute_without_a_value_is_dropped() {
        let version = concat!("service.version=", env!("CARGO_PKG_VERSION"));
        assert_eq!(resource("{}"), ["service.name=betanet-collector", version]);
        assert_eq!(
            resource("{service.version: null, service.name: x, zone: eu, none: }"),
            ["service.name=x", "zone=eu"]
        );
        assert_eq!(
            resource("attributes: [{name: service.name, value: x}, {name: service.version}]"),
            ["service.name=x"]
        );
    }
}
