//! Durations as people read them.

use std::{
    fmt::{self, Display},
    time::Duration,
};

/// A duration in seconds, with three digits that count: `0.0653 s`, `1.25 s`, `312 s`. The clock has
/// more, and they say nothing.
pub fn seconds(duration: Duration) -> impl Display {
    Seconds(duration)
}

struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", rounded(self.0.as_secs_f64()))
    }
}

/// The same as a number, for logs and JSON.
pub fn rounded_seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

fn rounded(seconds: f64) -> f64 {
    let mut factor = 1.0;
    while seconds * factor < 100.0 && factor < 1e9 {
        factor *= 10.0;
    }
    (seconds * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        for (nanos, expected) in [
            (65_267_570, "0.0653 s"),
            (500_000_000, "0.5 s"),
            (1_254_321_000, "1.25 s"),
            (30_000_000_000, "30 s"),
            (312_400_000_000, "312 s"),
            (86_400_000_000_000, "86400 s"),
            (1_234, "0.00000123 s"),
            (0, "0 s"),
        ] {
            let shown = seconds(Duration::from_nanos(nanos)).to_string();
            assert_eq!(shown, expected);
        }
    }
}
