//! Numbers of bytes with their unit.

use super::{ValueProblem, short, text};
use crate::{
    definition::{Number, Separators},
    processors::number,
};

/// The letters of the powers, from the first one on.
const POWERS: &str = "KMGTPEZY";

/// Reads `1.5 GiB`, `150G`, `12 kB`, `512`, `10 bytes`. `base` is what `K` stands for; `Ki` is 1024
/// always.
pub(super) fn read(
    written: &str,
    separators: Separators,
    base: u64,
) -> Result<Number, ValueProblem> {
    let trimmed = written.trim();
    let end = trimmed.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = trimmed.get(end.len()..).unwrap_or_default();
    // `1e3` is no unit, and `5E` is.
    let count = text::number(end.trim_end(), separators)?;
    let factor = factor(unit, base).ok_or_else(|| {
        ValueProblem::no_number(format!(
            "`{}` is no unit of bytes in `{}`",
            short(unit),
            short(written)
        ))
    })?;
    Ok(number::scaled(count, factor).integral())
}

/// What the unit stands for; none if it is no unit of bytes.
fn factor(unit: &str, base: u64) -> Option<f64> {
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" | "octets" => return Some(1.0),
        unit => unit.to_ascii_uppercase(),
    };
    let mut letters = unit.chars();
    let first = letters.next()?;
    let power = POWERS.chars().position(|letter| letter == first)?;
    let base = match letters.as_str() {
        "" | "B" => base,
        "I" | "IB" => 1024,
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "1000 or 1024")]
    let base = base as f64;
    Some(base.powi(i32::try_from(power).ok()? + 1))
}
