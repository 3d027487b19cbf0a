//! The serde deserializer of a node.

use super::{
    access::{Entries, Items, Variant},
    decoder::Decoder,
    problem::{DecodeError, Problem},
};
use crate::yaml::{Plain, Value, list};
use serde::{
    Deserializer,
    de::{
        Error as _, Unexpected, Visitor,
        value::{SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

fn visit_integer<'de, V: Visitor<'de>>(integer: i128, visitor: V) -> Result<V::Value, DecodeError> {
    if let Ok(unsigned) = u64::try_from(integer) {
        visitor.visit_u64(unsigned)
    } else if let Ok(signed) = i64::try_from(integer) {
        visitor.visit_i64(signed)
    } else {
        visitor.visit_i128(integer)
    }
}

/// A map, or a struct with these fields.
fn map<'de, V: Visitor<'de>>(
    decoder: Decoder<'_>,
    fields: Option<&'static [&'static str]>,
    visitor: V,
) -> Result<V::Value, DecodeError> {
    let entries = match &decoder.node.value {
        Value::Map(entries) => entries.as_slice(),
        _ if decoder.node.is_null() => &[],
        _ => return Err(DecodeError::invalid_type(Unexpected::Other(""), &visitor)),
    };
    visitor.visit_map(Entries::new(decoder, entries, fields))
}

/// An integer may also be written with a decimal point, as in the Collector.
macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.whole() {
                Some(integer) => visit_integer(integer, visitor),
                None => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Seq(items) => visitor.visit_seq(Items::new(self, items)),
            Value::Map(entries) => visitor.visit_map(Entries::new(self, entries, None)),
            Value::Scalar(scalar) => match scalar.resolve() {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Int(value) => {
                    self.run.note_zeros(self.node, self.path);
                    visit_integer(value, visitor)
                }
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text(text) => visitor.visit_str(text),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.string() {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.node.text() {
            Some(text) if name == "Secret" => {
                visitor.visit_newtype_struct(StrDeserializer::new(text))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// A list, nothing, or, as in the Collector, the words `a,b`.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            return visitor.visit_seq(Items::new(self, &[]));
        }
        match (&self.node.value, self.string()) {
            (Value::Scalar(_), Some(words)) => {
                let words = words
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty());
                visitor
                    .visit_seq(SeqDeserializer::new(words))
                    .map_err(|error| match error {
                        DecodeError::Problem(Problem::Expected(item)) if item == "a map" => {
                            DecodeError::Problem(Problem::Expected("a list".to_owned()))
                        }
                        other => other,
                    })
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        map(self, None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        map(self, Some(fields), visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    /// A word, or a map with one entry.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match (&self.node.value, self.node.entries()) {
            (Value::Scalar(scalar), _) => {
                let word = scalar.text.trim();
                // As in the Collector, `Detailed` means `detailed`.
                let mut alike = variants.iter().filter(|one| one.eq_ignore_ascii_case(word));
                let known = variants.iter().find(|one| **one == word);
                let variant = known.or_else(|| alike.next()).copied();
                visitor.visit_enum(StrDeserializer::new(variant.unwrap_or(word)))
            }
            (_, [entry]) => visitor.visit_enum(Variant {
                parent: self,
                entry,
            }),
            (_, [_, ..]) => {
                let expected = format!("exactly one of {}", list(variants));
                Err(DecodeError::Problem(Problem::Expected(expected)))
            }
            _ => Err(DecodeError::Problem(Problem::Variant(variants))),
        }
    }

    forward_to_deserialize_any! {
        bool f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
