//! The configuration of `cumulativetodelta`.

use std::sync::Arc;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{CumulativeToDelta, DeltaRules};
use crate::{
    definition::InstrumentKind,
    pipeline::Processor,
    processors::{
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        mentions::Mention,
        metric_matcher::{MatchType, Texts},
        schema_cache::SchemaCache,
    },
    settings::Duration,
    yaml::{Cursor, Diagnostics, Foreign},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "cumulativetodelta",
    aliases: &[],
    about: "Converts totals to deltas in OTLP messages.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// Converts totals to deltas in OTLP messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The metrics to convert. Default: all.
    pub include: Option<MatchMetrics>,
    /// The metrics not to convert.
    pub exclude: Option<MatchMetrics>,
    /// How long the last total of a series without data counts; 0 means as long as it is
    /// remembered.
    pub max_staleness: Duration,
    /// What happens to the first total of a series.
    pub initial_value: InitialValue,
}

/// Metrics by name and type. A missing key matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MatchMetrics {
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// How names are compared.
    pub match_type: Option<MatchType>,
    /// The types of the metrics.
    pub metric_types: Vec<MetricType>,
}

/// A type of metrics with totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// A sum that never falls.
    Sum,
    /// A histogram.
    Histogram,
    /// A histogram with exponential buckets. This collector has none, so it selects nothing.
    ExponentialHistogram,
}

/// What happens to the first total of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitialValue {
    /// It is sent if the collector itself started the counting, and not if a node had counted it
    /// before.
    #[default]
    Auto,
    /// It is sent.
    Keep,
    /// It is not sent.
    Drop,
}

/// Metrics by name and type, compiled.
#[derive(Debug)]
pub(super) struct DeltaMatcher {
    pub(super) names: Option<Texts>,
    pub(super) types: Vec<MetricType>,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, part) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some((path, message)) = part.as_ref().and_then(MatchMetrics::mistake) {
                let path = path.iter().map(String::as_str);
                let path: Vec<_> = [key].into_iter().chain(path).collect();
                at.error(&path, message, diagnostics);
            }
        }
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
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

    fn mentions(&self) -> Vec<Mention> {
        let mentions = [("include", &self.include), ("exclude", &self.exclude)].map(|(key, of)| {
            let of = of.as_ref();
            of.map(|of| of.mentions(key)).unwrap_or_default()
        });
        mentions.concat()
    }

    fn needs_otlp(&self) -> bool {
        true
    }
}

impl MatchMetrics {
    /// The mistake and its place.
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

    /// The metrics that it names, below the key `key`.
    fn mentions(&self, key: &str) -> Vec<Mention> {
        let Some(how) = self.match_type else {
            return Vec::new();
        };
        let names = self.metrics.iter().enumerate();
        let mentions = names.map(|(index, name)| {
            let path = [key, "metrics", &index.to_string()];
            Mention::new(&path, name, how)
        });
        mentions.collect()
    }

    fn build(&self) -> DeltaMatcher {
        // `check` has reported an invalid expression, and then nothing is built.
        let names = self.match_type.map(|how| Texts::new(how, &self.metrics));
        DeltaMatcher {
            names: names.and_then(Result::ok),
            types: self.metric_types.clone(),
        }
    }
}

impl MetricType {
    /// The type of an instrument. `None` if it has no total.
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
