//! The translation of metric and attribute names, with the four strategies of Prometheus and the
//! OpenTelemetry Collector.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    escape::is_plain_label,
    name::{self, AggregationKind},
};

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
    use super::TranslationStrategy::*;
    use crate::exporters::prometheus::name::AggregationKind::*;

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
