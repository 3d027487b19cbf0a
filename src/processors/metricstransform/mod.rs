//! `metricstransform`: renames, copies and combines metrics, and works on their points.
//!
//! ```yaml
//! processors:
//!   metricstransform:
//!     transforms:
//!       - include: ^betanet_(.*)_average_seconds$
//!         match_type: regexp
//!         action: update
//!         new_name: node_$${1}_milliseconds # a file has `$$` for `$`
//!         operations:
//!           - { action: experimental_scale_value, experimental_scale: 1000 }
//!       - include: betanet_mixnode_packets_forwarded_total
//!         action: insert
//!         new_name: mixnet_packets
//!         operations:
//!           - { action: aggregate_labels, label_set: [], aggregation_type: sum }
//! ```
//!
//! The sum of totals is a total: it starts with their sum and grows by the increase of each. So it
//! does not fall when one of them disappears or starts again.

mod aggregation;
mod config;
mod operation;
mod plan;
mod sums;
#[cfg(test)]
mod tests;

pub use aggregation::Aggregation;
pub use config::{ActionKind, Config, SubmatchCase, TYPE, TransformConfig};
pub use operation::{OperationConfig, OperationKind, ValueAction};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use self::{
    config::Transform,
    plan::{TransformPlan, TransformStep},
    sums::{SumLocation, Sums},
};
use super::{actions::set, groupbyattrs::name_of_part, schema_cache::SchemaCache};
use crate::pipeline::{
    Batch, INSTANCE_ID, Part, Processor, Reading, ResourceAttributes, Stage, Stream,
};

/// The processor.
#[derive(Debug)]
struct MetricsTransform {
    transforms: Arc<[Transform]>,
    plans: SchemaCache<TransformPlan>,
}

/// The stage of one target.
struct TargetTransform {
    transforms: Arc<[Transform]>,
    plan: Arc<TransformPlan>,
    sums: Sums,
    target: String,
}

impl Processor for MetricsTransform {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let plan = self.plans.of(&stream.schema, |schema| {
            TransformPlan::new(schema, &self.transforms)
        });
        stream.schema = Arc::clone(&plan.after);
        Box::new(TargetTransform {
            transforms: Arc::clone(&self.transforms),
            plan,
            sums: Sums::default(),
            target: stream.target.name.clone(),
        })
    }
}

impl Stage for TargetTransform {
    fn process(&mut self, mut batch: Batch) -> Batch {
        let now = Instant::now();
        for place in 0..self.transforms.len() {
            let parts = batch.parts.iter_mut();
            let moved: Vec<_> = parts
                .filter_map(|part| self.transform(place, part, now))
                .collect();
            batch.parts.extend(moved);
        }
        self.sums.forget_idle(now);
        batch
    }
}

impl TargetTransform {
    /// Applies one transform to one Resource. Returns the readings that are moved to another one.
    fn transform(&mut self, place: usize, part: &mut Part, now: Instant) -> Option<Part> {
        let (transform, step) = (self.transforms.get(place)?, self.plan.steps.get(place)?);
        let mut moved = Vec::new();
        let (mut values, taken) = sort(transform, step, std::mem::take(&mut part.values));
        for (index, mut readings) in taken {
            let Some(recipe) = step.recipes.get(index) else {
                continue;
            };
            for (position, before) in &recipe.steps {
                let Some(operation) = transform.operations.get(*position) else {
                    continue;
                };
                let mut site = SumLocation {
                    at: [place, index, *position],
                    resource: &part.resource,
                    now,
                    sums: &mut self.sums,
                };
                readings = operation.apply(readings, *before, &mut site);
            }
            let readings = readings.into_iter().map(|reading| Reading {
                instrument: recipe.into,
                ..reading
            });
            match transform.action {
                ActionKind::Group => moved.extend(readings),
                _ => values.extend(readings),
            }
        }
        part.values = values;
        (!moved.is_empty()).then(|| Part {
            resource: grouped(&part.resource, &self.target, &transform.group),
            values: moved,
        })
    }
}

/// The Resource to which `group` moves metrics. It is a separate target: two Resources with one
/// identity would be one target with two values.
fn grouped(
    resource: &ResourceAttributes,
    target: &str,
    labels: &[(String, String)],
) -> ResourceAttributes {
    let mut attributes = resource.to_vec();
    let values = labels.iter().map(|(_, value)| value.as_str());
    set(
        &mut attributes,
        INSTANCE_ID,
        name_of_part(target, values).into(),
    );
    for (key, value) in labels {
        set(&mut attributes, key, value.clone().into());
    }
    attributes.into()
}

/// Separates the readings that pass unchanged from those of each aggregation.
fn sort(
    transform: &Transform,
    step: &TransformStep,
    readings: Vec<Reading>,
) -> (Vec<Reading>, BTreeMap<usize, Vec<Reading>>) {
    let partial = partial(transform, step, &readings);
    let mut kept = Vec::with_capacity(readings.len());
    let mut taken: BTreeMap<usize, Vec<Reading>> = BTreeMap::new();
    for mut reading in readings {
        let Some(route) = step.routes.get(reading.instrument) else {
            continue;
        };
        let fits = transform.fits(&reading.attributes);
        let partly = route
            .partly
            .filter(|_| partial.contains(&reading.instrument));
        if let (Some(recipe), true) = (partly, fits) {
            taken.entry(recipe).or_default().push(reading);
            continue;
        }
        if let Some(entry) = route.recipe.as_ref().filter(|_| fits) {
            let mut copy = reading.clone();
            for (key, value) in &entry.labels {
                set(&mut copy.attributes, key, value.clone().into());
            }
            taken.entry(entry.recipe).or_default().push(copy);
            if transform.action != ActionKind::Insert {
                continue;
            }
        }
        if let Some(index) = route.kept {
            reading.instrument = index;
            kept.push(reading);
        }
    }
    (kept, taken)
}

/// The instruments with a point that `update` does not select. As in the Collector, such a metric
/// keeps its name, and only the operations on single points apply.
fn partial(transform: &Transform, step: &TransformStep, readings: &[Reading]) -> BTreeSet<usize> {
    let is_partial = |reading: &&Reading| {
        let route = step.routes.get(reading.instrument);
        route.is_some_and(|route| route.partly.is_some()) && !transform.fits(&reading.attributes)
    };
    let partial = readings.iter().filter(is_partial);
    partial.map(|reading| reading.instrument).collect()
}
