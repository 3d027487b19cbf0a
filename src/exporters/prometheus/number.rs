//! The number of a point, as the bits that a row keeps.

use std::time::SystemTime;

use crate::runtime::clock;

/// A number of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) kind: NumberKind,
    pub(super) bits: u64,
}

/// What the bits of a number mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum NumberKind {
    Unsigned,
    Signed,
    Float,
    /// Milliseconds since 1970.
    Time,
}

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(pub(super) u64);

impl From<u64> for Number {
    fn from(bits: u64) -> Self {
        Self {
            kind: NumberKind::Unsigned,
            bits,
        }
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self {
            kind: NumberKind::Signed,
            bits: number.cast_unsigned(),
        }
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self {
            kind: NumberKind::Float,
            bits: number.to_bits(),
        }
    }
}

impl From<Timestamp> for Number {
    fn from(Timestamp(bits): Timestamp) -> Self {
        Self {
            kind: NumberKind::Time,
            bits,
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = clock::since_epoch(time).as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
