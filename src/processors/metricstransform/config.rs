//! The configuration of `metricstransform`.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::KeyValue;
use regex::Regex;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    MetricsTransform,
    aggregation::{Aggregate, Aggregation, By},
    operation::{Operation, OperationConfig},
};
use crate::{
    definition,
    pipeline::Processor,
    processors::{
        actions::find,
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        mentions::Mention,
        metric_matcher::{MatchType, Texts},
        schema_cache::SchemaCache,
    },
    settings::Pattern,
    yaml::{Cursor, Diagnostics, Foreign},
};

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "metricstransform",
    aliases: &[],
    about: "Renames, copies and combines metrics, and changes their points.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// Renames, copies and combines metrics, and changes their points.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The transforms, applied in this order.
    pub transforms: Vec<TransformConfig>,
}

/// A transform of metrics with certain names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TransformConfig {
    /// The name, or an expression that matches names.
    pub include: String,
    /// How names and values of labels are compared.
    #[serde(default = "strict")]
    pub match_type: MatchType,
    /// Only points with these labels. A missing label counts as empty.
    #[serde(default)]
    pub experimental_match_labels: BTreeMap<String, String>,
    /// Whether the metrics are changed, copied, combined or moved.
    pub action: ActionKind,
    /// The new name. With `regexp` it may contain the groups `${1}` or `${name}` of `include`,
    /// which are written `$${1}` and `$${name}` in a file.
    #[serde(default)]
    pub new_name: String,
    /// For `group`: attributes of the Resource to which the metrics are moved.
    #[serde(default)]
    pub group_resource_labels: BTreeMap<String, String>,
    /// For `combine`: how points that are then the same are aggregated. Default: `sum`.
    #[serde(default)]
    pub aggregation_type: Option<Aggregation>,
    /// For `combine`: the case of the named groups of `include`.
    #[serde(default)]
    pub submatch_case: Option<SubmatchCase>,
    /// The operations on the points, applied in this order.
    #[serde(default)]
    pub operations: Vec<OperationConfig>,
}

/// Whether metrics are changed, copied, combined or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Changes the metrics.
    Update,
    /// Changes a copy of the metrics.
    Insert,
    /// Combines metrics with the same scope and type. The named groups of `include` become labels.
    Combine,
    /// Moves the metrics to their own Resource.
    Group,
}

/// Upper or lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubmatchCase {
    /// Lower case, as in `abc`.
    Lower,
    /// Upper case, as in `ABC`.
    Upper,
}

/// A compiled transform.
#[derive(Debug)]
pub(super) struct Transform {
    pub(super) action: ActionKind,
    include: Include,
    labels: Vec<(String, Texts)>,
    new_name: String,
    case: Option<SubmatchCase>,
    pub(super) operations: Vec<Operation>,
    /// The attributes that `group` adds to the Resource.
    pub(super) group: Vec<(String, String)>,
}

#[derive(Debug)]
enum Include {
    Strict(String),
    Regexp(Regex),
}

/// The new name of a metric.
pub(super) struct Renamed {
    pub(super) name: String,
    /// The values of the named groups, for `combine`.
    pub(super) labels: Vec<(String, String)>,
}

/// The place of a mistake, and the reason.
type InvalidTransform = (Vec<String>, String);

fn strict() -> MatchType {
    MatchType::Strict
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.transforms.is_empty() {
            let message = "must have at least one transform";
            at.error(&["transforms"], message, diagnostics);
        }
        for (index, transform) in self.transforms.iter().enumerate() {
            if let Err((path, message)) = transform.compile() {
                let index = index.to_string();
                let path = path.iter().map(String::as_str);
                let path: Vec<_> = ["transforms", &index].into_iter().chain(path).collect();
                at.error(&path, message, diagnostics);
            }
        }
    }

    fn build(&self, _context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        let transforms = self.transforms.iter().filter_map(|of| of.compile().ok());
        Arc::new(MetricsTransform {
            transforms: transforms.collect(),
            plans: SchemaCache::default(),
        })
    }

    fn mentions(&self) -> Vec<Mention> {
        let mut made: Vec<&str> = Vec::new();
        let mut mentions = Vec::new();
        for (index, transform) in self.transforms.iter().enumerate() {
            let path = ["transforms", &index.to_string(), "include"];
            let mention = Mention::new(&path, &transform.include, transform.match_type);
            // A definition does not have the metrics that an earlier transform created.
            if mention.fits(made.iter().copied()) != Some(true) {
                mentions.push(mention);
            }
            if transform.new_name.contains('$') {
                break;
            }
            made.push(&transform.new_name);
        }
        mentions
    }

    fn changes_names(&self) -> bool {
        true
    }
}

