//! Parses JSON into one document: strictly first, and with repairs if the strict parser refuses it.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{
    budget::Budget,
    error::DocumentError,
    lossy_json::{self, Mended},
};

/// Parses JSON within `budget`. Returns also the number of repaired places. A document that is too
/// large is not repaired. Integers stay exact.
pub(crate) fn read(body: &[u8], budget: &mut Budget) -> Result<(Value, u64), DocumentError> {
    let body = lossy_json::without_mark(body);
    let before = budget.taken_bytes();
    let strict = match parse(body, budget) {
        Ok(value) => return Ok((value, 0)),
        Err(error @ DocumentError::TooLarge(_)) => return Err(error),
        Err(error) => error,
    };
    // The part that was parsed is dropped.
    budget.give_back(budget.taken_bytes() - before);
    let mended = lossy_json::repair(body, budget)?;
    let value = match mended {
        Mended { places: 0, .. } => return Err(strict),
        Mended { ref text, .. } => parse(text.as_bytes(), budget)?,
    };
    let places = mended.places;
    mended.give_back(budget);
    Ok((value, places))
}

/// Parses JSON strictly.
fn parse(text: &[u8], budget: &mut Budget) -> Result<Value, DocumentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = Seed(&mut *budget);
    let read = seed.deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| match budget.is_exceeded {
        true => budget.error().into(),
        false => DocumentError::Json(error),
    })
}

/// Parses one value.
struct Seed<'b>(&'b mut Budget);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.text(value.len()).map_err(E::custom)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(Seed(&mut *self.0))? {
            self.0.push(&mut items, item).map_err(A::Error::custom)?;
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = from.next_key_seed(Name(&mut *self.0))? {
            self.0.member(members.len()).map_err(A::Error::custom)?;
            let value = from.next_value_seed(Seed(&mut *self.0))?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// Parses the name of a member.
struct Name<'b>(&'b mut Budget);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<String, E> {
        self.0.text(name.len()).map_err(E::custom)?;
        Ok(name.to_owned())
    }
}
