//! The configuration of `filter`.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    Filter, FilterRules,
    condition::{Condition, ConditionScope},
};
use crate::{
    pipeline::Processor,
    processors::{
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        foreign,
        mentions::{self, Mention},
        metric_matcher::{MatchConfig, MatchType, MetricMatcher},
        schema_cache::SchemaCache,
    },
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "filter",
    aliases: &[],
    about: "Drops metrics and data points.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FILTER,
    decode: contract::decode::<Config>,
};

/// Drops metrics and data points.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// What happens when a condition cannot be evaluated. This does not occur with the supported
    /// conditions: values of different types are not equal. So all modes are the same.
    pub error_mode: Option<ErrorMode>,
    /// Metrics by name, and conditions in the older form.
    pub metrics: MetricsConfig,
    /// Conditions that drop a data point. One true condition is enough.
    pub metric_conditions: Vec<String>,
}

/// Metrics by name, and conditions in the older form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsConfig {
    /// Only these metrics pass.
    pub include: Option<MatchConfig>,
    /// These metrics are dropped.
    pub exclude: Option<MatchConfig>,
    /// Conditions that drop a metric, by its name, type, unit and Resource. One true condition is
    /// enough.
    pub metric: Vec<String>,
    /// Conditions that drop a data point. One true condition is enough.
    pub datapoint: Vec<String>,
}

/// What happens when a condition cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorMode {
    /// It is logged, and the next condition decides.
    Ignore,
    /// The next condition decides.
    Silent,
    /// The data is refused.
    Propagate,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let metrics = &self.metrics;
        for (key, part) in [("include", &metrics.include), ("exclude", &metrics.exclude)] {
            if let Some(part) = part {
                part.check(at, &["metrics", key], diagnostics);
            }
        }
        let mut found = metrics.include.is_some() || metrics.exclude.is_some();
        for (path, scope, texts) in self.conditions() {
            found |= !texts.is_empty();
            for (index, text) in texts.iter().enumerate() {
                if let Err(error) = Condition::parse(text, scope) {
                    let index = index.to_string();
                    let path = [path, &[&index]].concat();
                    at.error(&path, error.to_string(), diagnostics);
                }
            }
        }
        if !found {
            let message =
                "drops nothing: set `metric_conditions`, `metrics::include` or `metrics::exclude`";
            at.error(&[], message, diagnostics);
        }
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        let conditions = self.conditions().into_iter().flat_map(|(_, scope, texts)| {
            let conditions = texts.iter();
            conditions.filter_map(move |text| Condition::parse(text, scope).ok())
        });
        let metrics = &self.metrics;
        let rules = Arc::new(FilterRules {
            select: MetricMatcher::new(metrics.include.as_ref(), metrics.exclude.as_ref()),
            conditions: conditions.collect(),
        });
        let plans = SchemaCache::default();
        Arc::new(Filter { rules, plans })
    }

    fn mentions(&self) -> Vec<Mention> {
        let metrics = &self.metrics;
        let include = mentions::chosen(&["metrics", "include"], metrics.include.as_ref());
        let exclude = mentions::chosen(&["metrics", "exclude"], metrics.exclude.as_ref());
        let names = self.names().into_iter().map(|(path, name)| {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            Mention::new(&path, &name, MatchType::Strict)
        });
        include.chain(exclude).chain(names).collect()
    }
}

impl Config {
    /// The metrics that the conditions name, each with its place.
    pub(in crate::processors) fn names(&self) -> Vec<(Vec<String>, String)> {
        let mut names = Vec::new();
        for (path, scope, texts) in self.conditions() {
            for (index, text) in texts.iter().enumerate() {
                let Ok(condition) = Condition::parse(text, scope) else {
                    continue;
                };
                let path = path.iter().map(|key| (*key).to_owned());
                let path: Vec<_> = path.chain([index.to_string()]).collect();
                let found = condition.names().into_iter();
                names.extend(found.map(|name| (path.clone(), name)));
            }
        }
        names
    }

    fn conditions(&self) -> [(&[&str], ConditionScope, &[String]); 3] {
        [
            (
                &["metric_conditions"],
                ConditionScope::Point,
                &self.metric_conditions,
            ),
            (
                &["metrics", "metric"],
                ConditionScope::Metric,
                &self.metrics.metric,
            ),
            (
                &["metrics", "datapoint"],
                ConditionScope::Point,
                &self.metrics.datapoint,
            ),
        ]
    }
}
