//! Selects the metrics of a processor: `include` and `exclude`.

use opentelemetry::KeyValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{Pattern, PatternError},
    yaml::{Cursor, Diagnostics},
};

/// How names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// The names are equal.
    Strict,
    /// The regular expression matches the name.
    Regexp,
}

/// Metrics by name and Resource. A missing key matches everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchConfig {
    /// How names and values of the Resource are compared.
    pub match_type: MatchType,
    /// One of these names.
    #[serde(default)]
    pub metric_names: Vec<String>,
    /// One of these attributes of the Resource. `resources` means the same.
    #[serde(default, alias = "resources")]
    pub resource_attributes: Vec<AttributeConfig>,
}

/// An attribute and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeConfig {
    /// The key of the attribute.
    #[serde(alias = "Key")]
    pub key: String,
    /// The value of the attribute. Default: any value.
    #[serde(default, alias = "Value")]
    pub value: Option<String>,
}

/// The metrics of a processor.
#[derive(Debug, Default)]
pub(super) struct MetricMatcher {
    include: Option<CompiledMatcher>,
    exclude: Option<CompiledMatcher>,
}

#[derive(Debug)]
struct CompiledMatcher {
    names: Option<Texts>,
    resources: Vec<(String, Option<Texts>)>,
}

/// Texts or patterns.
#[derive(Debug)]
pub(super) enum Texts {
    Strict(Vec<String>),
    Regexp(Vec<Pattern>),
}

impl Texts {
    /// # Errors
    /// The position of the first text that is no regular expression, and why.
    pub(super) fn new(how: MatchType, texts: &[String]) -> Result<Self, (usize, PatternError)> {
        if how == MatchType::Strict {
            return Ok(Self::Strict(texts.to_vec()));
        }
        let patterns = texts.iter().enumerate();
        let patterns = patterns.map(|(at, text)| text.parse().map_err(|error| (at, error)));
        patterns.collect::<Result<_, _>>().map(Self::Regexp)
    }

    /// Whether one of them matches.
    pub(super) fn fit(&self, text: &str) -> bool {
        match self {
            Self::Strict(texts) => texts.iter().any(|known| known == text),
            Self::Regexp(patterns) => patterns.iter().any(|p| p.get().is_match(text)),
        }
    }
}

impl MatchConfig {
    /// Checks what the types cannot check.
    pub(super) fn check(&self, at: &Cursor<'_>, path: &[&str], diagnostics: &mut Diagnostics) {
        let mut error = |rest: &[&str], message: String| {
            at.error(&[path, rest].concat(), message, diagnostics);
        };
        if self.metric_names.is_empty() && self.resource_attributes.is_empty() {
            error(
                &[],
                "needs `metric_names` or `resource_attributes`".to_owned(),
            );
        }
        if let Err((index, wrong)) = Texts::new(self.match_type, &self.metric_names) {
            error(&["metric_names", &index.to_string()], wrong.to_string());
        }
        for (index, attribute) in self.resource_attributes.iter().enumerate() {
            let value: Vec<String> = attribute.value.iter().cloned().collect();
            if let Err((_, wrong)) = Texts::new(self.match_type, &value) {
                let index = index.to_string();
                error(&["resource_attributes", &index, "value"], wrong.to_string());
            }
        }
    }

    fn build(&self) -> CompiledMatcher {
        // `check` has reported an invalid expression, and then nothing is built.
        let texts = |texts: &[String]| Texts::new(self.match_type, texts).ok();
        let resources = self.resource_attributes.iter().map(|attribute| {
            let value = attribute.value.clone();
            (
                attribute.key.clone(),
                value.and_then(|value| texts(&[value])),
            )
        });
        CompiledMatcher {
            names: texts(&self.metric_names).filter(|_| !self.metric_names.is_empty()),
            resources: resources.collect(),
        }
    }
}

impl CompiledMatcher {
    /// Whether it matches. `None` if that depends on an unknown Resource.
    fn fits(&self, name: &str, resource: Option<&[KeyValue]>) -> Option<bool> {
        if self.names.as_ref().is_some_and(|names| !names.fit(name)) {
            return Some(false);
        }
        if self.resources.is_empty() {
            return Some(true);
        }
        let resource = resource?;
        let fits = |(key, texts): &(String, Option<Texts>)| {
            let found = resource.iter().find(|known| known.key.as_str() == key);
            let fits = |of: &KeyValue| texts.as_ref().is_none_or(|t| t.fit(&of.value.as_str()));
            found.is_some_and(fits)
        };
        Some(self.resources.iter().any(fits))
    }
}

impl MetricMatcher {
    pub(super) fn new(include: Option<&MatchConfig>, exclude: Option<&MatchConfig>) -> Self {
        Self {
            include: include.map(MatchConfig::build),
            exclude: exclude.map(MatchConfig::build),
        }
    }

    /// Whether a metric of a Resource is selected. `None` if that depends on an unknown Resource.
    pub(super) fn takes(&self, name: &str, resource: Option<&[KeyValue]>) -> Option<bool> {
        let include = self.include.as_ref();
        let included = include.map_or(Some(true), |of| of.fits(name, resource));
        let exclude = self.exclude.as_ref();
        let excluded = exclude.map_or(Some(false), |of| of.fits(name, resource));
        match (included, excluded) {
            (Some(false), _) | (_, Some(true)) => Some(false),
            (Some(true), Some(false)) => Some(true),
            _ => None,
        }
    }
}
