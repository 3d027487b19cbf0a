//! How series are called and what each of them carries, as the configuration says.

use std::collections::BTreeMap;

use super::{name::AggregationKind, translation::TranslationStrategy};
use crate::settings::Pattern;

/// What the Prometheus compatibility specification makes `job` and `instance` of.
const SERVICE: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// The rules of one exporter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RenderingRules {
    /// How names are translated.
    pub(super) strategy: TranslationStrategy,
    /// Stands before each name; may be empty.
    pub(super) namespace: String,
    /// On every series.
    pub(super) const_labels: BTreeMap<String, String>,
    /// Which attributes of the Resource are on every series.
    pub(super) resource: Selection,
    /// Whether name and version of the scope are on every series.
    pub(super) has_scope: bool,
    /// Whether the time of the observation stands behind each value.
    pub(super) has_time: bool,
    /// Whether totals say in OpenMetrics when they began.
    pub(super) has_created: bool,
}

/// Which attributes of a Resource are labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection {
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl Selection {
    /// Those that one of `included` has, without those that one of `excluded` has. In patterns `*`
    /// is any text and `?` any character.
    pub(super) fn new<T: AsRef<str>>(included: &[T], excluded: &[T]) -> Self {
        Self {
            included: included.iter().filter_map(wildcard).collect(),
            excluded: excluded.iter().filter_map(wildcard).collect(),
        }
    }

    /// All of them, or all but what `job` and `instance` are made of.
    pub(super) fn all(excludes_service: bool) -> Self {
        let excluded: &[&str] = if excludes_service { &SERVICE } else { &[] };
        Self::new(&["*"], excluded)
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, key: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|one| one.get().is_match(key));
        matches(&self.included) && !matches(&self.excluded)
    }
}

fn wildcard<T: AsRef<str>>(pattern: &T) -> Option<Pattern> {
    let escaped = regex::escape(pattern.as_ref());
    let pattern = escaped.replace(r"\*", ".*").replace(r"\?", ".");
    // What is escaped is always a pattern, unless it is larger than a regular expression may be.
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
    fn patterns_choose_attributes() {
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
