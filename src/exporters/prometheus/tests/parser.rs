//! A strict parser of the text format (0.0.4, and 1.0.0 with names in quotes) and of OpenMetrics.
//! It is independent of the code that writes them.

use std::collections::{BTreeMap, BTreeSet};

/// The contents of a scrape.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub(super) help: BTreeMap<String, String>,
    pub(super) types: BTreeMap<String, String>,
    pub(super) units: BTreeMap<String, String>,
    pub(super) samples: BTreeMap<ParsedSeries, String>,
    /// The timestamps after values, as they are written.
    pub(super) times: BTreeSet<String>,
}

/// The name and the labels of a sample.
pub(super) type ParsedSeries = (String, BTreeMap<String, String>);

/// Parses a scrape. Panics if it breaks a rule of the format.
pub(super) fn parse(text: &str) -> Scrape {
    let (mut scrape, mut done, mut current) = (Scrape::default(), BTreeSet::new(), String::new());
    let open = text.strip_suffix("# EOF\n");
    let text = open.unwrap_or(text);
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.split_terminator('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = name(help);
            let (help, _) = unescape(help.strip_prefix(' ').unwrap(), open.map(|_| Until::End));
            assert!(scrape.help.insert(name, help).is_none(), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = name(kind);
            assert!(done.insert(std::mem::replace(&mut current, name.clone())));
            assert!(!done.contains(&name), "family {name} twice");
            let kind = kind.strip_prefix(' ').unwrap().to_owned();
            scrape.types.insert(name, kind);
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = name(unit);
            let unit = unit.strip_prefix(' ').unwrap();
            assert!(
                open.is_some() && name.ends_with(&format!("_{unit}")),
                "{line}"
            );
            assert!(
                scrape.units.insert(name, unit.to_owned()).is_none(),
                "{line}"
            );
        } else {
            let (series, value) = sample(line);
            let suffix = series
                .0
                .strip_prefix(&current)
                .unwrap_or("of another family");
            let suffixes = suffixes(&scrape.types[&current], open.is_some());
            assert!(suffixes.contains(&suffix), "{line} in {current}");
            let (value, time) = value.split_once(' ').unwrap_or((value, ""));
            assert!(value.replace("Inf", "inf").parse::<f64>().is_ok(), "{line}");
            if !time.is_empty() {
                assert!(time.parse::<f64>().is_ok(), "{line}");
                scrape.times.insert(time.to_owned());
            }
            let taken = scrape.samples.insert(series, value.to_owned());
            assert!(taken.is_none(), "series twice: {line}");
        }
    }
    scrape
}

/// The suffixes that samples of a family may have.
fn suffixes(kind: &str, is_open: bool) -> &'static [&'static str] {
    match (kind, is_open) {
        ("histogram", false) => &["_bucket", "_sum", "_count"],
        ("histogram", true) => &["_bucket", "_sum", "_count", "_created"],
        ("counter", true) => &["_total", "_created"],
        ("info", true) => &["_info"],
        ("counter" | "gauge", false) | ("gauge" | "unknown", true) => &[""],
        _ => panic!("unknown type {kind}"),
    }
}

fn sample(line: &str) -> (ParsedSeries, &str) {
    let (mut metric, mut rest) = match line.starts_with('{') {
        true => (None, line),
        false => {
            let (metric, rest) = name(line);
            (Some(metric), rest)
        }
    };
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            if let Some(end) = rest.strip_prefix('}') {
                rest = end;
                break;
            }
            let (label, after) = name(rest);
            let Some(quoted) = after.strip_prefix("=\"") else {
                assert!(metric.replace(label).is_none(), "two names: {line}");
                rest = after.strip_prefix(',').unwrap_or(after);
                continue;
            };
            assert!(metric.is_some(), "no name first: {line}");
            let is_quoted = rest.starts_with('"');
            assert!(is_quoted || !label.contains(':'), "label {label} in {line}");
            let (value, left) = unescape(quoted, Some(Until::Quote));
            assert!(!label.starts_with("__"), "reserved: {line}");
            assert!(labels.insert(label, value).is_none(), "label twice: {line}");
            rest = left.strip_prefix(',').unwrap_or(left);
        }
    }
    ((metric.unwrap(), labels), rest.strip_prefix(' ').unwrap())
}

/// The name at the start of a text, in quotes if necessary, and the text after it.
fn name(text: &str) -> (String, &str) {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = unescape(quoted, Some(Until::Quote));
            assert!(
                !is_name(&name) || name.contains(':'),
                "unnecessary quotes: {text}"
            );
            return (name, rest);
        }
        None => text.split_at(text.find(['{', ' ', '=', ',', '}']).unwrap()),
    };
    assert!(is_name(name), "{text}");
    (name.to_owned(), rest)
}

/// The end of an escaped text in which `\"` is a quote.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Quote,
    End,
}

/// The text up to its end, and the rest. In a HELP line of the text format, `\"` is unknown.
fn unescape(text: &str, quoted: Option<Until>) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted == Some(Until::Quote) => return (out, chars.as_str()),
            '"' if quoted == Some(Until::End) => panic!("a bare quote in {text}"),
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('\\') => out.push('\\'),
                Some('"') if quoted.is_some() => out.push('"'),
                other => panic!("\\ before {other:?} in {text}"),
            },
            c => out.push(c),
        }
    }
    assert!(quoted != Some(Until::Quote), "no closing quote in {text}");
    (out, "")
}

fn is_name(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(valid) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}
