//! `groupbyattrs`: moves attributes of data points to the Resource.
//!
//! ```yaml
//! processors:
//!   groupbyattrs:
//!     keys: [betanet.mixnode.id]
//! ```
//!
//! Each set of values is a Resource, and so a target: points of the node `a` with
//! `betanet.mixnode.id` = `7` are the target `a/7` on a scrape and in `service.instance.id`.

mod config;

pub use config::{Config, TYPE};

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{KeyValue, Value};

use super::actions::{find, set};
use crate::pipeline::{
    Batch, INSTANCE_ID, Part, Processor, Reading, ResourceAttributes, Stage, Stream,
};

/// The processor.
#[derive(Debug)]
struct GroupByAttrs {
    keys: Arc<[String]>,
}

/// The stage of one target.
struct GroupByStage {
    keys: Arc<[String]>,
    target: String,
}

impl Processor for GroupByAttrs {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        Box::new(GroupByStage {
            keys: Arc::clone(&self.keys),
            target: stream.target.name.clone(),
        })
    }
}

impl Stage for GroupByStage {
    fn process(&mut self, mut batch: Batch) -> Batch {
        let mut moved = Vec::new();
        for part in &mut batch.parts {
            let mut groups: HashMap<Vec<KeyValue>, Vec<Reading>> = HashMap::new();
            let mut kept = Vec::with_capacity(part.values.len());
            for mut reading in std::mem::take(&mut part.values) {
                let found = self.take(&mut reading);
                match found.is_empty() {
                    true => kept.push(reading),
                    false => groups.entry(found).or_default().push(reading),
                }
            }
            part.values = kept;
            moved.extend(groups.into_iter().map(|(found, values)| Part {
                resource: self.resource(&part.resource, &found),
                values,
            }));
        }
        batch.parts.extend(moved);
        batch
    }
}

impl GroupByStage {
    /// Removes the moved attributes from a point, in the order of the keys.
    fn take(&self, reading: &mut Reading) -> Vec<KeyValue> {
        let is_moved = |attribute: &KeyValue| {
            let mut keys = self.keys.iter();
            keys.any(|key| key == attribute.key.as_str())
        };
        reading.attributes.extract_if(.., |a| is_moved(a)).collect()
    }

    fn resource(&self, of: &ResourceAttributes, found: &[KeyValue]) -> ResourceAttributes {
        let mut attributes = of.to_vec();
        // Two Resources with one identity would be one target with two values.
        let name = self.name(found);
        set(&mut attributes, INSTANCE_ID, name.into());
        for moved in found {
            set(&mut attributes, moved.key.as_str(), moved.value.clone());
        }
        attributes.into()
    }

    /// The name of a group: the target and a value for each key, so that all names are different.
    fn name(&self, found: &[KeyValue]) -> String {
        let values = self.keys.iter();
        let values =
            values.map(|key| find(found, key).map_or_else(Default::default, Value::as_str));
        name_of_part(&self.target, values)
    }
}

/// The name of a part of a target with its own Resource: the target and values.
pub(super) fn name_of_part(target: &str, values: impl Iterator<Item: AsRef<str>>) -> String {
    let mut name = target.to_owned();
    for value in values {
        name.push('/');
        name.push_str(&value.as_ref().replace('%', "%25").replace('/', "%2F"));
    }
    name
}

#[cfg(test)]
mod tests {
    use crate::processors::testing::ProcessorBench;

    #[test]
    fn moved_attributes_create_a_resource_with_its_own_name() {
        let mut lab = ProcessorBench::new("groupbyattrs", "keys: [zone, id]");
        let readings = [
            "gauge{id=a,zone=us} 1",
            "total{id=a,zone=us} 2",
            "gauge{id=a} 3",
            "gauge{id=b,state=up} 4",
            "gauge{id=x/y} 5",
            "other 6",
        ];
        assert_eq!(
            lab.run_with_resources(&readings),
            [
                "[id=a,service.instance.id=node//a,zone=eu] gauge 3",
                "[id=a,service.instance.id=node/us/a,zone=us] gauge 1",
                "[id=a,service.instance.id=node/us/a,zone=us] total 2",
                "[id=b,service.instance.id=node//b,zone=eu] gauge{state=up} 4",
                "[id=x/y,service.instance.id=node//x%2Fy,zone=eu] gauge 5",
                "[zone=eu] other 6",
            ]
        );
    }

    #[test]
    fn without_keys_nothing_is_moved() {
        let mut lab = ProcessorBench::new("groupbyattrs", "keys: []");
        assert_eq!(
            lab.run_with_resources(&["gauge{id=a} 1"]),
            ["[zone=eu] gauge{id=a} 1"]
        );
    }

    #[test]
    fn a_moved_name_is_the_name_of_the_resource() {
        let mut lab = ProcessorBench::new("groupbyattrs", "keys: [service.instance.id]");
        assert_eq!(
            lab.run_with_resources(&["gauge{service.instance.id=a} 1"]),
            ["[service.instance.id=a,zone=eu] gauge 1"]
        );
    }
}
