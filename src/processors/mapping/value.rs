//! A JSON value as a number.

use serde_json::Value;

use crate::{
    definition::{Instrument, InstrumentKind, MappingRule, Parse, ValueType},
    pipeline::{Number, ProblemReason},
    processors::number,
};

/// Why a value is no number for this instrument.
pub(super) type ValueProblem = (ProblemReason, String);

/// Reads `found` as the rule says, so that it fits the instrument.
pub(super) fn number(
    rule: &MappingRule,
    instrument: &Instrument,
    found: &Value,
) -> Result<Number, ValueProblem> {
    let parsed = match (mapped(rule, found)?, rule.parse) {
        (Some(number), _) => number,
        (None, Parse::Number) => plain(found)?,
        (None, Parse::Timestamp) => timestamp(found)?,
    };
    let scaled = match rule.scale {
        Some(factor) => number::scaled(parsed, factor),
        None => parsed,
    };
    if rule.parse == Parse::Timestamp {
        check_moment(scaled)?;
    }
    fitted(scaled, instrument)
}

/// A scalar as text; none for null, arrays and objects.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Which of `texts` a scalar is. A number is one that is equal, however it is written.
pub(super) fn position<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T> + Clone,
    found: &Value,
) -> Option<usize> {
    let text = text(found)?;
    let exact = texts.clone().into_iter().position(|it| it.as_ref() == text);
    exact.or_else(|| {
        let Value::Number(number) = found else {
            return None;
        };
        let number = exact_number(number)?;
        let mut texts = texts.into_iter();
        texts.position(|it| in_string(it.as_ref()).is_some_and(|it| is_equal(it, number)))
    })
}

/// A scalar for messages.
pub(super) fn shown(found: &Value) -> String {
    match (text(found), found) {
        (Some(text), _) => format!("`{}`", short(&text)),
        (None, Value::Array(_)) => "an array".to_owned(),
        (None, Value::Object(_)) => "an object".to_owned(),
        (None, _) => "null".to_owned(),
    }
}

/// What `values` says of a scalar. It lists all that there is of a kind: a text that it does not
/// name is a problem, and so is a number if it names another one. Where it names none, a number is
/// itself, as in `{unlimited: -1}`; likewise a boolean.
fn mapped(rule: &MappingRule, found: &Value) -> Result<Option<Number>, ValueProblem> {
    let values = &rule.values;
    if values.is_empty() || matches!(found, Value::Null | Value::Array(_) | Value::Object(_)) {
        return Ok(None);
    }
    let named = position(values.keys(), found).and_then(|index| values.values().nth(index));
    if let Some(value) = named.or_else(|| values.get("*")) {
        return Ok(Some(integral(*value)));
    }
    let mut keys = values.keys();
    let is_listed = match found {
        Value::Number(_) => keys.any(|key| in_string(key).is_some()),
        Value::Bool(_) => keys.any(|key| key == "true" || key == "false"),
        _ => true,
    };
    let why = || format!("`values` has no number for {}", shown(found));
    (!is_listed)
        .then_some(None)
        .ok_or_else(|| (ProblemReason::Range, why()))
}

fn is_equal(one: Number, other: Number) -> bool {
    match (one, other) {
        (Number::Double(_), _) | (_, Number::Double(_)) => {
            one.as_f64().total_cmp(&other.as_f64()).is_eq()
        }
        _ => one == other,
    }
}

fn plain(found: &Value) -> Result<Number, ValueProblem> {
    match found {
        Value::Bool(value) => Ok(Number::Unsigned(u64::from(*value))),
        Value::Number(number) => {
            exact_number(number).ok_or_else(|| (ProblemReason::Range, "too large".into()))
        }
        Value::String(text) => in_string(text).ok_or_else(|| match is_too_large(text) {
            true => (
                ProblemReason::Range,
                format!("`{}` is too large", short(text)),
            ),
            false => (
                ProblemReason::Type,
                format!("`{}` is not a number", short(text)),
            ),
        }),
        Value::Null => Err((ProblemReason::Missing, "null".into())),
        Value::Array(_) => Err((ProblemReason::Type, "an array is not a number".into())),
        Value::Object(_) => Err((ProblemReason::Type, "an object is not a number".into())),
    }
}

