//! Aggregates several points into one.

use std::collections::HashMap;

use opentelemetry::KeyValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sums::SumLocation;
use crate::{
    definition::{Instrument, InstrumentKind, ValueType},
    pipeline::{Number, Reading},
    processors::{
        actions::{find, set},
        number,
    },
};

/// The properties of a metric that decide how an operation works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: InstrumentKind,
    pub(super) value_type: ValueType,
}

/// How the values of several points are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The sum of the values.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The number of values.
    Count,
    /// The median.
    Median,
}

/// The points to aggregate, and how.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub(super) by: By,
    pub(super) how: Aggregation,
}

/// The points to aggregate: those that are then the same.
#[derive(Debug)]
pub(super) enum By {
    /// The labels stay unchanged.
    All,
    /// Only these labels stay.
    Labels(Vec<String>),
    /// These values of a label become one.
    Values {
        key: String,
        values: Vec<String>,
        new: String,
    },
}

impl Aggregate {
    /// Changes the instrument. Only a sum of sums is a sum.
    pub(super) fn change(&self, instrument: &mut Instrument) {
        if instrument.kind == InstrumentKind::Histogram || self.how == Aggregation::Sum {
            return;
        }
        instrument.kind = InstrumentKind::Gauge;
        instrument.value_type = match self.how {
            Aggregation::Mean | Aggregation::Median => ValueType::Double,
            Aggregation::Count => ValueType::Int,
            Aggregation::Sum | Aggregation::Min | Aggregation::Max => instrument.value_type,
        };
    }

    pub(super) fn apply(
        &self,
        readings: Vec<Reading>,
        before: Type,
        site: &mut SumLocation<'_>,
    ) -> Vec<Reading> {
        let mut done = Vec::new();
        let mut groups: HashMap<Vec<KeyValue>, Vec<Reading>> = HashMap::new();
        for reading in readings {
            match self.by.group(&reading.attributes) {
                None => done.push(reading),
                // Histograms are always added up.
                Some(attributes) if before.kind == InstrumentKind::Histogram => {
                    done.push(Reading {
                        attributes,
                        ..reading
                    });
                }
                Some(attributes) => groups.entry(attributes).or_default().push(reading),
            }
        }
        done.extend(groups.into_iter().filter_map(|(attributes, members)| {
            let value = match (before.kind, self.how) {
                (InstrumentKind::Counter, Aggregation::Sum) => {
                    site.sum(attributes.clone(), &members)
                }
                _ => self.how.of(&members)?,
            };
            Some(Reading {
                instrument: members.first()?.instrument,
                attributes,
                value,
                time: members.iter().filter_map(|member| member.time).max(),
                histogram: None,
            })
        }));
        done
    }
}

impl By {
    /// The attributes of the aggregated point. `None` if the point stays unchanged.
    fn group(&self, attributes: &[KeyValue]) -> Option<Vec<KeyValue>> {
        match self {
            Self::All => Some(attributes.to_vec()),
            Self::Labels(labels) => {
                let is_left = |a: &&KeyValue| labels.iter().any(|label| label == a.key.as_str());
                Some(attributes.iter().filter(is_left).cloned().collect())
            }
            Self::Values { key, values, new } => {
                let value = find(attributes, key)?.as_str();
                let is_meant = *new == value || values.iter().any(|known| *known == value);
                is_meant.then(|| {
                    let mut attributes = attributes.to_vec();
                    set(&mut attributes, key, new.clone().into());
                    attributes
                })
            }
        }
    }
}

impl Aggregation {
    /// The result for these values. `None` if there are none.
    fn of(self, readings: &[Reading]) -> Option<Number> {
        let mut values: Vec<_> = readings.iter().map(|reading| reading.value).collect();
        values.sort_by(|a, b| a.as_f64().total_cmp(&b.as_f64()));
        let doubles = || {
            values
                .iter()
                .map(|value| value.as_f64())
                .collect::<Vec<_>>()
        };
        let count = Number::Unsigned(values.len() as u64);
        Some(match self {
            Self::Sum => number::sum(&values),
            Self::Mean => Number::Double(number::sum(&values).as_f64() / count.as_f64()),
            Self::Min => *values.first()?,
            Self::Max => *values.last()?,
            Self::Count => count,
            Self::Median => Number::Double(number::quantile(&doubles(), 0.5)),
        })
    }
}
