//! The source of an attribute's value, as written in a file.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

/// An attribute: `$.id`, `@key`, `station:$.name`, `fixed`, or an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AttributeFile {
    /// The path of the value, or the value itself.
    pub path: String,
    /// Whether a missing value is expected. The attribute is then left out, and no problem is
    /// counted.
    pub optional: bool,
    /// Replacements for what was found.
    pub values: BTreeMap<String, String>,
    /// A regular expression whose first group is the value.
    pub pattern: Option<String>,
    /// Whether `path` is the value itself, whatever it looks like.
    pub is_text: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AttributeMap {
    /// The path of the value: `$.site`, `@key`, `station:$.name`.
    path: Option<String>,
    /// The value itself, whatever it looks like. Use it instead of `path`.
    text: Option<String>,
    /// Whether a missing value is expected. The attribute is then left out, and no problem is
    /// counted.
    #[serde(default)]
    optional: bool,
    /// Replacements for what was found: `{"0": L1, "1": L2, "*": other}`. `*` stands for any other
    /// text. A text without an entry is a problem.
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
