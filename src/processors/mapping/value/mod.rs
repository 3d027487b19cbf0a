//! A JSON value as a number.

mod bytes;
mod duration;
mod text;
mod timestamp;

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    definition::{Instrument, InstrumentKind, Number, NumberFormat, Parse, ValueType},
    pipeline::ProblemReason,
    processors::number,
};

/// Why there is no number.
#[derive(Debug, PartialEq)]
pub(super) enum ValueProblem {
    /// The definition says that this means no value.
    NoValue,
    /// It is none.
    Wrong {
        /// The class.
        reason: ProblemReason,
        /// What is wrong.
        why: String,
    },
}

impl ValueProblem {
    fn no_number(why: impl Into<String>) -> Self {
        let reason = ProblemReason::Type;
        let why = why.into();
        Self::Wrong { reason, why }
    }

    fn out_of_range(why: impl Into<String>) -> Self {
        let reason = ProblemReason::Range;
        let why = why.into();
        Self::Wrong { reason, why }
    }
}

/// Whether a scalar is one of those that mean that there is no value.
pub(super) fn is_missing(format: &NumberFormat, found: &Value) -> bool {
    !format.missing.is_empty() && position(&format.missing, found).is_some()
}

/// Reads `found` as the format says.
pub(super) fn read(format: &NumberFormat, found: &Value) -> Result<Number, ValueProblem> {
    let found = taken(format, found)?;
    let parsed = match mapped(format, &found)? {
        Some(number) => number,
        None => parsed(&format.parse, &found)?,
    };
    let scaled = match format.scale {
        Some(factor) => number::scaled(parsed, factor),
        None => parsed,
    };
    if let Parse::Timestamp(of) = &format.parse {
        timestamp::check(scaled, of.unit)?;
    }
    Ok(scaled)
}

/// The part of a scalar that the pattern takes.
pub(super) fn taken<'v>(
    format: &NumberFormat,
    found: &'v Value,
) -> Result<Cow<'v, Value>, ValueProblem> {
    let Some(pattern) = &format.pattern else {
        return Ok(Cow::Borrowed(found));
    };
    let Some(text) = text(found) else {
        return Ok(Cow::Borrowed(found));
    };
    let Some(part) = pattern.found(&text) else {
        let why = pattern.why_nothing(&text, &short(&text));
        return Err(ValueProblem::no_number(why));
    };
    let part = Value::String(part.to_owned());
    match is_missing(format, &part) {
        true => Err(ValueProblem::NoValue),
        false => Ok(Cow::Owned(part)),
    }
}

fn parsed(parse: &Parse, found: &Value) -> Result<Number, ValueProblem> {
    match (parse, found) {
        (Parse::Number(separators), Value::String(text)) => text::number(text, *separators),
        (Parse::Percent(separators), Value::String(text)) => text::percent(text, *separators),
        (Parse::Percent(_), _) => Ok(number::scaled(plain(found)?, 0.01)),
        (Parse::Bytes { separators, base }, Value::String(text)) => {
            bytes::read(text, *separators, *base)
        }
        (Parse::Duration(unit), Value::String(text)) => duration::read(text, *unit),
        (Parse::Duration(unit), _) => Ok(in_seconds(plain(found)?, *unit)),
        (Parse::Timestamp(format), Value::String(text)) => timestamp::read(text, format),
        (Parse::Timestamp(format), _) => Ok(in_seconds(plain(found)?, format.unit)),
        (Parse::Number(_) | Parse::Bytes { .. }, _) => plain(found),
    }
}

/// A number of parts of a second as seconds; exact where it is a whole number of them.
fn in_seconds(number: Number, unit: crate::definition::TimeUnit) -> Number {
    let parts = unit.per_second();
    match number {
        number if parts == 1 => number,
        Number::Unsigned(value) if value % parts == 0 => Number::Unsigned(value / parts),
        #[expect(clippy::cast_precision_loss, reason = "a power of ten below 2^53")]
        number => number::scaled(number, 1.0 / parts as f64).integral(),
    }
}

/// A scalar as text; none for null, arrays and objects.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Which of `texts` a scalar is. A number is one that is equal, however it is written.
pub(super) fn position<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T> + Clone,
    found: &Value,
) -> Option<usize> {
    let exact = position_of_text(texts.clone(), &text(found)?);
    exact.or_else(|| {
        let Value::Number(number) = found else {
            return None;
        };
        let number = exact_number(number)?;
        let mut texts = texts.into_iter();
        texts.position(|it| in_string(it.as_ref()).is_some_and(|it| is_equal(it, number)))
    })
}

/// Which of `texts` a text is.
pub(super) fn position_of_text<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
    found: &str,
) -> Option<usize> {
    texts.into_iter().position(|it| it.as_ref() == found)
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
fn mapped(format: &NumberFormat, found: &Value) -> Result<Option<Number>, ValueProblem> {
    let values = &format.values;
    if values.is_empty() || matches!(found, Value::Null | Value::Array(_) | Value::Object(_)) {
        return Ok(None);
    }
    let named = position(values.keys(), found).and_then(|index| values.values().nth(index));
    if let Some(value) = named.or_else(|| values.get("*")) {
        return Ok(Some(value.integral()));
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
        .ok_or_else(|| ValueProblem::out_of_range(why()))
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
            exact_number(number).ok_or_else(|| ValueProblem::out_of_range("too large"))
        }
        Value::String(text) => text::plain(text),
        Value::Null => Err(ValueProblem::Wrong {
            reason: ProblemReason::Missing,
            why: "null".to_owned(),
        }),
        Value::Array(_) => Err(ValueProblem::no_number("an array is not a number")),
        Value::Object(_) => Err(ValueProblem::no_number("an object is not a number")),
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

/// The number in the form in which the instrument holds it.
pub(super) fn fitted(
    number: Number,
    instrument: &Instrument,
) -> Result<Number, (ProblemReason, String)> {
    let range = |why: String| (ProblemReason::Range, why);
    if !number.as_f64().is_finite() {
        return Err(range("too large once it is scaled".to_owned()));
    }
    let monotonic = instrument.kind == InstrumentKind::Counter;
    if monotonic && number.as_f64() < 0.0 {
        return Err(range("a counter cannot be negative".to_owned()));
    }
    if instrument.value_type != ValueType::Int {
        return Ok(number);
    }
    match number.integral() {
        Number::Double(value) => {
            let why = format!("{value} is not an integer; `value_type: double` would take it");
            Err(range(why))
        }
        integer => Ok(integer),
    }
}

/// A bounded excerpt for messages.
pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
