//! `resource`: sets, removes and changes attributes of the Resource.
//!
//! ```yaml
//! processors:
//!   resource:
//!     attributes:
//!       - { key: deployment.environment.name, value: production, action: upsert }
//! ```
//!
//! On a scrape the Resource is `target_info`.

mod config;

pub use config::{Config, TYPE};

use std::sync::Arc;

use super::actions::CompiledAction;
use crate::pipeline::{Batch, Processor, ResourceAttributes, Stage, Stream};

/// The processor.
#[derive(Debug)]
struct Resource(Arc<Vec<CompiledAction>>);

/// The stage of one target.
struct ResourceStage {
    actions: Arc<Vec<CompiledAction>>,
    /// The target's own Resource, before and after: nearly every part has it.
    before: ResourceAttributes,
    after: ResourceAttributes,
}

impl Processor for Resource {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let before = Arc::clone(&stream.resource);
        stream.resource = changed(&self.0, &before);
        Box::new(ResourceStage {
            actions: Arc::clone(&self.0),
            before,
            after: Arc::clone(&stream.resource),
        })
    }
}

impl Stage for ResourceStage {
    fn process(&mut self, mut batch: Batch) -> Batch {
        for part in &mut batch.parts {
            part.resource = match Arc::ptr_eq(&part.resource, &self.before) {
                true => Arc::clone(&self.after),
                false => changed(&self.actions, &part.resource),
            };
        }
        batch
    }
}

fn changed(actions: &[CompiledAction], resource: &ResourceAttributes) -> ResourceAttributes {
    let mut attributes = resource.to_vec();
    for action in actions {
        action.apply(&mut attributes);
    }
    attributes.into()
}

#[cfg(test)]
mod tests {
    use crate::processors::testing::ProcessorBench;

    #[test]
    fn only_the_resource_changes() {
        let mut lab = ProcessorBench::new(
            "resource",
            "attributes:
              - {key: env, value: prod, action: upsert}
              - {key: cluster, from_attribute: zone, action: insert}
              - {key: zone, action: delete}",
        );
        let out = lab.run_with_resources(&["gauge{id=a} 1"]);
        assert_eq!(out, ["[cluster=eu,env=prod] gauge{id=a} 1"]);
        assert_eq!(lab.resource(), "cluster=eu,env=prod", "known when it opens");
    }
}
