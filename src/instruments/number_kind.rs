//! The number type that an instrument of the SDK uses.
//!
//! An SDK instrument has one number type forever, but a JSON API may return 0 now and 0.5 later. An
//! instrument starts with integers and widens if necessary. It never narrows again, so that its
//! type does not change back and forth.

use crate::{
    definition::{InstrumentKind, ValueType},
    pipeline::{Number, Schema},
};

/// A number type of the SDK, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NumberKind {
    /// `u64`.
    Unsigned,
    /// `i64`.
    Signed,
    /// `f64`.
    Double,
}

impl NumberKind {
    /// The first types of the instruments of a schema.
    pub(super) fn first_of(schema: &Schema) -> Vec<Self> {
        let instruments = schema.instruments().iter();
        instruments
            .map(|of| Self::first(of.kind, of.value_type))
            .collect()
    }

    /// The first type of an instrument.
    fn first(kind: InstrumentKind, value_type: ValueType) -> Self {
        match (kind, value_type) {
            (_, ValueType::Double) | (InstrumentKind::Histogram, _) => Self::Double,
            // The SDK has no unsigned up-down counter.
            (InstrumentKind::UpDownCounter | InstrumentKind::StateSet, _) => Self::Signed,
            (InstrumentKind::Counter | InstrumentKind::Gauge, _) => Self::Unsigned,
        }
    }

    /// The narrowest type that can hold `number`, but not narrower than this one.
    pub(super) fn widened(self, number: Number) -> Self {
        match (self, number) {
            (Self::Double, _) | (_, Number::Double(_)) => Self::Double,
            (Self::Unsigned, Number::Unsigned(_)) => Self::Unsigned,
            (Self::Unsigned | Self::Signed, Number::Negative(_)) => Self::Signed,
            (Self::Signed, Number::Unsigned(value)) if i64::try_from(value).is_ok() => Self::Signed,
            (Self::Signed, Number::Unsigned(_)) => Self::Double,
        }
    }
}

/// A number as an instrument of one type observes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FittedNumber {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
}

impl FittedNumber {
    /// The number as the type `repr`, or as a double if it does not fit.
    pub(super) fn new(number: Number, repr: NumberKind) -> Self {
        match (repr, number) {
            (NumberKind::Unsigned, Number::Unsigned(value)) => Self::Unsigned(value),
            (NumberKind::Signed, Number::Negative(value)) => Self::Signed(value),
            (NumberKind::Signed, Number::Unsigned(value)) if i64::try_from(value).is_ok() => {
                Self::Signed(value.cast_signed())
            }
            _ => Self::Double(number.as_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instrument_widens_and_never_narrows() {
        let gauge = NumberKind::first(InstrumentKind::Gauge, ValueType::Auto);
        assert_eq!(
            gauge.widened(Number::Unsigned(u64::MAX)),
            NumberKind::Unsigned
        );
        assert_eq!(gauge.widened(Number::Negative(-1)), NumberKind::Signed);
        assert_eq!(
            NumberKind::Signed.widened(Number::Unsigned(7)),
            NumberKind::Signed
        );
        assert_eq!(
            NumberKind::Signed.widened(Number::Unsigned(u64::MAX)),
            NumberKind::Double
        );
        assert_eq!(gauge.widened(Number::Double(0.5)), NumberKind::Double);
        assert_eq!(
            NumberKind::Double.widened(Number::Unsigned(7)),
            NumberKind::Double
        );
    }
}
