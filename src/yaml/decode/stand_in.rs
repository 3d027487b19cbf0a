//! A value for a missing key, so that the decoding can find the next mistake.

use super::problem::{DecodeError, Problem};
use serde::{
    Deserializer,
    de::{
        Visitor,
        value::{MapDeserializer, SeqDeserializer, StrDeserializer},
    },
};
use std::iter::empty;

/// Deserializes any type from nothing. The result is never returned to a caller.
pub(super) struct StandIn;

macro_rules! give {
    ($($method:ident => $visitor:ident $give:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, DecodeError> { $give })*
    };
}

impl<'de> Deserializer<'de> for StandIn {
    type Error = DecodeError;

    give! {
        deserialize_any => visitor visitor.visit_str("");
        deserialize_str => visitor visitor.visit_str("");
        deserialize_string => visitor visitor.visit_str("");
        deserialize_identifier => visitor visitor.visit_str("");
        deserialize_char => visitor visitor.visit_char('-');
        deserialize_bool => visitor visitor.visit_bool(false);
        deserialize_u8 => visitor visitor.visit_u64(1);
        deserialize_u16 => visitor visitor.visit_u64(1);
        deserialize_u32 => visitor visitor.visit_u64(1);
        deserialize_u64 => visitor visitor.visit_u64(1);
        deserialize_i8 => visitor visitor.visit_u64(1);
        deserialize_i16 => visitor visitor.visit_u64(1);
        deserialize_i32 => visitor visitor.visit_u64(1);
        deserialize_i64 => visitor visitor.visit_u64(1);
        deserialize_f32 => visitor visitor.visit_u64(1);
        deserialize_f64 => visitor visitor.visit_u64(1);
        deserialize_bytes => visitor visitor.visit_bytes(&[]);
        deserialize_byte_buf => visitor visitor.visit_bytes(&[]);
        deserialize_option => visitor visitor.visit_none();
        deserialize_unit => visitor visitor.visit_unit();
        deserialize_ignored_any => visitor visitor.visit_unit();
        deserialize_seq => visitor visitor.visit_seq(SeqDeserializer::new(empty::<&str>()));
        deserialize_map => visitor visitor.visit_map(MapDeserializer::new(empty::<(&str, &str)>()));
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let first = variants
            .first()
            .ok_or(DecodeError::Problem(Problem::Consequence))?;
        visitor.visit_enum(StrDeserializer::new(first))
    }
}
