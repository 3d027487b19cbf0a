//! The configuration of `aggregate`.

use std::{collections::BTreeMap, sync::Arc, time};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::{
    pipeline::Processor,
    processors::{
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        mentions::Mention,
        metric_matcher::{MatchType, Texts},
    },
    settings::Duration,
    yaml::{Cursor, Diagnostics, Foreign},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "aggregate",
    aliases: &[],
    about: "Aggregates metrics over all targets, or over groups of them.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// Aggregates metrics over all targets of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Time between two aggregates.
    pub interval: Duration,
    /// The name of the aggregate in labels. It must be unique among all targets.
    pub target: String,
    /// Attributes of its Resource, in addition to `service.instance.id`, which is `target`.
    pub resource: BTreeMap<String, String>,
    /// A prefix of the name of each metric.
    pub prefix: String,
    /// One aggregate for each combination of values of these attributes of data points or the
    /// Resource.
    pub group_by: Vec<String>,
    /// The most groups of a metric.
    pub max_groups: usize,
    /// The share of expected targets, 0 to 1, below which an aggregate is not sent.
    pub min_coverage: f64,
    /// How long the last values of a target count after its last poll.
    pub max_age: Duration,
    /// The metrics to aggregate.
    pub metrics: Vec<MetricConfig>,
}

/// One or several metrics, and how they are aggregated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricConfig {
    /// The name of the metric, or an expression that matches names.
    pub include: String,
    /// How names are compared.
    #[serde(default = "strict")]
    pub match_type: MatchType,
    /// The functions for gauges and sums that may fall. Default: all. A counter is always summed.
    #[serde(default)]
    pub functions: Option<Vec<Function>>,
    /// Quantiles for gauges and sums that may fall, 0 to 1.
    #[serde(default)]
    pub quantiles: Vec<f64>,
}

/// A function over many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// The sum of the values.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The arithmetic mean.
    Avg,
    /// The number of values.
    Count,
}

impl Function {
    const ALL: [Self; 5] = [Self::Sum, Self::Min, Self::Max, Self::Avg, Self::Count];
}

/// The settings of the fleet and its emitter.
#[derive(Debug)]
pub(super) struct AggregateSettings {
    pub(super) interval: time::Duration,
    pub(super) target: String,
    pub(super) resource: BTreeMap<String, String>,
    pub(super) rules: FleetRules,
}

/// The settings of the fleet.
#[derive(Debug, Clone)]
pub(super) struct FleetRules {
    pub(super) prefix: String,
    pub(super) group_by: Vec<String>,
    pub(super) max_groups: usize,
    pub(super) min_coverage: f64,
    pub(super) max_age: time::Duration,
    pub(super) metrics: Arc<[MetricRule]>,
}

/// How metrics with certain names are aggregated.
#[derive(Debug)]
pub(super) struct MetricRule {
    pub(super) names: Texts,
    pub(super) functions: Vec<Function>,
    pub(super) quantiles: Vec<f64>,
}

fn strict() -> MatchType {
    MatchType::Strict
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            target: "fleet".to_owned(),
            resource: BTreeMap::new(),
            prefix: "fleet.".to_owned(),
            group_by: Vec::new(),
            max_groups: 200,
            min_coverage: 0.0,
            max_age: Duration::from_secs(300),
            metrics: Vec::new(),
        }
    }
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let mut error = |path: &[&str], message: &str| at.error(path, message, diagnostics);
        if self.interval.is_zero() {
            error(&["interval"], "requires positive value");
        }
        if self.max_groups == 0 {
            error(&["max_groups"], "requires positive value");
        }
        if self.target.is_empty() {
            error(&["target"], "cannot be empty: it names the aggregate");
        }
        if self.prefix.is_empty() {
            error(
                &["prefix"],
                "cannot be empty: the sum of all would add the aggregate to its parts",
            );
        } else if !self.prefix.starts_with(|c: char| c.is_ascii_alphabetic()) {
            error(&["prefix"], "expected a text that begins with a letter");
        }
        if !(0.0..=1.0).contains(&self.min_coverage) {
            error(&["min_coverage"], "expected a number from 0 to 1");
        }
        if self.metrics.is_empty() {
            error(&["metrics"], "must have at least one metric");
        }
        for (index, metric) in self.metrics.iter().enumerate() {
            let index = index.to_string();
            let include = [metric.include.clone()];
            if let Err((_, wrong)) = Texts::new(metric.match_type, &include) {
                error(&["metrics", &index, "include"], &wrong.to_string());
            }
            if metric.quantiles.iter().any(|q| !(0.0..=1.0).contains(q)) {
                error(
                    &["metrics", &index, "quantiles"],
                    "expected numbers from 0 to 1",
                );
            }
        }
    }

    fn build(&self, context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        Arc::new(Aggregate::new(self.settings(), context))
    }

    fn mentions(&self) -> Vec<Mention> {
        let metrics = self.metrics.iter().enumerate();
        let metrics = metrics.map(|(index, metric)| {
            let path = ["metrics", &index.to_string(), "include"];
            Mention::new(&path, &metric.include, metric.match_type)
        });
        metrics.collect()
    }

    fn created_target(&self) -> Option<&str> {
        Some(&self.target)
    }
}

impl Config {
    /// Converts the configuration to settings.
    pub(super) fn settings(&self) -> AggregateSettings {
        let metrics = self.metrics.iter().filter_map(|metric| {
            let include = [metric.include.clone()];
            Some(MetricRule {
                // `check` has reported an invalid expression, and then nothing is built.
                names: Texts::new(metric.match_type, &include).ok()?,
                functions: metric.functions.clone().unwrap_or(Function::ALL.into()),
                quantiles: metric.quantiles.clone(),
            })
        });
        AggregateSettings {
            interval: self.interval.get(),
            target: self.target.clone(),
            resource: self.resource.clone(),
            rules: FleetRules {
                prefix: self.prefix.clone(),
                group_by: self.group_by.clone(),
                max_groups: self.max_groups,
                min_coverage: self.min_coverage,
                max_age: self.max_age.get(),
                metrics: metrics.collect(),
            },
        }
    }
}
