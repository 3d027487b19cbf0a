//! Lengths of time in texts.

use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::{ValueProblem, in_seconds, in_string, short};
use crate::definition::{Number, TimeUnit};

/// Reads `5d3h2m`, `5 days, 3:02`, `846:17:56`, `P1DT2H`, or a number of units, as seconds.
pub(super) fn read(written: &str, unit: TimeUnit) -> Result<Number, ValueProblem> {
    let text = written.trim();
    if let Some(number) = in_string(text) {
        return Ok(in_seconds(number, unit));
    }
    let length = clock(text).or_else(|| span(text));
    let length = length.ok_or_else(|| {
        ValueProblem::no_number(format!(
            "`{}` is no length of time such as `5d3h2m`, `846:17:56` or `P1DT2H`",
            short(written)
        ))
    })?;
    let seconds = length.as_secs();
    Ok(match (u64::try_from(seconds), length.subsec_nanos()) {
        (Ok(seconds), 0) => Number::Unsigned(seconds),
        (Err(_), 0) => Number::Negative(seconds),
        _ => Number::Double(length.as_secs_f64()),
    })
}

/// `[[D:]H:]M:S` with at least two colons, of any number of hours.
fn clock(text: &str) -> Option<SignedDuration> {
    let parts: Vec<_> = text.split(':').collect();
    let (seconds, whole) = parts.split_last()?;
    if !(2..=3).contains(&whole.len()) {
        return None;
    }
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<i64>().ok())?
    };
    let mut total = 0_i64;
    for (part, size) in whole.iter().rev().zip([60_i64, 3600, 86_400]) {
        total = total.checked_add(number(part)?.checked_mul(size)?)?;
    }
    let nanos = match fraction {
        "" => 0,
        fraction => number(format!("{fraction:0<9}").get(..9)?)?,
    };
    let total = total.checked_add(number(seconds)?)?;
    Some(SignedDuration::new(total, i32::try_from(nanos).ok()?))
}

/// ISO 8601, and units in words or letters. A month or a year has no fixed length.
fn span(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let relative = SpanRelativeTo::days_are_24_hours();
    span.to_duration(relative).ok()
}
