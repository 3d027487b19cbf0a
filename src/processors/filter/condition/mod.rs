//! Conditions: a subset of the OpenTelemetry Transformation Language.
//!
//! - paths: `name`, `unit`, `type` (also as `metric.name` …), `attributes["key"]` (also as
//!   `datapoint.attributes["key"]`), `resource.attributes["key"]`;
//! - values: `"text"`, `12`, `1.5`, `true`, `false`, `nil`, and for `type`
//!   `METRIC_DATA_TYPE_GAUGE`, `METRIC_DATA_TYPE_SUM`, `METRIC_DATA_TYPE_HISTOGRAM`;
//! - `==`, `!=`, `IsMatch(path, "regular expression")`, `and`, `or`, `not`, parentheses.

mod parse;
mod token;

use opentelemetry::{KeyValue, Value};
use regex::Regex;

use crate::{
    definition::{Instrument, InstrumentKind},
    processors::actions::find,
};

/// What a condition can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A metric with all its points.
    Metric,
    /// A single point.
    Point,
}

/// A condition.
#[derive(Debug)]
pub(super) enum Condition {
    Known(bool),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Equal(Operand, Operand),
    IsMatch(Operand, Regex),
}

/// One side of a comparison.
#[derive(Debug)]
pub(super) enum Operand {
    Name,
    Unit,
    Type,
    Attribute(String),
    Resource(String),
    Value(Value),
    Nil,
}

/// Why a text is no condition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: {message}")]
pub(super) struct ConditionError {
    /// Counted from 1.
    pub(super) at: usize,
    pub(super) message: String,
}

/// What a condition looks at; what is not known yet is none.
pub(super) struct Facts<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) attributes: Option<&'a [KeyValue]>,
    pub(super) resource: Option<&'a [KeyValue]>,
}

/// Whether one of them is true; none if that is not known.
pub(super) fn any(all: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for one in all {
        match one {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

impl Condition {
    /// # Errors
    /// If the text is no condition of the subset, with the place.
    pub(super) fn parse(text: &str, scope: Scope) -> Result<Self, ConditionError> {
        parse::parse(text, scope)
    }

    /// Whether it fits; none if that depends on what is not known.
    pub(super) fn fits(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Not(inner) => inner.fits(facts).map(|fits| !fits),
            Self::Any(all) => any(all.iter().map(|one| one.fits(facts))),
            Self::All(all) => {
                let fails = all.iter().map(|one| one.fits(facts).map(|fits| !fits));
                any(fails).map(|fails| !fails)
            }
            Self::Equal(left, right) => {
                let (left, right) = (left.value(facts)?, right.value(facts)?);
                Some(left == right)
            }
            Self::IsMatch(of, pattern) => {
                let value = of.value(facts)?;
                Some(value.is_some_and(|value| pattern.is_match(&value.as_str())))
            }
        }
    }
}

impl Operand {
    /// The value, `Some(None)` for nil; none if it is not known.
    fn value(&self, facts: &Facts<'_>) -> Option<Option<Value>> {
        let text = |text: &str| Some(Some(Value::from(text.to_owned())));
        match self {
            Self::Name => text(&facts.instrument.name),
            Self::Unit => text(&facts.instrument.unit),
            Self::Type => text(type_name(facts.instrument.kind)),
            Self::Attribute(key) => Some(find(facts.attributes?, key).cloned()),
            Self::Resource(key) => Some(find(facts.resource?, key).cloned()),
            Self::Value(value) => Some(Some(value.clone())),
            Self::Nil => Some(None),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named_with_its_place() {
        for (text, expected) in [
            ("", "character 1: expected a condition, found the end"),
            ("name = \"x\"", "character 6: expected `==`, found `=`"),
            ("name == \"x", "character 9: the text has no end"),
            (
                "name < 5",
                "character 6: `<` is not supported, only `==` and `!=`",
            ),
            (
                "value_int == 5",
                "character 1: `value_int` is not supported: name, unit, type, attributes[\"…\"], resource.attributes[\"…\"]",
            ),
            (
                "IsMatch(name, \"(\")",
                "character 15: not a regular expression: unclosed group",
            ),
            (
                "HasPrefix(name, \"a\")",
                "character 1: the function `HasPrefix` is not supported, only IsMatch",
            ),
            (
                "name == \"a\" name",
                "character 13: expected `and`, `or` or the end, found `name`",
            ),
            (
                "(name == \"a\"",
                "character 13: expected `)`, found the end",
            ),
            (
                "attributes[id] == 1",
                "character 12: expected a key in quotes, found `id`",
            ),
        ] {
            let error = Condition::parse(text, Scope::Point).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        let error = Condition::parse("attributes[\"id\"] == 1", Scope::Metric).unwrap_err();
        assert_eq!(
            error.to_string(),
            "character 1: a metric has no attributes of its own: use `datapoint`"
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
        let error = Condition::parse(&deep, Scope::Point).unwrap_err();
        assert!(error.to_string().ends_with("nested too deep"), "{error}");
    }
}
