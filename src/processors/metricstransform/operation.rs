//! The operations on the points of the selected metrics.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    aggregation::{Aggregate, Aggregation, By, Type},
    sums::SumLocation,
};
use crate::{
    definition::{Instrument, InstrumentKind, ValueType},
    pipeline::{HistogramValue, Number, Reading},
    processors::{
        actions::{find, set},
        number,
    },
};

/// One operation. Operations are applied in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationConfig {
    /// The operation to apply.
    pub action: OperationKind,
    /// The label to change.
    #[serde(default)]
    pub label: Option<String>,
    /// For `add_label`: the label to set. For `update_label`: the new name of the label.
    #[serde(default)]
    pub new_label: Option<String>,
    /// For `delete_label_value`: points with this value are dropped.
    #[serde(default)]
    pub label_value: Option<String>,
    /// For `add_label`: the value to set. For `aggregate_label_values`: the value after the
    /// aggregation.
    #[serde(default)]
    pub new_value: Option<String>,
    /// For `update_label`: the values to change.
    #[serde(default)]
    pub value_actions: Vec<ValueAction>,
    /// For `aggregate_labels`: the labels that stay.
    #[serde(default)]
    pub label_set: Option<Vec<String>>,
    /// For `aggregate_label_values`: the values that become one.
    #[serde(default)]
    pub aggregated_values: Vec<String>,
    /// How several points are aggregated.
    #[serde(default)]
    pub aggregation_type: Option<Aggregation>,
    /// The factor for the values.
    #[serde(default)]
    pub experimental_scale: Option<f64>,
}

/// An operation on points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Sets a label on all points.
    AddLabel,
    /// Renames a label and changes its values.
    UpdateLabel,
    /// Drops the points with this value of the label.
    DeleteLabelValue,
    /// Converts integers to floating-point numbers, and the reverse.
    ToggleScalarDataType,
    /// Multiplies values. An integer times an integer stays an integer.
    ExperimentalScaleValue,
    /// Keeps only some labels, and aggregates points that are then the same.
    AggregateLabels,
    /// Makes some values of a label one value, and aggregates points that are then the same.
    AggregateLabelValues,
}

/// A value of a label, and its replacement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueAction {
    /// The old value.
    pub value: String,
    /// The new value.
    pub new_value: String,
}

/// A compiled operation.
#[derive(Debug)]
pub(super) enum Operation {
    Add {
        key: String,
        value: String,
    },
    Update {
        key: String,
        new_key: String,
        values: BTreeMap<String, String>,
    },
    DeleteValue {
        key: String,
        value: String,
    },
    Toggle,
    Scale(f64),
    Aggregate(Aggregate),
}

/// The invalid key, and the reason.
pub(super) type InvalidOperation = (&'static str, &'static str);

impl OperationConfig {
    pub(super) fn compile(&self) -> Result<Operation, InvalidOperation> {
        let label = || given(&self.label, "this operation needs a `label`");
        Ok(match self.action {
            OperationKind::AddLabel => Operation::Add {
                key: given(&self.new_label, "add_label needs a `new_label`")?,
                value: given(&self.new_value, "add_label needs a `new_value`")?,
            },
            OperationKind::UpdateLabel => {
                let values = self.value_actions.iter().cloned();
                let key = label()?;
                let new_key = self.new_label.clone();
                Operation::Update {
                    new_key: new_key.unwrap_or_else(|| key.clone()),
                    key,
                    values: values.map(|of| (of.value, of.new_value)).collect(),
                }
            }
            OperationKind::DeleteLabelValue => Operation::DeleteValue {
                key: label()?,
                value: given(
                    &self.label_value,
                    "delete_label_value needs a `label_value`",
                )?,
            },
            OperationKind::ToggleScalarDataType => Operation::Toggle,
            OperationKind::ExperimentalScaleValue => {
                let needs = ("action", "this operation needs an `experimental_scale`");
                let factor = self.experimental_scale.ok_or(needs)?;
                if !(factor.is_finite() && factor > 0.0) {
                    return Err(("experimental_scale", "requires positive value"));
                }
                Operation::Scale(factor)
            }
            OperationKind::AggregateLabels => {
                let needs = (
                    "action",
                    "aggregate_labels needs a `label_set`; [] leaves none",
                );
                self.aggregate(By::Labels(self.label_set.clone().ok_or(needs)?))?
            }
            OperationKind::AggregateLabelValues => {
                if self.aggregated_values.is_empty() {
                    return Err(("action", "aggregate_label_values needs `aggregated_values`"));
                }
                self.aggregate(By::Values {
                    key: label()?,
                    values: self.aggregated_values.clone(),
                    new: given(
                        &self.new_value,
                        "aggregate_label_values needs a `new_value`",
                    )?,
                })?
            }
        })
    }

