//! What the configuration says of `cumulativetodelta`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CumulativeToDelta, DeltaRules};
use crate::{
    definition::InstrumentKind,
    pipeline::Processor,
    processors::{
        metric_matcher::{MatchType, Texts},
        schema_cache::SchemaCache,
    },
    settings::Duration,
    yaml::{Cursor, Diagnostics},
};

/// Makes deltas of running totals, for what is sent as OTLP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Only these become deltas.
    pub include: Option<MatchMetrics>,
    /// These do not.
    pub exclude: Option<MatchMetrics>,
    /// How long the last total of a series counts of which none comes, a duration; 0 means as
    /// long as it is remembered.
    pub max_staleness: Duration,
    /// What becomes of the first total of a series.
    pub initial_value: InitialValue,
}

/// Metrics by name and type. What is not given matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MatchMetrics {
    /// Their names.
    pub metrics: Vec<String>,
    /// How names are compared.
    pub match_type: Option<MatchType>,
    /// Their types.
    pub metric_types: Vec<MetricType>,
}

/// A type of metrics that have totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// A sum that never falls.
    Sum,
    /// A histogram.
    Histogram,
    /// A histogram with exponential buckets. There is none here, so that this chooses nothing.
    ExponentialHistogram,
}

/// What becomes of the first total of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitialValue {
    /// It is sent if the collector itself began the counting; what a node had counted before is
    /// not.
    #[default]
    Auto,
    /// It is sent.
    Keep,
    /// It is not.
    Drop,
}

/// Metrics by name and type, compiled.
#[derive(Debug)]
pub(super) struct DeltaMatcher {
    pub(super) names: Option<Texts>,
    pub(super) types: Vec<MetricType>,
}

impl Config {
    /// Checks what a type cannot say.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, part) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some((path, message)) = part.as_ref().and_then(MatchMetrics::mistake) {
                let path = path.iter().map(String::as_str);
                let path: Vec<_> = [key].into_iter().chain(path).collect();
                at.error(&path, message, diagnostics);
            }
        }
    }

    /// Makes the processor.
    pub fn build(&self) -> Arc<dyn Processor> {
        let max_staleness = self.max_staleness.get();
        Arc::new(CumulativeToDelta {
            rules: DeltaRules {
                include: self.include.as_ref().map(MatchMetrics::build),
                exclude: self.exclude.as_ref().map(MatchMetrics::build),
                max_staleness: (!max_staleness.is_zero()).then_some(max_staleness),
                initial_value: self.initial_value,
            },
            plans: SchemaCache::default(),
        })
    }
}

impl MatchMetrics {
    /// What is wrong, and where.
    fn mistake(&self) -> Option<(Vec<String>, String)> {
        let wrong = |key: &str, why: &str| Some((vec![key.to_owned()], why.to_owned()));
        match (self.match_type, self.metrics.is_empty()) {
            (None, true) if self.metric_types.is_empty() => {
                Some((Vec::new(), "needs `metrics` or `metric_types`".to_owned()))
            }
            (None, true) => None,
            (None, false) => wrong("metrics", "need a `match_type`: strict or regexp"),
            (Some(_), true) => wrong("match_type", "needs `metrics`"),
            (Some(how), false) => {
                let (index, error) = Texts::new(how, &self.metrics).err()?;
                let path = ["metrics".to_owned(), index.to_string()];
                Some((path.into(), error.to_string()))
            }
        }
    }

    fn build(&self) -> DeltaMatcher {
        // A wrong expression was reported by `check`; nothing is built then.
        let names = self.match_type.map(|how| Texts::new(how, &self.metrics));
        DeltaMatcher {
            names: names.and_then(Result::ok),
            types: self.metric_types.clone(),
        }
    }
}

impl MetricType {
    /// The type of what an instrument measures; none if it has no total.
    pub(super) fn of(kind: InstrumentKind) -> Option<Self> {
        match kind {
            InstrumentKind::Counter => Some(Self::Sum),
            InstrumentKind::Histogram => Some(Self::Histogram),
            InstrumentKind::UpDownCounter | InstrumentKind::Gauge | InstrumentKind::StateSet => {
                None
            }
        }
    }
}
