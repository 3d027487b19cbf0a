//! Names in Prometheus' syntax, by the reference translator of the Prometheus compatibility
//! specification (underscores with suffixes).

use crate::telemetry::names;

/// The kind of a metric, as far as names and types depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::exporters) enum AggregationKind {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
    /// A gauge that is always 1 and has its information in labels.
    Info,
}

impl AggregationKind {
    /// The type in the TYPE line of OpenMetrics. Families with the same name and type are one.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter | Self::Gauge => "gauge",
            Self::Info => "info",
            Self::Histogram => "histogram",
        }
    }

    /// The suffixes of the sample names of a family.
    pub(super) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_bucket", "_sum", "_count"],
            _ => &[""],
        }
    }

    /// The name of a family in OpenMetrics, if it differs from the name of its samples.
    pub(super) fn open_name(self, family: &str) -> Option<&str> {
        match self {
            Self::Counter => family.strip_suffix("_total"),
            Self::Info => family.strip_suffix("_info"),
            _ => None,
        }
        .filter(|name| !name.is_empty())
    }
}

/// The name of a family: words joined by `_`, with the unit and `_total` added if they are missing.
pub(in crate::exporters) fn family(name: &str, unit: &str, kind: AggregationKind) -> String {
    let mut words: Vec<&str> = split(name).collect();
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let (main, per) = (cleaned(main, MAIN_UNITS), cleaned(per, PER_UNITS));
    if !main.is_empty() && !words.contains(&main.as_str()) {
        words.push(&main);
    }
    if !per.is_empty() && !words.contains(&per.as_str()) {
        words.extend(["per", &per]);
    }
    match kind {
        AggregationKind::Counter => move_to_end(&mut words, "total"),
        // Counters of things often have the unit 1, so only a gauge is a ratio.
        AggregationKind::Gauge if unit == "1" => move_to_end(&mut words, "ratio"),
        _ => {}
    }
    let mut joined = words.join("_");
    if joined.is_empty() || joined.starts_with(|c: char| c.is_ascii_digit()) {
        joined.insert(0, '_');
    }
    joined
}

/// The name of a family with all its characters, and with the unit, `_total` and `_ratio` added if
/// they are missing.
pub(super) fn suffixed(name: &str, unit: &str, kind: AggregationKind) -> String {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let (main, per) = (cleaned(main, MAIN_UNITS), cleaned(per, PER_UNITS));
    let per = if per.is_empty() {
        per
    } else {
        format!("per_{per}")
    };
    let last = match kind {
        AggregationKind::Counter => "total",
        AggregationKind::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    let stem = without_suffix(without_suffix(name, last), &per);
    let main = if stem.ends_with(&main) { "" } else { &main };
    let mut out = stem.to_owned();
    for suffix in [main, &per, last].into_iter().filter(|of| !of.is_empty()) {
        out.push('_');
        out.push_str(suffix);
    }
    out
}

/// The name without a suffix and its delimiter.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    let stem = name.strip_suffix(suffix).filter(|_| !suffix.is_empty());
    let stem = stem.and_then(|stem| stem.strip_suffix(|c: char| !c.is_alphanumeric()));
    stem.filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// The unit as it is written in names.
pub(super) fn unit(unit: &str) -> String {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let mut word = cleaned(main, MAIN_UNITS);
    if !per.is_empty() {
        word.push_str("_per_");
        word.push_str(&cleaned(per, PER_UNITS));
    }
    if unit == "1" {
        "ratio".clone_into(&mut word);
    }
    word
}

/// The unit, if the name ends with it as OpenMetrics requires. Otherwise empty.
pub(super) fn ends_with_unit<'a>(name: &str, unit: &'a str) -> &'a str {
    let before = name.strip_suffix(unit).unwrap_or_default();
    if before.ends_with('_') { unit } else { "" }
}