    fn aggregate(&self, by: By) -> Result<Operation, InvalidOperation> {
        let needs = ("action", "this operation needs an `aggregation_type`");
        let how = self.aggregation_type.ok_or(needs)?;
        Ok(Operation::Aggregate(Aggregate { by, how }))
    }
}

/// A required text.
fn given(text: &Option<String>, needs: &'static str) -> Result<String, InvalidOperation> {
    let text = text.clone().filter(|text| !text.is_empty());
    text.ok_or(("action", needs))
}

impl Operation {
    /// Changes the instrument.
    pub(super) fn change(&self, instrument: &mut Instrument) {
        match self {
            Self::Add { .. } | Self::Update { .. } | Self::DeleteValue { .. } => {}
            Self::Toggle => {
                instrument.value_type = match instrument.value_type {
                    ValueType::Double => ValueType::Int,
                    ValueType::Int => ValueType::Double,
                    // Each point has its own type, before and after.
                    ValueType::Auto => ValueType::Auto,
                };
            }
            Self::Scale(factor) => {
                for bound in &mut instrument.buckets {
                    *bound = number::scaled(Number::Double(*bound), *factor).as_f64();
                }
                if factor.fract() != 0.0 {
                    instrument.value_type = ValueType::Double;
                }
            }
            Self::Aggregate(aggregate) => aggregate.change(instrument),
        }
    }

    /// Applies the operation to all readings of a metric with the type `before`.
    pub(super) fn apply(
        &self,
        mut readings: Vec<Reading>,
        before: Type,
        site: &mut SumLocation<'_>,
    ) -> Vec<Reading> {
        match self {
            Self::Aggregate(aggregate) => return aggregate.apply(readings, before, site),
            Self::DeleteValue { key, value } => readings.retain(|reading| {
                let found = find(&reading.attributes, key);
                found.is_none_or(|found| found.as_str() != *value)
            }),
            Self::Toggle if before.kind == InstrumentKind::Histogram => {}
            Self::Toggle => {
                for reading in &mut readings {
                    reading.value = toggled(reading.value, before.value_type);
                }
            }
            Self::Scale(factor) => {
                for reading in &mut readings {
                    match &mut reading.histogram {
                        // Its value is how many observations it has.
                        Some(histogram) => *histogram = scaled_histogram(histogram, *factor),
                        None => reading.value = number::scaled(reading.value, *factor),
                    }
                }
            }
            Self::Add { .. } | Self::Update { .. } => {
                readings
                    .iter_mut()
                    .for_each(|reading| self.relabel(reading));
            }
        }
        readings
    }

    /// Whether it applies to the selected points if other points of the metric are not selected.
    pub(super) fn is_of_points(&self) -> bool {
        matches!(self, Self::Update { .. } | Self::Toggle | Self::Scale(_))
    }

    fn relabel(&self, reading: &mut Reading) {
        let attributes = &mut reading.attributes;
        match self {
            Self::Add { key, value } => set(attributes, key, value.clone().into()),
            Self::Update {
                key,
                new_key,
                values,
            } => {
                let Some(value) = find(attributes, key).cloned() else {
                    return;
                };
                let new = values.get(value.as_str().as_ref());
                let new = new.map_or(value, |new| new.clone().into());
                attributes.retain(|attribute| attribute.key.as_str() != key);
                set(attributes, new_key, new);
            }
            _ => {}
        }
    }
}

/// An integer as a floating-point number, or a floating-point number without its fraction as an
/// integer.
fn toggled(value: Number, of: ValueType) -> Number {
    let is_double = match of {
        ValueType::Int => false,
        ValueType::Double => true,
        ValueType::Auto => matches!(value, Number::Double(_)),
    };
    match is_double {
        true => number::truncated(value),
        false => Number::Double(value.as_f64()),
    }
}
/// The same observations in another unit.
fn scaled_histogram(histogram: &HistogramValue, factor: f64) -> Arc<HistogramValue> {
    let scaled = |value: f64| number::scaled(Number::Double(value), factor).as_f64();
    Arc::new(HistogramValue {
        bounds: histogram.bounds.iter().copied().map(scaled).collect(),
        counts: histogram.counts.clone(),
        sum: histogram.sum.map(scaled),
    })
}
