//! A number that keeps the value that was written.

/// A number as the source wrote it. Integers stay exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer that is not negative.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// A number with a fraction, or one that is too large for an integer.
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

    /// Converts a double without a fraction to an integer, in the range in which doubles are exact.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: integral and below 2^53"
    )]
    pub fn integral(self) -> Self {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
        let Self::Double(value) = self else {
            return self;
        };
        if value.fract() != 0.0 || value.abs() > EXACT_MAX {
            self
        } else if value < 0.0 {
            Self::Negative(value as i64)
        } else {
            Self::Unsigned(value as u64)
        }
    }
}
