//! What the configuration says of `attributes`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AttributeRules, Attributes};
use crate::{
    pipeline::Processor,
    processors::{
        actions::{self, ActionConfig},
        metric_matcher::{MatchConfig, MetricMatcher},
        schema_cache::SchemaCache,
    },
    yaml::{Cursor, Diagnostics},
};

/// Changes attributes of data points.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Only these metrics are changed.
    pub include: Option<MatchConfig>,
    /// These are not.
    pub exclude: Option<MatchConfig>,
    /// What is done, in this order.
    pub actions: Vec<ActionConfig>,
}

impl Config {
    /// Checks what a type cannot say.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, part) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(part) = part {
                part.check(at, &[key], diagnostics);
            }
        }
        actions::check(&self.actions, "actions", at, diagnostics);
    }

    /// Makes the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        let rules = Arc::new(AttributeRules {
            select: MetricMatcher::new(self.include.as_ref(), self.exclude.as_ref()),
            actions: actions::compile(&self.actions),
        });
        let plans = SchemaCache::default();
        Arc::new(Attributes { rules, plans })
    }
}
