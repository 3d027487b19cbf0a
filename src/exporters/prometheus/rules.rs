//! The configured rules for names and labels of series. Names are translated with the four strategies
//! of Prometheus and the OpenTelemetry Collector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    escape::is_plain_label,
    name::{self, AggregationKind},
};
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

/// How `http.server.duration`, a histogram in s, and the attribute `http.method` are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TranslationStrategy {
    /// `http_server_duration_seconds`, `http_method`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// `http_server_duration`, `http_method`.
    UnderscoreEscapingWithoutSuffixes,
    /// `http.server.duration_seconds`, `http.method`. A scraper that cannot read such names gets
    /// them escaped.
    NoUTF8EscapingWithSuffixes,
    /// `http.server.duration`, `http.method`.
    NoTranslation,
}

impl TranslationStrategy {
    /// The name of a family. `namespace` may be empty.
    pub(super) fn family(
        self,
        namespace: &str,
        metric: (&str, &str),
        kind: AggregationKind,
    ) -> String {
        let (name, unit) = metric;
        match self {
            Self::UnderscoreEscapingWithSuffixes => {
                prefixed(namespace, name::family(name, unit, kind))
            }
            Self::UnderscoreEscapingWithoutSuffixes => prefixed(namespace, plain(name)),
            Self::NoUTF8EscapingWithSuffixes => {
                name::suffixed(&verbatim(namespace, name), unit, kind)
            }
            Self::NoTranslation => verbatim(namespace, name),
        }
    }

    /// The name of a label.
    pub(super) fn label(self, key: &str) -> String {
        match self {
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes => {
                name::label(key)
            }
            Self::NoUTF8EscapingWithSuffixes | Self::NoTranslation => match key {
                "" => "_".to_owned(),
                // Prometheus reserves these names.
                key if key.starts_with("__") => format!("key{key}"),
                key => key.to_owned(),
            },
        }
    }
}

impl TranslationStrategy {
    /// Appends the name of a label in the usual case: every scraper can read it, and it equals its
    /// key letter by letter. Returns false in any other case; then the appended text is not valid.
    pub(super) fn push_label(self, out: &mut String, key: &str) -> bool {
        let from = out.len();
        match self {
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes => {
                let valid = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                out.extend(key.chars().map(valid));
            }
            Self::NoUTF8EscapingWithSuffixes | Self::NoTranslation => out.push_str(key),
        }
        let name = out.get(from..).unwrap_or_default();
        is_plain_label(name) && !name.starts_with("__")
    }
}

fn plain(name: &str) -> String {
    name::family(name, "", AggregationKind::UpDownCounter)
}

fn prefixed(namespace: &str, family: String) -> String {
    if namespace.is_empty() {
        return family;
    }
    // A family name starts with `_` only if the next character is a digit.
    format!("{}_{}", plain(namespace), family.trim_start_matches('_'))
}

fn verbatim(namespace: &str, name: &str) -> String {
    match (namespace, name) {
        ("", "") => "_".to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AggregationKind::{Counter, Gauge, Histogram},
        TranslationStrategy::*,
        *,
    };

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

    #[test]
    fn family_names_follow_the_strategy() {
        let all = [
            UnderscoreEscapingWithSuffixes,
            UnderscoreEscapingWithoutSuffixes,
            NoUTF8EscapingWithSuffixes,
            NoTranslation,
        ];
        for (namespace, metric, kind, expected) in [
            (
                "",
                ("http.server.duration", "s"),
                Histogram,
                [
                    "http_server_duration_seconds",
                    "http_server_duration",
                    "http.server.duration_seconds",
                    "http.server.duration",
                ],
            ),
            (
                "my-space",
                ("x.total", "By/s"),
                Counter,
                [
                    "my_space_x_bytes_per_second_total",
                    "my_space_x_total",
                    "my-space_x_bytes_per_second_total",
                    "my-space_x.total",
                ],
            ),
            (
                "",
                ("x.ratio", "1"),
                Gauge,
                ["x_ratio", "x_ratio", "x_ratio", "x.ratio"],
            ),
            (
                "",
                ("subtotal", ""),
                Counter,
                ["subtotal_total", "subtotal", "subtotal_total", "subtotal"],
            ),
            (
                "",
                ("x_bytes", "By"),
                Gauge,
                ["x_bytes", "x_bytes", "x_bytes", "x_bytes"],
            ),
            (
                "n",
                ("2xx", ""),
                Gauge,
                ["n_2xx", "n_2xx", "n_2xx", "n_2xx"],
            ),
            ("", ("", ""), Gauge, ["_", "_", "_", "_"]),
        ] {
            assert_eq!(all.map(|of| of.family(namespace, metric, kind)), expected);
        }
    }

    #[test]
    fn label_names_follow_the_strategy() {
        assert_eq!(
            UnderscoreEscapingWithoutSuffixes.label("http.method"),
            "http_method"
        );
        assert_eq!(NoTranslation.label("http.method"), "http.method");
        assert_eq!(NoUTF8EscapingWithSuffixes.label("__name__"), "key__name__");
        assert_eq!(NoTranslation.label(""), "_");
    }
}
