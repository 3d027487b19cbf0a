//! A list of target groups in JSON. One entry is held at a time.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{GROUPS_MAX, Group, Key, List, ParseError, Parsed, TARGETS_MAX};
use crate::discovery::Labels;

/// Reads JSON.
pub(in crate::discovery) fn parse_json(text: &[u8]) -> Result<Parsed, ParseError> {
    let mut list = List::default();
    let mut from = serde_json::Deserializer::from_slice(text);
    let read = from.deserialize_seq(Entries(&mut list));
    if let Some(error) = list.over.take() {
        return Err(error);
    }
    read.and_then(|()| from.end())?;
    Ok(list.parsed)
}

/// The entries of a JSON list, of which one is held at a time.
struct Entries<'l>(&'l mut List);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of target groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let list = self.0;
        while let Some(entry) = entries.next_element::<&RawValue>()? {
            if list.entries >= GROUPS_MAX {
                list.over = Some(ParseError::TooMany);
                return Err(A::Error::custom("too many"));
            }
            let mut from = serde_json::Deserializer::from_str(entry.get());
            let group = from.deserialize_any(JsonGroup(&list.targets));
            list.add(group.map_err(|error: serde_json::Error| error.to_string()));
            if list.targets.get() > TARGETS_MAX {
                list.over = Some(ParseError::TooManyTargets);
                return Err(A::Error::custom("too many"));
            }
        }
        Ok(())
    }
}

/// One entry of JSON; counts its targets. As in Go, a key may be written in any case, and `null`
/// is an empty list or map.
struct JsonGroup<'c>(&'c Cell<usize>);

impl<'de> Visitor<'de> for JsonGroup<'_> {
    type Value = Group;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a target group")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Group, A::Error> {
        let (mut addresses, mut labels) = (None, None::<Option<Labels>>);
        while let Some(key) = map.next_key::<String>()? {
            match Key::of(&key) {
                Ok(Key::Targets) if addresses.is_none() => {
                    addresses = Some(map.next_value_seed(Addresses(self.0))?);
                }
                Ok(Key::Labels) if labels.is_none() => labels = Some(map.next_value()?),
                Ok(Key::Targets) => return Err(A::Error::duplicate_field("targets")),
                Ok(Key::Labels) => return Err(A::Error::duplicate_field("labels")),
                Err(unknown) => return Err(A::Error::custom(unknown)),
            }
        }
        let labels = labels.flatten().unwrap_or_default();
        Ok(Group::new(addresses.unwrap_or_default(), labels))
    }
}

/// The addresses of an entry, or `null`.
struct Addresses<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Addresses<'_> {
    type Value = Vec<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Addresses<'_> {
    type Value = Vec<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut addresses = Vec::new();
        while let Some(address) = items.next_element()? {
            self.0.set(self.0.get() + 1);
            if self.0.get() > TARGETS_MAX {
                return Err(A::Error::custom("too many targets"));
            }
            addresses.push(address);
        }
        Ok(addresses)
    }
}
