//! Access to the contents of lists, maps and enums.

use super::{
    decoder::Decoder,
    path::Path,
    problem::{DecodeError, Problem},
    stand_in::StandIn,
};
use crate::yaml::{MapEntry, Node};
use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor, value::StrDeserializer,
    },
};
use std::slice;

/// The items of a list, without rejected ones.
pub(super) struct Items<'n> {
    parent: Decoder<'n>,
    items: std::iter::Enumerate<slice::Iter<'n, Node>>,
}

impl<'n> Items<'n> {
    pub(super) fn new(parent: Decoder<'n>, items: &'n [Node]) -> Self {
        Self {
            parent,
            items: items.iter().enumerate(),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Decoder { path, run, .. } = self.parent;
        let Some((index, node)) = self.items.find(|(_, item)| !run.rejected(item)) else {
            return Ok(None);
        };
        Decoder::new(node, &Path::Index(path, index), run)
            .decode(seed)
            .map(Some)
    }
}

/// The entries of a map, or of a struct with these fields.
pub(super) struct Entries<'n> {
    parent: Decoder<'n>,
    entries: slice::Iter<'n, MapEntry>,
    /// The keys of a struct. `None` for a map.
    fields: Option<&'static [&'static str]>,
    /// Missing keys of a struct.
    stand_ins: Vec<&'static str>,
    current: Option<&'n MapEntry>,
}

impl<'n> Entries<'n> {
    pub(super) fn new(
        parent: Decoder<'n>,
        entries: &'n [MapEntry],
        fields: Option<&'static [&'static str]>,
    ) -> Self {
        let stand_ins = parent.run.stand_ins(parent.node);
        Self {
            parent,
            entries: entries.iter(),
            fields,
            stand_ins,
            current: None,
        }
    }

    fn next(&mut self) -> Option<&'n MapEntry> {
        let Decoder { node, path, run } = self.parent;
        let fields = self.fields;
        self.entries.find(|entry| match fields {
            Some(fields) if !fields.contains(&entry.key.as_str()) => {
                run.unknown_key(node, path, entry, fields);
                false
            }
            _ => !run.rejected(&entry.value),
        })
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Decoder { path, run, .. } = self.parent;
        let Some(entry) = self.next() else {
            self.current = None;
            let stand_in = self.stand_ins.last();
            return stand_in
                .map(|key| seed.deserialize((*key).into_deserializer()))
                .transpose();
        };
        self.current = Some(entry);
        let key: StrDeserializer<'_, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| {
            run.blame(
                error,
                &entry.value,
                &path.child(&entry.key),
                &entry.key_place,
            )
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let Decoder { path, run, .. } = self.parent;
        let Some(MapEntry {
            key,
            key_place,
            value: node,
        }) = self.current
        else {
            self.stand_ins.pop();
            return seed
                .deserialize(StandIn)
                .map_err(|_| DecodeError::Problem(Problem::Consequence));
        };
        // A key without a value may itself be the secret value: `headers: { TOKEN }`.
        let is_absent = node.is_null() && node.place == *key_place;
        let path = path.child(match is_absent && path.is_secret() {
            true => "…",
            false => key,
        });
        let decoder = Decoder::new(node, &path, run);
        if self.fields.is_some() && node.is_null() {
            return seed.deserialize(decoder).map_err(|_| run.absent(node));
        }
        decoder.decode(seed)
    }
}

/// An enum written as a map: its variant is the key.
pub(super) struct Variant<'n> {
    pub(super) parent: Decoder<'n>,
    pub(super) entry: &'n MapEntry,
}

impl<'n> Variant<'n> {
    /// Decodes the content of the variant.
    fn body<T>(
        self,
        decode: impl FnOnce(Decoder<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let Self {
            parent: Decoder { path, run, .. },
            entry,
        } = self;
        if run.rejected(&entry.value) {
            return Err(DecodeError::Problem(Problem::Consequence));
        }
        let path = path.child(&entry.key);
        let body = Decoder::new(&entry.value, &path, run);
        decode(body).map_err(|error| body.blame(error, &entry.value.place))
    }
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DecodeError> {
        let key: StrDeserializer<'_, DecodeError> = self.entry.key.as_str().into_deserializer();
        match seed.deserialize(key) {
            Ok(variant) => Ok((variant, self)),
            Err(DecodeError::Problem(Problem::Variant(known))) => {
                let Decoder { node, path, run } = self.parent;
                run.unknown_key(node, path, self.entry, known);
                Err(DecodeError::Problem(Problem::Consequence))
            }
            Err(error) => Err(error),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        self.body(|body| {
            let nothing = || DecodeError::Problem(Problem::Expected("nothing".to_owned()));
            body.node.is_null().then_some(()).ok_or_else(nothing)
        })
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        self.body(|body| seed.deserialize(body))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.body(|body| body.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.body(|body| body.deserialize_struct("", fields, visitor))
    }
}
