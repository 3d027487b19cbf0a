//! What the mapping found in the bodies of a poll.

use opentelemetry::KeyValue;

/// A number as the source gave it: integers stay exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Not negative.
    Unsigned(u64),
    /// Negative.
    Negative(i64),
    /// With a fraction, or too large for an integer.
    Double(f64),
}

impl Number {
    /// The nearest floating-point number.
    #[expect(clippy::cast_precision_loss, reason = "the caller asks for a double")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(value) => value as f64,
            Self::Negative(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// The value of one series at one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Index of the instrument in the [`Schema`](super::Schema).
    pub instrument: usize,
    /// Sorted by key; no key twice.
    pub attributes: Vec<KeyValue>,
    /// What was read.
    pub value: Number,
}

/// A value that the collector says of a target itself.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnReading {
    /// Name of the metric, one of [`TARGET`](crate::telemetry::names::TARGET).
    pub metric: &'static str,
    /// Sorted by key; no key twice.
    pub attributes: Vec<KeyValue>,
    /// What it says.
    pub value: Number,
}

/// All that a poll's bodies gave.
#[derive(Debug, Default)]
pub struct Readings {
    /// The values, grouped by instrument in no particular order.
    pub values: Vec<Reading>,
    /// What could not be read; costs only its own series.
    pub problems: Vec<Problem>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Index of the instrument in the definition.
    pub instrument: usize,
    /// Why.
    pub reason: ProblemReason,
    /// How many values are concerned.
    pub count: u64,
    /// The path and what was found there, for `check` and the debug log.
    pub detail: String,
}

/// Why a value could not be read, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemReason {
    /// The path matches nothing, or `null`; or there is no element at all.
    Missing,
    /// The path matches several values where one is wanted.
    Several,
    /// The value is of another type than the rule expects.
    Type,
    /// The value does not fit: a negative counter, a fraction in an integer instrument, an
    /// unknown state.
    Range,
    /// Over the metric's `max_series`.
    MaxSeries,
    /// Two elements gave the same attributes; the first one counts.
    Duplicate,
    /// Finding it takes more steps than a path may.
    Steps,
}

impl ProblemReason {
    /// The value of the `reason` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Type => "type",
            Self::Range => "range",
            Self::MaxSeries => "max_series",
            Self::Duplicate => "duplicate",
            Self::Steps => "steps",
        }
    }

    /// All reasons, so that every counter starts at zero.
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Several,
        Self::Type,
        Self::Range,
        Self::MaxSeries,
        Self::Duplicate,
        Self::Steps,
    ];
}
