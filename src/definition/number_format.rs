//! How a value is read as a number, compiled.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Number, Pattern, TimeUnit};

/// How a found value becomes a number.
#[derive(Debug, Default)]
pub struct NumberFormat {
    /// Texts that mean that there is no value.
    pub missing: Vec<String>,
    /// What of the text is taken.
    pub pattern: Option<Pattern>,
    /// Numbers for scalars, by their text; `*` is any other.
    pub values: BTreeMap<String, Number>,
    /// How the rest is read.
    pub parse: Parse,
    /// What the number is multiplied with.
    pub scale: Option<f64>,
}

/// How a scalar is read.
#[derive(Debug)]
pub enum Parse {
    /// A number.
    Number(Separators),
    /// A share of a hundred.
    Percent(Separators),
    /// A number of bytes with its unit.
    Bytes {
        /// How its number is written.
        separators: Separators,
        /// What `K` is.
        base: u64,
    },
    /// A length of time, in seconds.
    Duration(TimeUnit),
    /// A moment, in Unix seconds.
    Timestamp(TimestampFormat),
}

/// How a number is written in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// What stands before the fraction.
    pub decimal: char,
    /// What stands between groups of three digits.
    pub thousands: Option<char>,
}

/// How a moment is written.
#[derive(Debug, Clone)]
pub struct TimestampFormat {
    /// What a number counts.
    pub unit: TimeUnit,
    /// What texts look like, beside RFC 3339.
    pub formats: Vec<String>,
    /// Where a text is a local time.
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
    /// How many of them a second has.
    pub fn per_second(self) -> u64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}
