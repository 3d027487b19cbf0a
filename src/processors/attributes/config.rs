//! The configuration of `attributes`.

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
    /// The metrics to change. Default: all.
    pub include: Option<MatchConfig>,
    /// The metrics not to change.
    pub exclude: Option<MatchConfig>,
    /// The actions, applied in this order.
    pub actions: Vec<ActionConfig>,
}

impl Config {
    /// Checks what the types cannot check.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, part) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(part) = part {
                part.check(at, &[key], diagnostics);
            }
        }
        actions::check(&self.actions, "actions", at, diagnostics);
    }

    /// Creates the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        let rules = Arc::new(AttributeRules {
            select: MetricMatcher::new(self.include.as_ref(), self.exclude.as_ref()),
            actions: actions::compile(&self.actions),
        });
        let plans = SchemaCache::default();
        Arc::new(Attributes { rules, plans })
    }
}
