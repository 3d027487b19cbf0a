//! A reader of the text format 0.0.4 that knows nothing of the code that writes it.

use std::collections::{BTreeMap, BTreeSet};

/// What a scrape says.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub(super) help: BTreeMap<String, String>,
    pub(super) types: BTreeMap<String, String>,
    pub(super) samples: BTreeMap<Series, String>,
}

/// A sample's name and labels.
pub(super) type Series = (String, BTreeMap<String, String>);

/// Reads a scrape; panics where it breaks a rule of the format.
pub(super) fn parse(text: &str) -> Scrape {
    let (mut scrape, mut done, mut current) = (Scrape::default(), BTreeSet::new(), String::new());
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.split_terminator('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let (help, _) = unescape(help, false);
            assert!(
                scrape.help.insert(name.to_owned(), help).is_none(),
                "{line}"
            );
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(is_name(name), "{line}");
            assert!(done.insert(std::mem::replace(&mut current, name.to_owned())));
            assert!(!done.contains(name), "family {name} twice");
            scrape.types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = sample(line);
            let base = |suffix| series.0.strip_suffix(suffix) == Some(&current);
            let parts = ["_bucket", "_sum", "_count"].into_iter().any(base);
            assert!(series.0 == current || parts, "{line} in {current}");
            assert!(value.replace("Inf", "inf").parse::<f64>().is_ok(), "{line}");
            let taken = scrape.samples.insert(series, value.to_owned());
            assert!(taken.is_none(), "series twice: {line}");
        }
    }
    scrape
}

fn sample(line: &str) -> (Series, &str) {
    let at = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(at);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            if let Some(end) = rest.strip_prefix('}') {
                rest = end;
                break;
            }
            let (label, quoted) = rest.split_once("=\"").unwrap();
            assert!(
                is_name(label) && !label.contains(':'),
                "label {label} in {line}"
            );
            let (value, left) = unescape(quoted, true);
            assert!(
                labels.insert(label.to_owned(), value).is_none(),
                "label twice: {line}"
            );
            rest = left.strip_prefix(',').unwrap_or(left);
        }
    }
    ((name.to_owned(), labels), rest.strip_prefix(' ').unwrap())
}

/// The text up to the closing quote, or all of it, and what follows.
fn unescape(text: &str, quoted: bool) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted => return (out, chars.as_str()),
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('\\') => out.push('\\'),
                Some('"') if quoted => out.push('"'),
                other => panic!("\\ before {other:?} in {text}"),
            },
            c => out.push(c),
        }
    }
    assert!(!quoted, "no closing quote in {text}");
    (out, "")
}

fn is_name(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(valid) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}
