//! Conditions: a subset of the OpenTelemetry Transformation Language.
//!
//! - paths: `name`, `description`, `unit`, `type`, `is_monotonic`, `aggregation_temporality` (also
//!   as `metric.name` …), `attributes["key"]`, `value_int`, `value_double`, `flags` (also as
//!   `datapoint.attributes["key"]` …), `resource.attributes["key"]`, `instrumentation_scope.name`,
//!   `instrumentation_scope.version` (also as `scope.name` …);
//! - values: `"text"`, `12`, `1.5`, `true`, `false`, `nil`, `METRIC_DATA_TYPE_GAUGE`, `…_SUM`,
//!   `…_HISTOGRAM`, `AGGREGATION_TEMPORALITY_CUMULATIVE`, `…_DELTA`, `…_UNSPECIFIED`;
//! - `Len(of)`, `Substring(of, start, length)`;
//! - `==`, `!=`, `<`, `<=`, `>`, `>=`, `IsMatch(of, "regular expression")`, `HasPrefix(of, "text")`,
//!   `HasSuffix(of, "text")`, and of a metric `HasAttrKeyOnDatapoint("key")`,
//!   `HasAttrOnDatapoint("key", "value")`;
//! - `and`, `or`, `not`, parentheses.

mod operand;
mod parse;
mod token;

use std::cell::Cell;

use opentelemetry::{KeyValue, Value};
use regex::Regex;

pub(super) use self::operand::{Operand, Order};
use crate::{definition::Instrument, pipeline::Reading, processors::actions::find};

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConditionScope {
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
    Compare(Operand, Order, Operand),
    IsMatch(Operand, Regex),
    /// The text starts with a text.
    HasPrefix(Operand, String),
    /// The text ends with a text.
    HasSuffix(Operand, String),
    /// A point of the metric has an attribute with this key, and with this value if there is one.
    OnPoint(String, Option<String>),
}

/// Why a text is not a condition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: {message}")]
pub(super) struct ConditionError {
    /// The position, counted from 1.
    pub(super) at: usize,
    pub(super) message: String,
}

/// The inputs of a condition. `None` means not known yet.
pub(super) struct Facts<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) reading: Option<&'a Reading>,
    pub(super) resource: Option<&'a [KeyValue]>,
    /// The attributes of all points of the metric, if a condition needs them.
    pub(super) points: Option<&'a [Vec<KeyValue>]>,
    /// Set if something could not be evaluated.
    pub(super) failed: Cell<bool>,
}

/// Whether one of them is true. `None` if that is not known.
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
    pub(super) fn parse(text: &str, scope: ConditionScope) -> Result<Self, ConditionError> {
        parse::parse(text, scope)
    }

    /// Whether the condition is true. `None` if it depends on something that is not known. False if
    /// it cannot be evaluated.
    pub(super) fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        facts.failed.set(false);
        let fits = self.fits(facts);
        match facts.failed.get() {
            true => Some(false),
            false => fits,
        }
    }

    /// The names with which the metric's name is compared.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Not(inner) => inner.names(),
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::names).collect(),
            Self::Compare(left, Order::Equal | Order::NotEqual, right) => match (left, right) {
                (Operand::Name, Operand::Value(name)) | (Operand::Value(name), Operand::Name) => {
                    vec![name.as_str().into_owned()]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Whether all points of a metric are needed to judge one of them.
    pub(super) fn asks_for_points(&self) -> bool {
        match self {
            Self::OnPoint(..) => true,
            Self::Not(inner) => inner.asks_for_points(),
            Self::All(all) | Self::Any(all) => all.iter().any(Self::asks_for_points),
            Self::Known(_)
            | Self::Compare(..)
            | Self::IsMatch(..)
            | Self::HasPrefix(..)
            | Self::HasSuffix(..) => false,
        }
    }

    fn fits(&self, facts: &Facts<'_>) -> Option<bool> {
        let text = |of: &Operand, fits: &dyn Fn(&str) -> bool| {
            let value = of.value(facts)?;
            Some(value.is_some_and(|value| fits(&value.as_str())))
        };
        match self {
            Self::Known(value) => Some(*value),
            Self::Not(inner) => inner.fits(facts).map(|fits| !fits),
            Self::Any(all) => any(all.iter().map(|one| one.fits(facts))),
            Self::All(all) => {
                let fails = all.iter().map(|one| one.fits(facts).map(|fits| !fits));
                any(fails).map(|fails| !fails)
            }
            Self::Compare(left, order, right) => {
                let (left, right) = (left.value(facts)?, right.value(facts)?);
                Some(order.holds(left.as_ref(), right.as_ref()))
            }
            Self::IsMatch(of, pattern) => text(of, &|value| pattern.is_match(value)),
            Self::HasPrefix(of, prefix) => text(of, &|value| value.starts_with(prefix)),
            Self::HasSuffix(of, suffix) => text(of, &|value| value.ends_with(suffix)),
            Self::OnPoint(key, value) => {
                let mut points = facts.points?.iter();
                Some(points.any(|attributes| {
                    let found = find(attributes, key);
                    let is_it = |found: &Value| value.as_ref().is_none_or(|v| found.as_str() == *v);
                    found.is_some_and(is_it)
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_unsupported_parts_and_their_place() {
        for (text, expected) in [
            ("", "character 1: expected a condition, found the end"),
            ("name = \"x\"", "character 6: expected `==`, found `=`"),
            (
                "value_int + 1 == 5",
                "character 11: expected `==`, found `+`",
            ),
            ("name == \"x", "character 9: the text has no end"),
            (
                "sum == 5",
                "character 1: `sum` is not supported: a histogram is aggregated after the processors, so its count, sum and buckets are not known here",
            ),
            (
                "start_time_unix_nano == 5",
                "character 1: `start_time_unix_nano` is not supported: a point gets its times after the processors",
            ),
            (
                "metric.metadata == 5",
                "character 1: `metric.metadata` is not supported: name, description, unit, type, is_monotonic, aggregation_temporality, attributes[\"…\"], value_int, value_double, flags, resource.attributes[\"…\"], instrumentation_scope.name",
            ),
            (
                "IsMatch(name, \"(\")",
                "character 15: not a regular expression: unclosed group",
            ),
            (
                "IsInCIDR(name, \"a\")",
                "character 1: the function `IsInCIDR` is not supported, only IsMatch, HasPrefix, HasSuffix, HasAttrKeyOnDatapoint, HasAttrOnDatapoint, Len, Substring",
            ),
            (
                "HasAttrKeyOnDatapoint(\"a\")",
                "character 1: `HasAttrKeyOnDatapoint` is of a metric: use `attributes[\"key\"] != nil`",
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
            let error = Condition::parse(text, ConditionScope::Point).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        for path in ["attributes[\"id\"]", "value_int", "datapoint.flags"] {
            let error =
                Condition::parse(&format!("{path} == 1"), ConditionScope::Metric).unwrap_err();
            let (word, _) = path.split_once('[').unwrap_or((path, ""));
            let expected = format!("character 1: a metric has no `{word}`: use `datapoint`");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn nesting_is_limited() {
        let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
        let error = Condition::parse(&deep, ConditionScope::Point).unwrap_err();
        assert!(error.to_string().ends_with("nested too deep"), "{error}");
    }
}