fn exact_number(number: &serde_json::Number) -> Option<Number> {
    if let Some(value) = number.as_u64() {
        return Some(Number::Unsigned(value));
    }
    if let Some(value) = number.as_i64() {
        return Some(Number::Negative(value));
    }
    number
        .as_f64()
        .filter(|value| value.is_finite())
        .map(Number::Double)
}

/// A number in a string. What JSON itself would not take (`NaN`, `1e999`, `0x10`) is none.
fn in_string(text: &str) -> Option<Number> {
    let text = text.trim();
    if let Ok(value) = text.parse::<u64>() {
        return Some(Number::Unsigned(value));
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(Number::Negative(value));
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Number::Double)
}

/// Whether a text is a number that no double holds, such as `1e400`.
fn is_too_large(text: &str) -> bool {
    let text = text.trim();
    let has_digits = text.contains(|c: char| c.is_ascii_digit());
    has_digits && text.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Refuses a moment that is not within the years −9999 to 9999: what was read as seconds are
/// milliseconds, microseconds or nanoseconds.
fn check_moment(seconds: Number) -> Result<(), ValueProblem> {
    const END: f64 = 253_402_300_800.0; // 10000-01-01T00:00:00Z
    const BEGIN: f64 = -377_705_116_800.0; // -9999-01-01T00:00:00Z
    const YEAR: f64 = 31_556_952.0;
    let seconds = seconds.as_f64();
    if (BEGIN..END).contains(&seconds) {
        return Ok(());
    }
    // What would put it within a century or two of today.
    let finer = [
        (1e3, "milliseconds", "0.001"),
        (1e6, "microseconds", "0.000001"),
        (1e9, "nanoseconds", "0.000000001"),
    ];
    let fits = |parts: &f64| (0.0..1e10).contains(&(seconds / parts));
    let hint = match finer.iter().find(|(parts, ..)| fits(parts)) {
        Some((_, parts, scale)) => format!("; `scale: {scale}` reads it as {parts}"),
        None => String::new(),
    };
    let year = (1970.0 + seconds / YEAR).floor();
    let why = format!("as seconds that is the year {year}{hint}");
    Err((ProblemReason::Range, why))
}

/// A moment as Unix seconds.
fn timestamp(found: &Value) -> Result<Number, ValueProblem> {
    let Value::String(text) = found else {
        return plain(found);
    };
    if let Some(seconds) = in_string(text) {
        return Ok(seconds);
    }
    let moment: jiff::Timestamp = text.trim().parse().map_err(|_| {
        let why = format!("`{}` is neither RFC 3339 nor Unix seconds", short(text));
        (ProblemReason::Type, why)
    })?;
    let seconds = moment.as_second();
    match (u64::try_from(seconds), moment.subsec_nanosecond()) {
        (Ok(seconds), 0) => Ok(Number::Unsigned(seconds)),
        (Err(_), 0) => Ok(Number::Negative(seconds)),
        _ => Ok(Number::Double(moment.as_duration().as_secs_f64())),
    }
}

/// The number in the form in which the instrument holds it.
fn fitted(number: Number, instrument: &Instrument) -> Result<Number, ValueProblem> {
    if !number.as_f64().is_finite() {
        return Err((ProblemReason::Range, "too large once it is scaled".into()));
    }
    let monotonic = instrument.kind == InstrumentKind::Counter;
    if monotonic && number.as_f64() < 0.0 {
        return Err((ProblemReason::Range, "a counter cannot be negative".into()));
    }
    if instrument.value_type != ValueType::Int {
        return Ok(number);
    }
    match number {
        Number::Double(value) => match integral(value) {
            Number::Double(_) => {
                let why = format!("{value} is not an integer; `value_type: double` would take it");
                Err((ProblemReason::Range, why))
            }
            integer => Ok(integer),
        },
        integer => Ok(integer),
    }
}

/// A double without a fraction, in the range in which doubles are exact, as an integer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: integral and below 2^53"
)]
fn integral(value: f64) -> Number {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() != 0.0 || value.abs() > EXACT_MAX {
        Number::Double(value)
    } else if value < 0.0 {
        Number::Negative(value as i64)
    } else {
        Number::Unsigned(value as u64)
    }
}

/// A bounded excerpt for messages.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
