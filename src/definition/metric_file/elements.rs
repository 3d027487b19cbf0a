//! The levels of `for_each`, whose elements give one series each.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

/// The levels, from the outermost: one path, one object, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ElementsFile(pub Vec<LevelFile>);

/// One level of elements: `$.nodes`, or `{path: $.nodes, as: node}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelFile {
    /// The path, relative to the element of the level before.
    pub path: String,
    /// Whether it is expected that the path finds nothing. No problem is counted then.
    pub optional: bool,
    /// A regular expression that the names of members must match.
    pub keys: Option<String>,
    /// The name by which attributes refer to the level.
    #[serde(rename = "as")]
    pub name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LevelMap {
    /// The JSONPath of the elements, relative to the element of the level before.
    path: String,
    /// Whether it is expected that the path finds nothing. No problem is counted then.
    #[serde(default)]
    optional: bool,
    /// A regular expression that the names of members must match. Other members are ignored. Named
    /// groups of the expression are available as `@key.NAME`.
    keys: Option<String>,
    /// The name by which attributes refer to the level: with `as: station`, an attribute can be
    /// `station:$.name`.
    #[serde(rename = "as")]
    name: Option<String>,
}

impl From<LevelMap> for LevelFile {
    fn from(map: LevelMap) -> Self {
        let LevelMap {
            path,
            optional,
            keys,
            name,
        } = map;
        Self {
            path,
            optional,
            keys,
            name,
        }
    }
}

impl LevelFile {
    fn path(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            optional: false,
            keys: None,
            name: None,
        }
    }
}

struct LevelVisitor;

impl<'de> de::Visitor<'de> for LevelVisitor {
    type Value = LevelFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as $.a, or a map such as {path: $.a, as: a}")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<LevelFile, E> {
        Ok(LevelFile::path(path))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<LevelFile, A::Error> {
        LevelMap::deserialize(MapAccessDeserializer::new(map)).map(LevelFile::from)
    }
}

impl<'de> Deserialize<'de> for LevelFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(LevelVisitor)
    }
}

struct ElementsVisitor;

impl<'de> de::Visitor<'de> for ElementsVisitor {
    type Value = ElementsFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as $.a, a map such as {path: $.a, as: a}, or a list of them")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<ElementsFile, E> {
        Ok(ElementsFile(vec![LevelFile::path(path)]))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ElementsFile, A::Error> {
        LevelVisitor
            .visit_map(map)
            .map(|level| ElementsFile(vec![level]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut from: A) -> Result<ElementsFile, A::Error> {
        let mut levels = Vec::new();
        while let Some(level) = from.next_element()? {
            levels.push(level);
        }
        Ok(ElementsFile(levels))
    }
}

impl<'de> Deserialize<'de> for ElementsFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(ElementsVisitor)
    }
}

impl JsonSchema for LevelFile {
    fn schema_name() -> Cow<'static, str> {
        "Level".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<LevelMap>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, map] })
    }
}

impl JsonSchema for ElementsFile {
    fn schema_name() -> Cow<'static, str> {
        "Elements".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let level = generator.subschema_for::<LevelFile>();
        schemars::json_schema!({
            "description": "`$.nodes`, `{path: $.meters, keys: '^http\\.(?P<region>.+)$'}`, or a \
                list of levels, from the outermost.",
            "anyOf": [level, { "type": "array", "items": level, "minItems": 1 }],
        })
    }
}
