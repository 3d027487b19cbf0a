//! Texts in a file that may be written as numbers: `limit: 200`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A text, a number or a boolean, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Word(pub String);

/// One of them, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<Word>);

/// Reads a scalar as it is written, or a list of them.
struct WordsVisitor {
    is_list_allowed: bool,
}

impl<'de> de::Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_list_allowed {
            true => "a text, a number or a boolean, or a list of them",
            false => "a text, a number or a boolean",
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Words, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words(vec![Word(text.to_owned())]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
        if !self.is_list_allowed {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        Ok(Words(words))
    }
}

/// The name under which the decoder gives scalars as they are written.
const AS_WRITTEN: &str = "Secret";

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let visitor = WordsVisitor {
            is_list_allowed: false,
        };
        let words = from.deserialize_newtype_struct(AS_WRITTEN, visitor)?;
        words
            .0
            .into_iter()
            .next()
            .ok_or_else(|| de::Error::custom("expected a text"))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let visitor = WordsVisitor {
            is_list_allowed: true,
        };
        from.deserialize_newtype_struct(AS_WRITTEN, visitor)
    }
}

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Word>();
        json_schema!({"anyOf": [word, {"type": "array", "items": word}]})
    }
}
