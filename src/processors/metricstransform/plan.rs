//! The effect of the transforms on the instruments of a schema, computed once for all its targets.

use std::sync::Arc;

use super::{
    aggregation::Type,
    config::{ActionKind, Transform},
    operation::Operation,
};
use crate::{
    definition::{self, Instrument, InstrumentKind, ValueType},
    pipeline::Schema,
};

/// The effect of all transforms on a schema.
#[derive(Debug)]
pub(super) struct TransformPlan {
    /// One step for each transform.
    pub(super) steps: Vec<TransformStep>,
    /// The schema after the last transform.
    pub(super) after: Arc<Schema>,
}

/// The effect of one transform on the instruments before it.
#[derive(Debug, Default)]
pub(super) struct TransformStep {
    /// The routes by instrument before the transform.
    pub(super) routes: Vec<Route>,
    pub(super) recipes: Vec<Aggregation>,
}

/// Where the readings of an instrument go.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The index of the instrument after the transform, for readings that are not selected.
    pub(super) kept: Option<usize>,
    /// The aggregation of selected readings.
    pub(super) recipe: Option<AggregationInput>,
    /// The instrument for readings that `update` selects if it does not select all: the metric
    /// keeps its name.
    pub(super) partly: Option<usize>,
}

/// How readings go into an aggregation.
#[derive(Debug)]
pub(super) struct AggregationInput {
    pub(super) recipe: usize,
    /// The labels from the name.
    pub(super) labels: Vec<(String, String)>,
}

/// How the readings of one metric become those of another one.
#[derive(Debug)]
pub(super) struct Aggregation {
    /// The index of the instrument after the transform.
    pub(super) into: usize,
    /// The operations by position, and the type of the metric before each of them.
    pub(super) steps: Vec<(usize, Type)>,
}

/// Instruments of one scope that are combined.
struct CombinedInstruments {
    first: Arc<Instrument>,
    recipe: usize,
}

impl TransformPlan {
    pub(super) fn new(schema: &Schema, transforms: &[Transform]) -> Self {
        let mut instruments = schema.instruments().to_vec();
        let mut steps = Vec::new();
        for transform in transforms {
            let mut builder = Builder::new(transform);
            for instrument in &instruments {
                builder.route(instrument);
            }
            steps.push(builder.step);
            instruments = builder.after.instruments().to_vec();
        }
        Self {
            steps,
            after: Arc::new(instruments.into_iter().collect()),
        }
    }
}

/// One step, while it is planned.
struct Builder<'t> {
    transform: &'t Transform,
    step: TransformStep,
    after: Schema,
    combined: Vec<CombinedInstruments>,
}

impl<'t> Builder<'t> {
    fn new(transform: &'t Transform) -> Self {
        Self {
            transform,
            step: TransformStep::default(),
            after: Schema::default(),
            combined: Vec::new(),
        }
    }

    fn route(&mut self, instrument: &Arc<Instrument>) {
        let recipe = self.recipe(instrument);
        let action = self.transform.action;
        let all_taken = action != ActionKind::Insert && self.transform.takes_all_points();
        let is_kept = recipe.is_none() || !all_taken;
        let is_partial = recipe.is_some() && is_kept && action == ActionKind::Update;
        let (kept, partly) = match (is_kept, is_partial) {
            (false, _) => (None, None),
            (true, false) => (Some(self.after.add(Arc::clone(instrument))), None),
            (true, true) => {
                let (kept, partly) = self.partly(instrument);
                (Some(kept), Some(partly))
            }
        };
        self.step.routes.push(Route {
            kept,
            recipe,
            partly,
        });
    }

    /// Where the points of a metric go if only some of them are selected: the others, and the
    /// aggregation of the selected ones. Both stay one metric, whose points may then have different
    /// types.
    fn partly(&mut self, instrument: &Arc<Instrument>) -> (usize, usize) {
        let is_meant = |operation: &Operation| operation.is_of_points();
        let (changed, steps) = self.changed(instrument, &instrument.name, is_meant);
        let is_histogram = instrument.kind == InstrumentKind::Histogram;
        let mixed = Instrument {
            value_type: match changed.value_type == instrument.value_type {
                true => instrument.value_type,
                false => ValueType::Auto,
            },
            ..instrument.as_ref().clone()
        };
        let kept = self.after.add(Arc::new(mixed));
        let into = match is_histogram {
            // With other buckets it is another metric.
            true => self.after.add(Arc::new(changed)),
            false => kept,
        };
        self.step.recipes.push(Aggregation { into, steps });
        (kept, self.step.recipes.len() - 1)
    }

    /// How the readings of an instrument are selected, if they are.
    fn recipe(&mut self, instrument: &Arc<Instrument>) -> Option<AggregationInput> {
        let renamed = self.transform.rename(&instrument.name)?;
        if !definition::is_metric_name(&renamed.name) {
            let (from, to) = (&instrument.name, &renamed.name);
            tracing::warn!(
                from,
                to,
                "a metric is not transformed: its new name is invalid"
            );
            return None;
        }
        let recipe = match self.transform.action {
            ActionKind::Update | ActionKind::Insert | ActionKind::Group => {
                self.add(instrument, &renamed.name)
            }
            ActionKind::Combine => self.combine(instrument, &renamed.name)?,
        };
        Some(AggregationInput {
            recipe,
            labels: renamed.labels,
        })
    }

    /// The aggregation of all instruments of this scope that are combined, if this one has the same
    /// type.
    fn combine(&mut self, instrument: &Arc<Instrument>, name: &str) -> Option<usize> {
        let known = self
            .combined
            .iter()
            .find(|known| known.first.scope == instrument.scope);
        let Some(known) = known else {
            let recipe = self.add(instrument, name);
            let first = Arc::clone(instrument);
            self.combined.push(CombinedInstruments { first, recipe });
            return Some(recipe);
        };
        let of = |of: &Instrument| (of.kind, of.value_type, of.unit.clone(), of.buckets.clone());
        if of(&known.first) != of(instrument) {
            let (metric, with) = (&instrument.name, &known.first.name);
            tracing::warn!(metric, with, "metrics of different types are not combined");
            return None;
        }
        let recipe = known.recipe;
        let into = self.step.recipes.get(recipe)?.into;
        self.after.grow(into, instrument.max_series);
        Some(recipe)
    }

    fn add(&mut self, instrument: &Instrument, name: &str) -> usize {
        let (made, steps) = self.changed(instrument, name, |_| true);
        let into = self.after.add(Arc::new(made));
        self.step.recipes.push(Aggregation { into, steps });
        self.step.recipes.len() - 1
    }

    /// The instrument after the selected operations.
    fn changed(
        &self,
        instrument: &Instrument,
        name: &str,
        is_meant: impl Fn(&Operation) -> bool,
    ) -> (Instrument, Vec<(usize, Type)>) {
        let mut made = instrument.clone();
        made.name = name.to_owned();
        let mut steps = Vec::new();
        let operations = self.transform.operations.iter().enumerate();
        for (position, operation) in operations.filter(|(_, operation)| is_meant(operation)) {
            let before = Type {
                kind: made.kind,
                value_type: made.value_type,
            };
            steps.push((position, before));
            operation.change(&mut made);
        }
        (made, steps)
    }
}
