//! The configured rules for names and labels of series.

use std::collections::BTreeMap;

use super::{name::AggregationKind, translation::TranslationStrategy};
use crate::settings::Pattern;

/// The attributes behind `job` and `instance` in the Prometheus compatibility specification.
const SERVICE: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// The rules of one exporter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RenderingRules {
    /// How names are translated.
    pub(super) strategy: TranslationStrategy,
    /// A prefix of each name; may be empty.
    pub(super) namespace: String,
    /// Labels of every series.
    pub(super) const_labels: BTreeMap<String, String>,
    /// The attributes of the Resource that every series has.
    pub(super) resource: Selection,
    /// Whether every series has the name and version of its scope.
    pub(super) has_scope: bool,
    /// Whether each value has the time of its observation.
    pub(super) has_time: bool,
    /// Whether totals have their start time in OpenMetrics.
    pub(super) has_created: bool,
}

/// The attributes of a Resource that become labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection {
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl Selection {
    /// Selects attributes that match one of `included` and none of `excluded`. In patterns, `*` is
    /// any text and `?` any character.
    pub(super) fn new<T: AsRef<str>>(included: &[T], excluded: &[T]) -> Self {
        Self {
            included: included.iter().filter_map(wildcard).collect(),
            excluded: excluded.iter().filter_map(wildcard).collect(),
        }
    }

    /// Selects all attributes, or all except those behind `job` and `instance`.
    pub(super) fn all(excludes_service: bool) -> Self {
        let excluded: &[&str] = if excludes_service { &SERVICE } else { &[] };
        Self::new(&["*"], excluded)
    }

    /// Whether the attribute is selected.
    pub(super) fn has(&self, key: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|one| one.get().is_match(key));
        matches(&self.included) && !matches(&self.excluded)
    }
}

fn wildcard<T: AsRef<str>>(pattern: &T) -> Option<Pattern> {
    let escaped = regex::escape(pattern.as_ref());
    let pattern = escaped.replace(r"\*", ".*").replace(r"\?", ".");
    // An escaped text is always a pattern, unless it exceeds the size limit of regular expressions.
    format!("^(?s:{pattern})$").parse().ok()
}

impl RenderingRules {
    /// The name of a family.
    pub(super) fn family(&self, name: &str, unit: &str, kind: AggregationKind) -> String {
        self.strategy.family(&self.namespace, (name, unit), kind)
    }

    /// Whether a Resource or a scope adds labels to series.
    pub(super) fn add_labels(&self) -> bool {
        self.has_scope || !self.resource.included.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_attributes() {
        let has = |included: &[&str], excluded: &[&str], key: &str| {
            Selection::new(included, excluded).has(key)
        };
        assert!(has(&["k8s.*", "service.name"], &[], "k8s.pod.name"));
        assert!(has(&["k8s.*", "service.name"], &[], "service.name"));
        assert!(!has(&["k8s.*"], &[], "xk8s.pod"));
        assert!(!has(&["k8s.*"], &[], "k8sxpod"));
        assert!(has(&["zone.?"], &[], "zone.a") && !has(&["zone.?"], &[], "zone.ab"));
        assert!(!has(&["*"], &["k8s.*"], "k8s.pod.name"));
        assert!(!has(&[], &[], "a"));
        assert!(Selection::all(false).has("service.name"));
        assert!(!Selection::all(true).has("service.name") && Selection::all(true).has("a\nb"));
    }
}
