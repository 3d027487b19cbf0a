//! Durations in the syntax of Go.

use std::{fmt, str::FromStr, time};

const NANOS: [(&str, i128); 8] = [
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("s", 1_000_000_000),
];

/// A duration of 0 or more with its unit: `15s`, `1m30s`, `1.5h`, `100ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(time::Duration);

/// A duration that may be negative, in nanoseconds, for the few settings that allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedDuration(i64);

/// Why a text is not a duration. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DurationError {
    #[error("expected a duration such as 15s, 1m30s")]
    Syntax,
    #[error("expected a duration with its unit, such as 15s, 1m30s")]
    Unit,
    #[error("expected a duration in h, m, s, ms, us or ns, such as 15s, 1m30s")]
    UnknownUnit,
    #[error("expected a duration that is not negative")]
    Negative,
    #[error("expected a duration of less than 292 years")]
    Range,
}

impl Duration {
    /// A duration of zero.
    pub const ZERO: Self = Self(time::Duration::ZERO);

    /// A duration in seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// A duration in milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(time::Duration::from_millis(milliseconds))
    }

    /// The duration as a type of the standard library.
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// Whether the duration is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl SignedDuration {
    /// The nanoseconds; below 0 if negative.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let nanos = nanoseconds(text)?;
        let nanos = u64::try_from(nanos).map_err(|_| DurationError::Negative)?;
        Ok(Self(time::Duration::from_nanos(nanos)))
    }
}

impl FromStr for SignedDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        nanoseconds(text).map(Self)
    }
}

/// Parses `[-+](number unit)+`, or `0`, like `time.ParseDuration` in Go.
fn nanoseconds(text: &str) -> Result<i64, DurationError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    let mut rest = unsigned;
    let mut sum = 0_i128;
    while !rest.is_empty() || sum == 0 && unsigned.is_empty() {
        let (number, behind) = split(rest, |next| next.is_ascii_digit() || next == '.');
        let (unit, behind) = split(behind, |next| !next.is_ascii_digit() && next != '.');
        sum = sum.saturating_add(part(number, unit)?);
        rest = behind;
    }
    let signed = if text.starts_with('-') { -sum } else { sum };
    i64::try_from(signed).map_err(|_| DurationError::Range)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|next| !belongs(next)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The nanoseconds of one number with its unit.
fn part(number: &str, unit: &str) -> Result<i128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(DurationError::Syntax);
    }
    if unit.is_empty() {
        return Err(DurationError::Unit);
    }
    let known = NANOS.iter().find(|(name, _)| *name == unit);
    let (_, nanos) = known.ok_or(DurationError::UnknownUnit)?;
    let whole: i128 = match whole {
        "" => 0,
        // This is longer than any valid duration and too short to overflow.
        long if long.len() > 20 => return Err(DurationError::Range),
        short => short.parse().map_err(|_| DurationError::Syntax)?,
    };
    // The digits after the 13th one of an hour are less than a nanosecond.
    let fraction = fraction.get(..13).unwrap_or(fraction);
    let scale = fraction.chars().fold(1_i128, |scale, _| scale * 10);
    let fraction: i128 = fraction.parse().unwrap_or(0);
    Ok(whole * nanos + fraction * nanos / scale)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0.as_nanos())
    }
}

impl fmt::Display for SignedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write(f, u128::from(self.0.unsigned_abs()))
    }
}

/// Writes the shortest exact text: `1m30s`, `1h`, `250ms`, `1.5ms`.
fn write(f: &mut fmt::Formatter<'_>, nanos: u128) -> fmt::Result {
    if nanos == 0 {
        return f.write_str("0s");
    }
    let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
    let rest = nanos % 60_000_000_000;
    if hours > 0 {
        write!(f, "{hours}h")?;
    }
    if minutes > 0 {
        write!(f, "{minutes}m")?;
    }
    let (unit, size) = match rest {
        0 => return Ok(()),
        1_000_000_000.. => ("s", 1_000_000_000),
        1_000_000.. => ("ms", 1_000_000),
        1_000.. => ("µs", 1_000),
        _ => ("ns", 1),
    };
    write!(f, "{}", rest / size)?;
    if !rest.is_multiple_of(size) {
        let width = size.ilog10() as usize;
        let fraction = format!("{:0width$}", rest % size);
        write!(f, ".{}", fraction.trim_end_matches('0'))?;
    }
    f.write_str(unit)
}

/// The message for a number without a unit. The Collector would read it as nanoseconds.
fn without_unit(number: impl fmt::Display) -> String {
    format!(
        "{}, found the integer {number} (write {number}s?)",
        DurationError::Syntax
    )
}

macro_rules! deserialize {
    ($type:ident) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a duration such as 15s, 1m30s")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.trim().parse().map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        match number {
                            0 => Ok($type::default()),
                            _ => Err(E::custom(without_unit(number))),
                        }
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        Err(E::custom(without_unit(number)))
                    }
                }
                from.deserialize_str(Visitor)
            }
        }
    };
}

deserialize!(Duration);
deserialize!(SignedDuration);

written_as_text!(Duration, {
    "type": "string",
    "description": "A span of time with its unit (h, m, s, ms, us, ns), such as `1m30s`.",
    "pattern": "^\\+?(0|(([0-9]+\\.?[0-9]*|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$|\\$\\{",
    "examples": ["15s", "1m30s", "500ms"]
});

written_as_text!(SignedDuration, {
    "type": "string",
    "description": "A span of time with its unit (h, m, s, ms, us, ns), possibly negative.",
    "pattern": "^[-+]?(0|(([0-9]+\\.?[0-9]*|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$|\\$\\{",
    "examples": ["15s", "-1m30s"]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_durations_like_go() {
        for (text, nanos, back) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("15s", 15_000_000_000, "15s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("1h0m0s", 3_600_000_000_000, "1h"),
            ("1.5h", 5_400_000_000_000, "1h30m"),
            ("+.5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("1m0.25s", 60_250_000_000, "1m250ms"),
            ("1500us", 1_500_000, "1.5ms"),
            ("3µs7ns", 3_007, "3.007µs"),
            ("9223372036s", 9_223_372_036_000_000_000, "2562047h47m16s"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get(), time::Duration::from_nanos(nanos), "{text}");
            assert_eq!(duration.to_string(), back, "{text}");
        }
        assert_eq!(
            "-1m30s".parse::<SignedDuration>().unwrap().to_string(),
            "-1m30s"
        );
    }

    #[test]
    fn refuses_texts_that_are_not_durations() {
        for (text, error) in [
            ("", DurationError::Syntax),
            ("-", DurationError::Syntax),
            ("10", DurationError::Unit),
            ("1m30", DurationError::Unit),
            ("s", DurationError::Syntax),
            (".s", DurationError::Syntax),
            ("1.2.3s", DurationError::Syntax),
            ("10 s", DurationError::UnknownUnit),
            ("1d", DurationError::UnknownUnit),
            ("-1s", DurationError::Negative),
            ("9999999999999s", DurationError::Range),
            (
                "99999999999999999999999999999999999999999999s",
                DurationError::Range,
            ),
        ] {
            assert_eq!(text.parse::<Duration>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(nanos: i64) {
            let duration = SignedDuration(nanos);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn never_panics(text in "[-+0-9.nusmhµ]{0,40}") {
            let _ignored = text.parse::<SignedDuration>();
        }
    }
}
