//! The configuration of `attributes`.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{AttributeRules, Attributes};
use crate::{
    pipeline::Processor,
    processors::{
        actions::{self, ActionConfig},
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        foreign,
        mentions::{self, Mention},
        metric_matcher::{MatchConfig, MetricMatcher},
        schema_cache::SchemaCache,
    },
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "attributes",
    aliases: &[],
    about: "Sets, removes and changes attributes of data points.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::ATTRIBUTES,
    decode: contract::decode::<Config>,
};

/// Changes attributes of data points.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The metrics to change. Default: all.
    pub include: Option<MatchConfig>,
    /// The metrics not to change.
    pub exclude: Option<MatchConfig>,
    /// The actions, applied in this order.
    pub actions: Vec<ActionConfig>,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, part) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(part) = part {
                part.check(at, &[key], diagnostics);
            }
        }
        actions::check(&self.actions, "actions", at, diagnostics);
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        let rules = Arc::new(AttributeRules {
            select: MetricMatcher::new(self.include.as_ref(), self.exclude.as_ref()),
            actions: actions::compile(&self.actions),
        });
        let plans = SchemaCache::default();
        Arc::new(Attributes { rules, plans })
    }

    fn mentions(&self) -> Vec<Mention> {
        let include = mentions::chosen(&["include"], self.include.as_ref());
        let exclude = mentions::chosen(&["exclude"], self.exclude.as_ref());
        include.chain(exclude).collect()
    }
}
