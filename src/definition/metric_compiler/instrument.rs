//! Joins entries with the same name into one metric.

use std::sync::Arc;

use super::MetricCompiler;
use crate::{
    definition::{
        Instrument,
        metric_file::{InstrumentKind, MetricFile, ValueType},
    },
    yaml::{Cursor, list},
};

impl MetricCompiler<'_> {
    /// The instrument with the name of `metric`, created if it is new. Entries with the same name
    /// form one metric.
    pub(super) fn instrument(
        &mut self,
        metric: &MetricFile,
        endpoint: usize,
        max_series: usize,
        cursor: &Cursor<'_>,
    ) -> Option<usize> {
        let scope = self
            .definition
            .endpoints
            .get(endpoint)
            .map(|e| Arc::clone(&e.scope))?;
        let new = Instrument {
            name: metric.name.clone(),
            description: metric.description.clone(),
            unit: metric.unit.clone(),
            kind: metric.instrument,
            value_type: metric
                .value_type
                .unwrap_or_else(|| default_value_type(metric.instrument)),
            buckets: metric.buckets.clone(),
            // A state set has a series for each state.
            max_series: max_series * metric.states.len().max(1),
            scope,
            delta: None,
        };
        let instruments = &mut self.definition.instruments;
        if let Some(message) = conflict(instruments, &new) {
            cursor.error(&["name"], message, self.diagnostics);
            return None;
        }
        let is_it = |known: &Arc<Instrument>| known.name == new.name && known.scope == new.scope;
        let Some(index) = instruments.iter().position(is_it) else {
            instruments.push(Arc::new(new));
            return Some(instruments.len() - 1);
        };
        let known = instruments.get_mut(index)?;
        *known = Arc::new(Instrument {
            max_series: known.max_series + new.max_series,
            ..new
        });
        Some(index)
    }
}

/// Why an instrument cannot stand beside those that are known, if it cannot.
fn conflict(known: &[Arc<Instrument>], new: &Instrument) -> Option<String> {
    let differs_in_case = |known: &&Arc<Instrument>| {
        known.name != new.name && known.name.eq_ignore_ascii_case(&new.name)
    };
    if let Some(other) = known.iter().find(differs_in_case) {
        return Some(format!(
            "`{}` and `{}` above differ in case only, and OpenTelemetry takes them for one name",
            new.name, other.name
        ));
    }
    let same_name = known.iter().find(|known| known.name == new.name)?;
    let differs = differences(same_name, new);
    (!differs.is_empty()).then(|| {
        format!(
            "`{}` stands above with another {}: entries of one name are one metric",
            new.name,
            list(&differs)
        )
    })
}

/// The properties in which two entries with the same name differ.
fn differences(one: &Instrument, other: &Instrument) -> Vec<&'static str> {
    let points = [
        ("instrument", one.kind != other.kind),
        ("unit", one.unit != other.unit),
        ("description", one.description != other.description),
        ("value_type", one.value_type != other.value_type),
        ("buckets", one.buckets != other.buckets),
    ];
    let differs = points.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(point, _)| point).collect()
}

fn default_value_type(instrument: InstrumentKind) -> ValueType {
    match instrument {
        InstrumentKind::Histogram => ValueType::Double,
        InstrumentKind::StateSet => ValueType::Int,
        InstrumentKind::Counter | InstrumentKind::Gauge | InstrumentKind::UpDownCounter => {
            ValueType::Auto
        }
    }
}
