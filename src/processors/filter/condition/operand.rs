//! The operands of conditions, and their comparison.

use std::cmp::Ordering;

use opentelemetry::{KeyValue, Value};

use super::Facts;
use crate::{
    definition::{Instrument, InstrumentKind, ValueType},
    pipeline::{Number, Reading},
    processors::actions::find,
};

/// One side of a comparison.
#[derive(Debug)]
pub(in crate::processors::filter) enum Operand {
    Name,
    Description,
    Unit,
    Type,
    IsMonotonic,
    Temporality,
    ScopeName,
    Attribute(String),
    Resource(String),
    /// The value of an integer point.
    Int,
    /// The value of a floating-point point.
    Double,
    /// The number of bytes of a text.
    Length(Box<Self>),
    /// The number of attributes of a point.
    Attributes,
    /// The number of attributes of the Resource.
    ResourceAttributes,
    /// Some bytes of a text.
    Substring {
        of: Box<Self>,
        start: usize,
        length: usize,
    },
    Value(Value),
    Nil,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::processors::filter) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operand {
    /// The value, `Some(None)` for nil. `None` if it is not known.
    pub(super) fn value(&self, facts: &Facts<'_>) -> Option<Option<Value>> {
        let text = |text: &str| Some(Some(Value::from(text.to_owned())));
        let instrument = facts.instrument;
        match self {
            Self::Name => text(&instrument.name),
            Self::Description => text(&instrument.description),
            Self::Unit => text(&instrument.unit),
            Self::Type => text(type_name(instrument.kind)),
            Self::IsMonotonic => Some(is_monotonic(instrument.kind).map(Value::from)),
            Self::Temporality => Some(temporality(instrument).map(Value::from)),
            Self::ScopeName => text(&instrument.scope),
            Self::Attribute(key) => Some(find(&facts.reading?.attributes, key).cloned()),
            Self::Resource(key) => Some(find(facts.resource?, key).cloned()),
            Self::Int => Some(integer(facts.reading?, instrument)),
            Self::Double => Some(double(facts.reading?, instrument)),
            Self::Length(of) => {
                let value = of.value(facts)?;
                Some(value.map(|value| count(value.as_str().len())))
            }
            Self::Attributes => Some(Some(length(&facts.reading?.attributes))),
            Self::ResourceAttributes => Some(Some(length(facts.resource?))),
            Self::Substring { of, start, length } => {
                let value = of.value(facts)?;
                let part = value.and_then(|value| {
                    let end = start.checked_add(*length)?;
                    Some(value.as_str().get(*start..end)?.to_owned())
                });
                if part.is_none() {
                    facts.failed.set(true);
                }
                Some(part.map(Value::from))
            }
            Self::Value(value) => Some(Some(value.clone())),
            Self::Nil => Some(None),
        }
    }
}

impl Order {
    /// Whether the comparison is true for two values; `None` is nil. Numbers are compared by value.
    /// Values of different types are not equal and have no order.
    pub(super) fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let order = match (left, right) {
            (None, None) => Some(Ordering::Equal),
            (Some(left), Some(right)) => compare(left, right),
            _ => None,
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "as the Collector compares")]
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::I64(left), Value::I64(right)) => Some(left.cmp(right)),
        (Value::F64(left), Value::F64(right)) => left.partial_cmp(right),
        (Value::I64(left), Value::F64(right)) => (*left as f64).partial_cmp(right),
        (Value::F64(left), Value::I64(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(left.as_str().cmp(right.as_str())),
        (left, right) => (left == right).then_some(Ordering::Equal),
    }
}

/// The value of a point that is sent as an integer.
fn integer(reading: &Reading, instrument: &Instrument) -> Option<Value> {
    let is_number = instrument.kind != InstrumentKind::Histogram;
    if !is_number || instrument.value_type == ValueType::Double {
        return None;
    }
    match reading.value {
        Number::Unsigned(value) => i64::try_from(value).ok().map(Value::from),
        Number::Negative(value) => Some(value.into()),
        Number::Double(_) => None,
    }
}

/// The value of a point that is, or may be, sent as floating point: a metric with the type `auto`
/// changes to it with its first fraction.
fn double(reading: &Reading, instrument: &Instrument) -> Option<Value> {
    let is_number = instrument.kind != InstrumentKind::Histogram;
    let is_double = is_number && instrument.value_type != ValueType::Int;
    let is_large =
        matches!(reading.value, Number::Unsigned(value) if i64::try_from(value).is_err());
    (is_double || (is_number && is_large)).then(|| reading.value.as_f64().into())
}

fn length(attributes: &[KeyValue]) -> Value {
    count(attributes.len())
}

fn count(of: usize) -> Value {
    i64::try_from(of).unwrap_or(i64::MAX).into()
}

/// The Collector's name of a type.
fn type_name(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Gauge => "METRIC_DATA_TYPE_GAUGE",
        InstrumentKind::Counter | InstrumentKind::UpDownCounter | InstrumentKind::StateSet => {
            "METRIC_DATA_TYPE_SUM"
        }
        InstrumentKind::Histogram => "METRIC_DATA_TYPE_HISTOGRAM",
    }
}

/// Only sums have this property.
fn is_monotonic(kind: InstrumentKind) -> Option<bool> {
    match kind {
        InstrumentKind::Counter => Some(true),
        InstrumentKind::UpDownCounter | InstrumentKind::StateSet => Some(false),
        InstrumentKind::Gauge | InstrumentKind::Histogram => None,
    }
}

/// Only sums and histograms have a temporality.
fn temporality(instrument: &Instrument) -> Option<&'static str> {
    match (instrument.kind, instrument.delta) {
        (InstrumentKind::Gauge, _) => None,
        (_, Some(_)) => Some("AGGREGATION_TEMPORALITY_DELTA"),
        (_, None) => Some("AGGREGATION_TEMPORALITY_CUMULATIVE"),
    }
}
