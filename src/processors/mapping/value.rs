//! A JSON value as a number.

use serde_json::Value;

use crate::{
    definition::{Instrument, InstrumentKind, Parse, Rule, ValueType},
    pipeline::{Number, Reason},
    processors::number,
};

/// Why a value is no number for this instrument.
pub(super) type Refusal = (Reason, String);

/// Reads `found` as the rule says, so that it fits the instrument.
pub(super) fn number(
    rule: &Rule,
    instrument: &Instrument,
    found: &Value,
) -> Result<Number, Refusal> {
    let parsed = match found {
        Value::String(text) if !rule.values.is_empty() => mapped(rule, text)?,
        _ => match rule.parse {
            Parse::Number => plain(found)?,
            Parse::Timestamp => timestamp(found)?,
        },
    };
    let scaled = match rule.scale {
        Some(factor) => number::scaled(parsed, factor),
        None => parsed,
    };
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

fn mapped(rule: &Rule, text: &str) -> Result<Number, Refusal> {
    let value = rule.values.get(text).copied().map(integral);
    value.ok_or_else(|| {
        (
            Reason::Range,
            format!("`values` has no number for `{}`", short(text)),
        )
    })
}

fn plain(found: &Value) -> Result<Number, Refusal> {
    match found {
        Value::Bool(value) => Ok(Number::Unsigned(u64::from(*value))),
        Value::Number(number) => exact(number).ok_or_else(|| (Reason::Range, "too large".into())),
        Value::String(text) => in_string(text)
            .ok_or_else(|| (Reason::Type, format!("`{}` is not a number", short(text)))),
        Value::Null => Err((Reason::Missing, "null".into())),
        Value::Array(_) => Err((Reason::Type, "an array is not a number".into())),
        Value::Object(_) => Err((Reason::Type, "an object is not a number".into())),
    }
}

fn exact(number: &serde_json::Number) -> Option<Number> {
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

/// A moment as Unix seconds.
fn timestamp(found: &Value) -> Result<Number, Refusal> {
    let Value::String(text) = found else {
        return plain(found);
    };
    if let Some(seconds) = in_string(text) {
        return Ok(seconds);
    }
    let moment: jiff::Timestamp = text.trim().parse().map_err(|_| {
        let why = format!("`{}` is neither RFC 3339 nor Unix seconds", short(text));
        (Reason::Type, why)
    })?;
    let seconds = moment.as_second();
    match (u64::try_from(seconds), moment.subsec_nanosecond()) {
        (Ok(seconds), 0) => Ok(Number::Unsigned(seconds)),
        (Err(_), 0) => Ok(Number::Negative(seconds)),
        _ => Ok(Number::Double(moment.as_duration().as_secs_f64())),
    }
}

/// The number in the form in which the instrument holds it.
fn fitted(number: Number, instrument: &Instrument) -> Result<Number, Refusal> {
    if !number.as_f64().is_finite() {
        return Err((Reason::Range, "too large once it is scaled".into()));
    }
    let monotonic = instrument.kind == InstrumentKind::Counter;
    if monotonic && number.as_f64() < 0.0 {
        return Err((Reason::Range, "a counter cannot be negative".into()));
    }
    if instrument.value_type != ValueType::Int {
        return Ok(number);
    }
    match number {
        Number::Double(value) => match integral(value) {
            Number::Double(_) => {
                let why = format!("{value} is not an integer; `value_type: double` would take it");
                Err((Reason::Range, why))
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
