//! Where an attribute's value comes from.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

/// An attribute: `$.id`, `@key`, `station:$.name`, `fixed`, or an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AttributeFile {
    /// Where its value stands, or the value itself.
    pub path: String,
    /// That it finds nothing is expected and no problem: the attribute is left out.
    pub optional: bool,
    /// Texts for what is found.
    pub values: BTreeMap<String, String>,
    /// A regular expression whose first group is the value.
    pub pattern: Option<String>,
    /// Whether `path` is the value itself, whatever it looks like.
    pub is_text: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AttributeMap {
    /// Where its value stands: `$.site`, `@key`, `station:$.name`.
    path: Option<String>,
    /// Instead of `path`: the value itself, whatever it looks like.
    text: Option<String>,
    /// That it finds nothing is expected and no problem: the attribute is left out.
    #[serde(default)]
    optional: bool,
    /// Texts for what is found: `{"0": L1, "1": L2, "*": other}`; `*` is any other. One without
    /// an entry is a problem.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// A regular expression whose first group is the value: `'^https?://([^/:]+)'`.
    pattern: Option<String>,
}

struct AttributeVisitor;

impl<'de> de::Visitor<'de> for AttributeVisitor {
    type Value = AttributeFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as $.a, or a map such as {path: $.a, optional: true}")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<AttributeFile, E> {
        Ok(AttributeFile {
            path: path.to_owned(),
            ..AttributeFile::default()
        })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AttributeFile, A::Error> {
        let map = AttributeMap::deserialize(MapAccessDeserializer::new(map))?;
        let (path, is_text) = match (map.path, map.text) {
            (Some(path), None) => (path, false),
            (None, Some(text)) => (text, true),
            _ => {
                return Err(de::Error::custom(
                    "an attribute has either a `path` or a `text`",
                ));
            }
        };
        Ok(AttributeFile {
            path,
            is_text,
            optional: map.optional,
            values: map.values,
            pattern: map.pattern,
        })
    }
}

impl<'de> Deserialize<'de> for AttributeFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(AttributeVisitor)
    }
}

impl JsonSchema for AttributeFile {
    fn schema_name() -> Cow<'static, str> {
        "Attribute".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<AttributeMap>();
        schemars::json_schema!({
            "description": "`$.site`, `@key`, `station:$.name`, a text as it is, or an object: \
                `{path: $.site, optional: true}`.",
            "anyOf": [{ "type": "string" }, map],
        })
    }
}
