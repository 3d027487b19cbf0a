//! `attributes`: sets, removes and changes attributes of data points.
//!
//! ```yaml
//! processors:
//!   attributes:
//!     include: { match_type: regexp, metric_names: ['^betanet_mixnode_'] }
//!     actions:
//!       - { key: environment, value: production, action: insert }
//!       - { key: betanet.mixnode.id, action: hash }
//! ```
//!
//! If two points become the same, the first one stays.

mod config;

pub use config::{Config, TYPE};

use std::sync::Arc;

use super::{actions::CompiledAction, metric_matcher::MetricMatcher, schema_cache::SchemaCache};
use crate::pipeline::{Batch, Processor, Stage, Stream};

/// The processor.
#[derive(Debug)]
struct Attributes {
    rules: Arc<AttributeRules>,
    plans: SchemaCache<Vec<Option<bool>>>,
}

#[derive(Debug)]
struct AttributeRules {
    select: MetricMatcher,
    actions: Vec<CompiledAction>,
}

/// The stage of one target.
struct AttributeStage {
    rules: Arc<AttributeRules>,
    /// By instrument: whether it is selected. `None` if the Resource decides.
    selected: Arc<Vec<Option<bool>>>,
    stream: Stream,
}

impl Processor for Attributes {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let select = &self.rules.select;
        let selected = self.plans.of(&stream.schema, |schema| {
            let instruments = schema.instruments().iter();
            instruments.map(|i| select.takes(&i.name, None)).collect()
        });
        Box::new(AttributeStage {
            rules: Arc::clone(&self.rules),
            selected,
            stream: stream.clone(),
        })
    }
}

impl Stage for AttributeStage {
    fn process(&mut self, mut batch: Batch) -> Batch {
        let AttributeRules { select, actions } = &*self.rules;
        for part in &mut batch.parts {
            for reading in &mut part.values {
                let index = reading.instrument;
                let selected = match self.selected.get(index).copied().flatten() {
                    Some(selected) => selected,
                    None => self.stream.schema.get(index).is_some_and(|instrument| {
                        let takes = select.takes(&instrument.name, Some(&part.resource));
                        takes.unwrap_or_default()
                    }),
                };
                if selected {
                    for action in actions {
                        action.apply(&mut reading.attributes);
                    }
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use crate::processors::testing::ProcessorBench;

    #[test]
    fn actions_are_applied_in_order_and_keys_stay_sorted() {
        let mut lab = ProcessorBench::new(
            "attributes",
            "actions:
              - {key: zone, value: 1, action: insert}
              - {key: id, value: x, action: update}
              - {key: id2, from_attribute: id, action: upsert}
              - {key: none, value: 1, action: update}
              - {key: id, action: delete}
              - {pattern: ^tmp_, action: delete}
              - {key: d, from_attribute: absent, default_value: 2.5, action: insert}",
        );
        assert_eq!(
            lab.run(&["gauge{id=a,tmp_1=x} 1", "gauge 2"]),
            ["gauge{d=2.5,id2=x,zone=1} 1", "gauge{d=2.5,zone=1} 2"]
        );
    }

    #[test]
    fn values_are_hashed_extracted_and_converted() {
        let mut lab = ProcessorBench::new(
            "attributes",
            "actions:
              - {key: host, pattern: '^(?P<name>[a-z]+)-(?P<number>\\d+)$', action: extract}
              - {key: number, action: convert, converted_type: int}
              - {key: name, action: convert, converted_type: int}
              - {key: host, action: hash}",
        );
        let hash = "b31955fcdd2371712e671f77b35e1602f76f14b25102cec3b3b8c76a55358ea5";
        let out = lab.run(&["gauge{host=mix-07} 1"]);
        assert_eq!(out, [format!("gauge{{host={hash},name=mix,number=7}} 1")]);
    }

    #[test]
    fn only_what_is_selected_is_changed() {
        let mut lab = ProcessorBench::new(
            "attributes",
            "include: {match_type: regexp, metric_names: ['^gau', total]}
             \nexclude: {match_type: strict, metric_names: [gauge]}
             \nactions: [{key: a, value: true, action: insert}]",
        );
        let out = lab.run(&["gauge 1", "total 2", "seconds 3"]);
        assert_eq!(out, ["gauge 1", "seconds 3", "total{a=true} 2"]);
    }

    #[test]
    fn the_resource_can_select() {
        for (zone, expected) in [("eu", "gauge{a=1} 1"), ("us", "gauge 1")] {
            let config = format!(
                "include: {{match_type: strict, resources: [{{key: zone, value: {zone}}}]}}
                 \nactions: [{{key: a, value: 1, action: insert}}]"
            );
            assert_eq!(
                ProcessorBench::new("attributes", &config).run(&["gauge 1"]),
                [expected]
            );
        }
    }

    #[test]
    fn report_metrics_are_changed_as_well() {
        let mut lab = ProcessorBench::new(
            "attributes",
            "actions: [{key: a, value: 1, action: insert}]",
        );
        assert_eq!(lab.run(&["betanet.up 1"]), ["betanet.up{a=1} 1"]);
    }
}
