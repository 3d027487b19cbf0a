//! Writes protobuf, field by field, in the order of the field numbers.
//!
//! prost encodes a tree of texts that belong to it. To make that tree costs ten times as much as to
//! write the bytes. So what is in every poll is written here; prost encodes all else.

use opentelemetry::{Key, Value};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};

/// The wire types, in the lowest three bits of a field's tag.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;

/// Protobuf that is being written. Field numbers are below 16.
#[derive(Debug, Default)]
pub(super) struct Protobuf(Vec<u8>);

/// A message that is being written: where its length will be.
#[derive(Debug, Clone, Copy)]
#[must_use = "it has no length yet"]
pub(super) struct Open(usize);

impl Protobuf {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Begins a field that is a message.
    pub(super) fn open(&mut self, field: u8) -> Open {
        self.tag(field, LENGTH);
        let open = Open(self.0.len());
        // The length of most messages has one byte.
        self.0.push(0);
        open
    }

    /// Ends the message.
    pub(super) fn close(&mut self, Open(at): Open) {
        let body = at + 1;
        let length = self.0.len().saturating_sub(body);
        let more = encoded_len_varint(length as u64).saturating_sub(1);
        if more > 0 {
            self.0.resize(self.0.len() + more, 0);
            self.0.copy_within(body..body + length, body + more);
        }
        if let Some(mut place) = self.0.get_mut(at..=at + more) {
            encode_varint(length as u64, &mut place);
        }
    }

    /// Takes the message back.
    pub(super) fn discard(&mut self, Open(at): Open) {
        self.0.truncate(at.saturating_sub(1));
    }

    /// A text. An empty one is the same as none.
    pub(super) fn text(&mut self, field: u8, text: &str) {
        if !text.is_empty() {
            self.tag(field, LENGTH);
            encode_varint(text.len() as u64, &mut self.0);
            self.raw(text.as_bytes());
        }
    }

    /// A number of 64 bits.
    pub(super) fn fixed(&mut self, field: u8, bits: u64) {
        self.tag(field, FIXED64);
        self.raw(&bits.to_le_bytes());
    }

    /// A small number.
    pub(super) fn small(&mut self, field: u8, number: u8) {
        self.tag(field, VARINT);
        encode_varint(number.into(), &mut self.0);
    }

    /// A message that prost encodes.
    pub(super) fn message(&mut self, field: u8, message: &impl Message) {
        self.tag(field, LENGTH);
        // Only a buffer of a fixed size can be too small.
        message
            .encode_length_delimited(&mut self.0)
            .unwrap_or_default();
    }

    /// A `KeyValue`.
    pub(super) fn attribute(&mut self, field: u8, key: &Key, value: &Value) {
        let attribute = self.open(field);
        self.text(1, key.as_str());
        match value {
            Value::String(text) => {
                let any = self.open(2);
                // An empty text is a text here.
                self.tag(1, LENGTH);
                encode_varint(text.as_str().len() as u64, &mut self.0);
                self.raw(text.as_str().as_bytes());
                self.close(any);
            }
            other => self.message(2, &AnyValue::from(other.clone())),
        }
        self.close(attribute);
    }

    /// Fields that are encoded already.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u8, wire_type: u8) {
        self.0.push(field << 3 | wire_type);
    }
}
