//! A node that is decoded: where it stands, and the run to which it reports.

use super::{path::Path, problem::DecodeError, run::Run};
use crate::yaml::{Node, Place, Plain, Value};
use serde::de::DeserializeSeed;

/// Decodes one node.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'n> {
    pub(super) node: &'n Node,
    pub(super) path: &'n Path<'n>,
    pub(super) run: &'n Run,
}

impl<'n> Decoder<'n> {
    pub(super) fn new(node: &'n Node, path: &'n Path<'n>, run: &'n Run) -> Self {
        Self { node, path, run }
    }

    /// Decodes the node, and reports what is wrong with it.
    pub(super) fn decode<'de, S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        seed.deserialize(self)
            .map_err(|error| self.blame(error, &self.node.place))
    }

    pub(super) fn blame(self, error: DecodeError, place: &Place) -> DecodeError {
        self.run.blame(error, self.node, self.path, place)
    }

    /// The text of a scalar that may be taken literally, whatever it looks like.
    pub(super) fn string(self) -> Option<&'n str> {
        match (&self.node.expansion, &self.node.value) {
            (Some(expansion), _) => Some(&expansion.text),
            (None, Value::Scalar(scalar)) => match scalar.resolve() {
                Plain::Text(text) => Some(text),
                _ => None,
            },
            (None, _) => None,
        }
    }

    /// The integer value of a number with a decimal point, such as 5.0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and below 2^53"
    )]
    pub(super) fn whole(self) -> Option<i128> {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        match &self.node.value {
            Value::Scalar(scalar) => match scalar.resolve() {
                Plain::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                    Some(number as i128)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