impl TransformConfig {
    fn compile(&self) -> Result<Transform, InvalidTransform> {
        self.check()?;
        let include = match self.match_type {
            MatchType::Strict => Include::Strict(self.include.clone()),
            MatchType::Regexp => {
                let pattern = self.include.parse::<Pattern>();
                let pattern = pattern.map_err(|error| wrong("include", error.to_string()))?;
                Include::Regexp(pattern.get().clone())
            }
        };
        let labels = self.experimental_match_labels.iter().map(|(key, value)| {
            let texts = Texts::new(self.match_type, std::slice::from_ref(value));
            let path = vec!["experimental_match_labels".to_owned(), key.clone()];
            let texts = texts.map_err(|(_, error)| (path, error.to_string()))?;
            Ok((key.clone(), texts))
        });
        Ok(Transform {
            action: self.action,
            include,
            labels: labels.collect::<Result<_, _>>()?,
            new_name: self.new_name.clone(),
            case: self.submatch_case,
            operations: self.operations()?,
            group: self.group_resource_labels.clone().into_iter().collect(),
        })
    }

    fn check(&self) -> Result<(), InvalidTransform> {
        let combines = self.action == ActionKind::Combine;
        if self.include.is_empty() {
            return Err(wrong("include", "cannot be empty"));
        }
        self.check_group()?;
        let needs_name = matches!(self.action, ActionKind::Insert | ActionKind::Combine);
        if self.new_name.is_empty() && needs_name {
            return Err(wrong("action", "insert and combine need a `new_name`"));
        }
        let is_template = self.match_type == MatchType::Regexp && !combines;
        let is_name = is_template || definition::is_metric_name(&self.new_name);
        if !self.new_name.is_empty() && !is_name {
            return Err(wrong(
                "new_name",
                format!("`{}` is not a metric name", self.new_name),
            ));
        }
        if combines && self.match_type == MatchType::Strict {
            return Err(wrong("action", "combine needs `match_type: regexp`"));
        }
        if !combines && self.aggregation_type.is_some() {
            let why = "is for `combine`; the operations have their own";
            return Err(wrong("aggregation_type", why));
        }
        if !combines && self.submatch_case.is_some() {
            return Err(wrong("submatch_case", "is for `combine`"));
        }
        Ok(())
    }

    fn check_group(&self) -> Result<(), InvalidTransform> {
        let key = "group_resource_labels";
        match (self.action, self.group_resource_labels.is_empty()) {
            (ActionKind::Group, true) => Err(wrong("action", format!("group needs `{key}`"))),
            (ActionKind::Group, false) if !self.new_name.is_empty() => Err(wrong(
                "new_name",
                "is not for `group`, which moves metrics as they are",
            )),
            (ActionKind::Group, false) if !self.operations.is_empty() => Err(wrong(
                "operations",
                "are not for `group`, which moves metrics as they are",
            )),
            (ActionKind::Group, _) | (_, true) => Ok(()),
            (_, false) => Err(wrong(key, "is for `group`")),
        }
    }

    fn operations(&self) -> Result<Vec<Operation>, InvalidTransform> {
        // Combined metrics are added up first, as in the Collector.
        let how = self.aggregation_type.unwrap_or(Aggregation::Sum);
        let first = (self.action == ActionKind::Combine)
            .then_some(Operation::Aggregate(Aggregate { by: By::All, how }));
        let others = self
            .operations
            .iter()
            .enumerate()
            .map(|(index, operation)| {
                let at = |key: &str| ["operations", &index.to_string(), key].map(str::to_owned);
                let compiled = operation.compile();
                compiled.map_err(|(key, why)| (at(key).to_vec(), why.to_owned()))
            });
        first.into_iter().map(Ok).chain(others).collect()
    }
}

fn wrong(key: &str, why: impl Into<String>) -> InvalidTransform {
    (vec![key.to_owned()], why.into())
}

impl Transform {
    /// Whether all points of a metric are selected, whatever their labels.
    pub(super) fn takes_all_points(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether a point with these attributes is selected.
    pub(super) fn fits(&self, attributes: &[KeyValue]) -> bool {
        let fits = |(key, texts): &(String, Texts)| match find(attributes, key) {
            Some(value) => texts.fit(&value.as_str()),
            None => texts.fit(""),
        };
        self.labels.iter().all(fits)
    }

    /// The new name of a metric. `None` if it is not selected.
    pub(super) fn rename(&self, name: &str) -> Option<Renamed> {
        let new_name = match self.new_name.as_str() {
            "" => name,
            new_name => new_name,
        };
        let mut renamed = Renamed {
            name: new_name.to_owned(),
            labels: Vec::new(),
        };
        match &self.include {
            Include::Strict(include) => (include == name).then_some(renamed),
            Include::Regexp(include) => {
                let found = include.captures(name)?;
                if self.action == ActionKind::Combine {
                    let groups = include.capture_names().flatten();
                    let labels = groups.map(|group| {
                        let text = found.name(group).map_or("", |found| found.as_str());
                        (group.to_owned(), self.cased(text))
                    });
                    renamed.labels = labels.collect();
                } else if !self.new_name.is_empty() {
                    renamed.name.clear();
                    found.expand(&self.new_name, &mut renamed.name);
                }
                Some(renamed)
            }
        }
    }

    fn cased(&self, text: &str) -> String {
        match self.case {
            None => text.to_owned(),
            Some(SubmatchCase::Lower) => text.to_lowercase(),
            Some(SubmatchCase::Upper) => text.to_uppercase(),
        }
    }
}
