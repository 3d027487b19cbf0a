//! The compiled form of how a value is read as a number.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Number, Pattern, TimeUnit};

/// How a value becomes a number.
#[derive(Debug, Default)]
pub struct NumberFormat {
    /// Texts that mean "no value".
    pub missing: Vec<String>,
    /// The part of the text that is used.
    pub pattern: Option<Pattern>,
    /// Numbers for scalars, by their text. `*` stands for any other.
    pub values: BTreeMap<String, Number>,
    /// How the remaining values are read.
    pub parse: Parse,
    /// The factor by which the number is multiplied.
    pub scale: Option<f64>,
}

/// How a scalar is read.
#[derive(Debug)]
pub enum Parse {
    /// A plain number.
    Number(Separators),
    /// A percentage.
    Percent(Separators),
    /// A number of bytes with its unit.
    Bytes {
        /// How the number is written.
        separators: Separators,
        /// The value of `K`.
        base: u64,
    },
    /// A duration, in seconds.
    Duration(TimeUnit),
    /// A timestamp, in Unix seconds.
    Timestamp(TimestampFormat),
}

/// The separators of a number in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// The decimal separator.
    pub decimal: char,
    /// The separator between groups of three digits.
    pub thousands: Option<char>,
}

/// How a timestamp is written.
#[derive(Debug, Clone)]
pub struct TimestampFormat {
    /// The unit of a plain number.
    pub unit: TimeUnit,
    /// The formats of texts, in addition to RFC 3339.
    pub formats: Vec<String>,
    /// The time zone of local times.
    pub timezone: Option<TimeZone>,
}

impl Default for Parse {
    fn default() -> Self {
        Self::Number(Separators::default())
    }
}

impl Default for Separators {
    fn default() -> Self {
        Self {
            decimal: '.',
            thousands: None,
        }
    }
}

impl TimeUnit {
    /// How many of this unit make a second.
    pub fn per_second(self) -> u64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}
