//! `metricstransform`: renames, copies and combines metrics, and works on their points.
//!
//! ```yaml
//! processors:
//!   metricstransform:
//!     transforms:
//!       - include: ^betanet_(.*)_average_seconds$
//!         match_type: regexp
//!         action: update
//!         new_name: node_${1}_milliseconds
//!         operations:
//!           - { action: experimental_scale_value, experimental_scale: 1000 }
//!       - include: betanet_mixnode_packets_forwarded_total
//!         action: insert
//!         new_name: mixnet_packets
//!         operations:
//!           - { action: aggregate_labels, label_set: [], aggregation_type: sum }
//! ```
//!
//! The sum of running totals is a running total: it begins with their sum and grows by what each
//! of them grows. So one that leaves or begins again does not make it fall.

mod aggregation;
mod config;
mod operation;
mod plan;
mod sums;
#[cfg(test)]
mod tests;

pub use aggregation::Aggregation;
pub use config::{ActionKind, Config, SubmatchCase, TransformConfig};
pub use operation::{OperationConfig, OperationKind, ValueAction};

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use self::{
    config::Transform,
    plan::{Plan, Step},
    sums::{Site, Sums},
};
use super::{actions::set, plans::Plans};
use crate::pipeline::{Batch, Part, Processor, Reading, Stage, Stream};

/// The processor.
#[derive(Debug)]
struct MetricsTransform {
    transforms: Arc<[Transform]>,
    plans: Plans<Plan>,
}

/// What it does to one target.
struct Change {
    transforms: Arc<[Transform]>,
    plan: Arc<Plan>,
    sums: Sums,
}

impl Processor for MetricsTransform {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let plan = self
            .plans
            .of(&stream.schema, |schema| Plan::new(schema, &self.transforms));
        stream.schema = Arc::clone(&plan.after);
        Box::new(Change {
            transforms: Arc::clone(&self.transforms),
            plan,
            sums: Sums::default(),
        })
    }
}

impl Stage for Change {
    fn process(&mut self, mut batch: Batch) -> Batch {
        let now = Instant::now();
        for part in &mut batch.parts {
            for place in 0..self.transforms.len() {
                self.transform(place, part, now);
            }
        }
        self.sums.forget_idle(now);
        batch
    }
}

impl Change {
    fn transform(&mut self, place: usize, part: &mut Part, now: Instant) {
        let (Some(transform), Some(step)) =
            (self.transforms.get(place), self.plan.steps.get(place))
        else {
            return;
        };
        let (mut values, taken) = sort(transform, step, std::mem::take(&mut part.values));
        for (index, mut readings) in taken {
            let Some(recipe) = step.recipes.get(index) else {
                continue;
            };
            let operations = transform.operations.iter().zip(&recipe.before);
            for (position, (operation, before)) in operations.enumerate() {
                let mut site = Site {
                    at: [place, index, position],
                    resource: &part.resource,
                    now,
                    sums: &mut self.sums,
                };
                readings = operation.apply(readings, *before, &mut site);
            }
            values.extend(readings.into_iter().map(|reading| Reading {
                instrument: recipe.into,
                ..reading
            }));
        }
        part.values = values;
    }
}

/// What passes a transform as it is, and what goes into each of its recipes.
fn sort(
    transform: &Transform,
    step: &Step,
    readings: Vec<Reading>,
) -> (Vec<Reading>, BTreeMap<usize, Vec<Reading>>) {
    let mut kept = Vec::with_capacity(readings.len());
    let mut taken: BTreeMap<usize, Vec<Reading>> = BTreeMap::new();
    for mut reading in readings {
        let Some(route) = step.routes.get(reading.instrument) else {
            continue;
        };
        let fits = transform.fits(&reading.attributes);
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