/// The name on a scrape of one of the collector's own metrics.
pub fn scrape_name(metric: &names::Metric) -> String {
    let kind = match metric.kind {
        names::MetricKind::Counter => AggregationKind::Counter,
        names::MetricKind::UpDownCounter => AggregationKind::UpDownCounter,
        names::MetricKind::Gauge => AggregationKind::Gauge,
        names::MetricKind::Histogram(_) => AggregationKind::Histogram,
    };
    family(metric.name, metric.unit, kind)
}

/// The name of a label.
pub(in crate::exporters) fn label(key: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = key.chars().map(valid).collect();
    match name.as_bytes() {
        [] => "_".to_owned(),
        [b'0'..=b'9', ..] => format!("key_{name}"),
        // Prometheus reserves these names.
        [b'_', b'_', ..] => format!("key{name}"),
        _ => name,
    }
}

fn split(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
        .filter(|word| !word.is_empty())
}

fn move_to_end<'a>(words: &mut Vec<&'a str>, last: &'a str) {
    words.retain(|word| *word != last);
    words.push(last);
}

/// The name for a unit. An unknown unit keeps its valid characters.
fn cleaned(unit: &str, known: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    match known.iter().find(|(ucum, _)| *ucum == unit) {
        Some((_, word)) => (*word).to_owned(),
        None => split(unit).collect::<Vec<_>>().join("_"),
    }
}

const MAIN_UNITS: &[(&str, &str)] = &[
    ("1", ""),
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests {
    use super::{AggregationKind::*, *};

    #[test]
    fn families_have_the_names_of_the_reference_translator() {
        for (name, unit, kind, expected) in [
            (
                "betanet_bytes_transmitted_total",
                "By",
                Counter,
                "betanet_bytes_transmitted_total",
            ),
            (
                "betanet_message_latency_seconds",
                "s",
                Histogram,
                "betanet_message_latency_seconds",
            ),
            (
                "betanet.poll.results",
                "{poll}",
                Counter,
                "betanet_poll_results_total",
            ),
            (
                "betanet.scrape.body_size",
                "By",
                Gauge,
                "betanet_scrape_body_size_bytes",
            ),
            (
                "betanet.source.last_success.timestamp",
                "s",
                Gauge,
                "betanet_source_last_success_timestamp_seconds",
            ),
            ("total.requests", "", Counter, "requests_total"),
            ("x_total", "s", Counter, "x_seconds_total"),
            ("x", "ms", Gauge, "x_milliseconds"),
            ("x", "KiBy", Gauge, "x_kibibytes"),
            ("x", "%", Gauge, "x_percent"),
            ("x", "Cel", Gauge, "x_celsius"),
            ("x", "m/s", Gauge, "x_meters_per_second"),
            ("x", "{packet}/s", Gauge, "x_per_second"),
            ("x_per_second", "By/s", Gauge, "x_per_second_bytes"),
            ("x", "1", Gauge, "x_ratio"),
            ("x.ratio.y", "1", Gauge, "x_y_ratio"),
            ("x", "1", UpDownCounter, "x"),
            ("x", "1", Counter, "x_total"),
            ("x", "foo bar", Gauge, "x_foo_bar"),
            ("_a..b--c__d_", "", Gauge, "a_b_c_d"),
            ("ns:x", "", Gauge, "ns:x"),
            ("2xx", "", Counter, "_2xx_total"),
            ("größe", "", Gauge, "gr_e"),
            ("", "", Gauge, "_"),
        ] {
            assert_eq!(
                family(name, unit, kind),
                expected,
                "{name} in {unit} ({kind:?})"
            );
        }
    }

    #[test]
    fn labels_are_valid_and_not_reserved() {
        for (key, expected) in [
            ("url.template", "url_template"),
            ("a", "a"),
            ("_a", "_a"),
            ("1abc", "key_1abc"),
            ("__name__", "key__name__"),
            ("a:b", "a_b"),
            ("ä", "_"),
            ("", "_"),
        ] {
            assert_eq!(label(key), expected, "{key}");
        }
    }
}
