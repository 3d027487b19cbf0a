//! The configuration as it is understood, line by line, with what is a default.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Config, ServiceConfig};
use crate::{
    overview::ConfigLine,
    yaml::{self, Diagnostics, Node, Value},
};

/// The configuration as YAML. A line is a default if it would say the same without being written.
///
/// # Errors
/// If it cannot be written as YAML.
pub fn lines(config: &Config) -> Result<Vec<ConfigLine>, serde_saphyr::ser::Error> {
    let text = serde_saphyr::to_string(config)?;
    let root = read(&text);
    let mut found = BTreeSet::new();
    for section in root.iter().flat_map(Node::entries) {
        if section.key == "service" {
            let default = written(&ServiceConfig::default());
            find_defaults(&section.value, default.as_ref(), &mut found);
            continue;
        }
        for component in section.value.entries() {
            let default = default_of(config, &section.key, &component.key);
            find_defaults(&component.value, default.as_ref(), &mut found);
        }
    }
    let lines = text.trim_end().lines().zip(1..);
    let lines = lines.map(|(line, number)| ConfigLine {
        text: line.to_owned(),
        is_default: found.contains(&number),
    });
    Ok(lines.collect())
}

/// What a component would be if nothing were written below its name.
fn default_of(config: &Config, section: &str, id: &str) -> Option<Node> {
    let id = id.parse().ok()?;
    match section {
        "receivers" => written(&config.receivers.get(&id)?.defaults()?),
        "processors" => written(&config.processors.get(&id)?.defaults()?),
        "exporters" => written(&config.exporters.get(&id)?.defaults()?),
        "extensions" => written(&config.extensions.get(&id)?.defaults()?),
        _ => None,
    }
}

fn written(value: &impl Serialize) -> Option<Node> {
    read(&serde_saphyr::to_string(value).ok()?)
}

fn read(text: &str) -> Option<Node> {
    yaml::parse("configuration", text, &mut Diagnostics::new())
}

/// Notes the lines of `node` that say what `default` says.
fn find_defaults(node: &Node, default: Option<&Node>, found: &mut BTreeSet<usize>) {
    let Some(default) = default else { return };
    for entry in node.entries() {
        let before = default.get(&entry.key);
        if before.is_some_and(|before| is_same(before, &entry.value)) {
            found.insert(entry.key_place.line);
            note(&entry.value, found);
        } else {
            find_defaults(&entry.value, before, found);
            find_empty(&entry.value, found);
        }
    }
}

/// The items of a list have no default to compare with, but what is empty in one need not be
/// written.
fn find_empty(list: &Node, found: &mut BTreeSet<usize>) {
    for entry in list.items().iter().flat_map(Node::entries) {
        let is_empty = match &entry.value.value {
            Value::Map(entries) => entries.is_empty(),
            Value::Seq(items) => items.is_empty(),
            other => matches!(other, Value::Null),
        };
        if is_empty {
            found.insert(entry.key_place.line);
        }
    }
}

/// Notes all lines of a value.
fn note(node: &Node, found: &mut BTreeSet<usize>) {
    found.insert(node.place.line);
    for entry in node.entries() {
        found.insert(entry.key_place.line);
        note(&entry.value, found);
    }
    node.items().iter().for_each(|item| note(item, found));
}

/// Whether both say the same, wherever they stand.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Map(ours), Value::Map(theirs)) => {
            let mut both = ours.iter().zip(theirs);
            ours.len() == theirs.len()
                && both
                    .all(|(our, their)| our.key == their.key && is_same(&our.value, &their.value))
        }
        (Value::Seq(ours), Value::Seq(theirs)) => {
            let mut both = ours.iter().zip(theirs);
            ours.len() == theirs.len() && both.all(|(our, their)| is_same(our, their))
        }
        (our, their) => our == their,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources;

    #[test]
    fn a_line_is_a_default_if_it_would_say_the_same_without_being_written() {
        let text = "receivers: {betanet: {targets: [{endpoint: 'http://a:1'}], timeout: {max: 7s}}}\n\
                    exporters: {debug: {verbosity: basic}}\n\
                    service: {pipelines: {metrics: {receivers: [betanet], exporters: [debug]}}}\n";
        let sources = sources(&[format!("yaml:{text}")], &[]).unwrap();
        let mut diagnostics = Diagnostics::new();
        let config = Config::load(&sources, &|_: &str| None, &mut diagnostics);
        let config = config.unwrap_or_else(|| panic!("{diagnostics}"));
        let lines = lines(&config).unwrap();
        let is_default = |key: &str| {
            let mut of_key = lines
                .iter()
                .filter(|line| line.text.trim_start().starts_with(key));
            let first = of_key
                .next()
                .unwrap_or_else(|| panic!("no `{key}` in {lines:#?}"));
            first.is_default
        };
        for (key, expected) in [
            ("receivers:", false),
            ("- endpoint: ", false),
            ("labels: ", true),
            ("max: ", false),
            ("adaptive: ", true),
            ("max_retries: ", true),
            // Written, and the same as if it were not.
            ("verbosity: ", true),
            ("shutdown_timeout: ", true),
            ("pipelines:", false),
        ] {
            assert_eq!(is_default(key), expected, "{key}");
        }
    }
}
