//! What the transforms make of the instruments of a schema, worked out once for all its targets.

use std::sync::Arc;

use super::{
    aggregation::Type,
    config::{ActionKind, Transform},
};
use crate::{
    definition::{self, Instrument},
    pipeline::Schema,
};

/// What all transforms make of a schema.
#[derive(Debug)]
pub(super) struct Plan {
    /// One a transform.
    pub(super) steps: Vec<Step>,
    /// What is left behind the last one.
    pub(super) after: Arc<Schema>,
}

/// What one transform makes of the instruments before it.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// By instrument before it.
    pub(super) routes: Vec<Route>,
    pub(super) recipes: Vec<Recipe>,
}

/// Where the readings of an instrument go.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The index of the instrument behind the transform, for what is not taken.
    pub(super) kept: Option<usize>,
    /// For what is taken.
    pub(super) recipe: Option<Ingredient>,
}

/// How readings go into a recipe.
#[derive(Debug)]
pub(super) struct Ingredient {
    pub(super) recipe: usize,
    /// What the name said, as labels.
    pub(super) labels: Vec<(String, String)>,
}

/// How the readings of one metric become those of another.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The index of the instrument behind the transform.
    pub(super) into: usize,
    /// What the metric is before each operation.
    pub(super) before: Vec<Type>,
}

/// Instruments of one scope that become one.
struct Combined {
    first: Arc<Instrument>,
    recipe: usize,
}

impl Plan {
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
    step: Step,
    after: Schema,
    combined: Vec<Combined>,
}

impl<'t> Builder<'t> {
    fn new(transform: &'t Transform) -> Self {
        Self {
            transform,
            step: Step::default(),
            after: Schema::default(),
            combined: Vec::new(),
        }
    }

    fn route(&mut self, instrument: &Arc<Instrument>) {
        let recipe = self.recipe(instrument);
        let action = self.transform.action;
        let all_taken = action != ActionKind::Insert && self.transform.takes_all_points();
        let is_kept = recipe.is_none() || !all_taken;
        let kept = is_kept.then(|| self.after.add(Arc::clone(instrument)));
        self.step.routes.push(Route { kept, recipe });
    }

    /// How the readings of an instrument are taken, if they are.
    fn recipe(&mut self, instrument: &Arc<Instrument>) -> Option<Ingredient> {
        let renamed = self.transform.rename(&instrument.name)?;
        if !definition::is_metric_name(&renamed.name) {
            let (from, to) = (&instrument.name, &renamed.name);
            tracing::warn!(
                from,
                to,
                "a metric is not transformed: its new name is not one"
            );
            return None;
        }
        let recipe = match self.transform.action {
            ActionKind::Update | ActionKind::Insert => self.add(instrument, &renamed.name),
            ActionKind::Combine => self.combine(instrument, &renamed.name)?,
        };
        Some(Ingredient {
            recipe,
            labels: renamed.labels,
        })
    }

    /// The recipe of all instruments of this one's scope that become one, if it is of their type.
    fn combine(&mut self, instrument: &Arc<Instrument>, name: &str) -> Option<usize> {
        let known = self
            .combined
            .iter()
            .find(|known| known.first.scope == instrument.scope);
        let Some(known) = known else {
            let recipe = self.add(instrument, name);
            let first = Arc::clone(instrument);
            self.combined.push(Combined { first, recipe });
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
        let mut made = instrument.clone();
        made.name = name.to_owned();
        let mut before = Vec::new();
        for operation in &self.transform.operations {
            before.push(Type {
                kind: made.kind,
                value_type: made.value_type,
            });
            operation.change(&mut made);
        }
        let into = self.after.add(Arc::new(made));
        self.step.recipes.push(Recipe { into, before });
        self.step.recipes.len() - 1
    }
}
