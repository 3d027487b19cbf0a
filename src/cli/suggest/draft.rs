//! A definition that is being made, and how it is written.

use std::collections::BTreeSet;

/// The most metrics of a suggestion.
pub(super) const METRICS_MAX: usize = 300;

/// The most places that a suggestion says it left out.
const LEFT_OUT_MAX: usize = 50;

/// The longest text from a body in a comment, in letters.
const SHOWN_LETTERS_MAX: usize = 60;

/// A definition that is being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Its name, with which those of the metrics begin.
    pub(super) name: String,
    /// The endpoints, as YAML, by their names.
    pub(super) endpoints: Vec<[String; 2]>,
    pub(super) groups: Vec<Group>,
    /// `uptime` or `start_time`, and why.
    pub(super) start: Option<Start>,
    left_out: Vec<String>,
    names: BTreeSet<String>,
    metrics: usize,
}

/// When the process began.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) key: &'static str,
    pub(super) endpoint: String,
    pub(super) fields: Vec<[String; 2]>,
    pub(super) reason: String,
}

/// Metrics of the same elements.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) endpoint: String,
    pub(super) levels: Vec<Level>,
    /// The attributes by their keys, as YAML.
    pub(super) attributes: Vec<[String; 2]>,
    pub(super) reason: String,
    /// How many elements there are.
    pub(super) elements: usize,
    pub(super) metrics: Vec<Metric>,
    /// Texts that belong to an `info` metric, by their paths.
    pub(super) versions: Vec<[String; 2]>,
}

/// A level of `for_each`.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) path: String,
    /// The name by which attributes of inner levels refer to it.
    pub(super) name: String,
    /// What tells the element apart: the sources of attributes, relative to it.
    pub(super) identity: Vec<[String; 2]>,
    pub(super) is_optional: bool,
}

/// A metric, as the keys of its entry.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) fields: Vec<[String; 2]>,
    pub(super) reason: String,
}

impl Draft {
    /// An empty one.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Notes what is no metric, and why.
    pub(super) fn leave_out(&mut self, path: &str, why: &str) {
        self.left_out.push(format!("{}: {why}", shown(path)));
    }

    /// A name that no other metric has, not even in other case.
    pub(super) fn new_name(&mut self, parts: &[String]) -> String {
        let mut name = self.name.clone();
        for part in parts {
            name.push('.');
            name.push_str(part);
        }
        name.truncate(200);
        let mut unique = name.clone();
        let mut number = 2;
        while !self.names.insert(unique.to_lowercase()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        unique
    }

    /// Adds a metric to a group, unless there are too many.
    pub(super) fn add(&mut self, group: usize, path: &str, metric: Metric) {
        self.metrics += 1;
        if self.metrics > METRICS_MAX {
            self.leave_out(path, "there are too many metrics already");
        } else if let Some(group) = self.groups.get_mut(group) {
            group.metrics.push(metric);
        }
    }

    /// As a file.
    pub(super) fn to_yaml(&self, seconds: f64) -> String {
        let mut text = format!(
            "# A first definition: `betanet-collector suggest` made it from two polls {seconds} s apart.\n\
             # Each guess says why. Read them, give the metrics good names and descriptions, and keep\n\
             # what is right with `betanet-collector test --update`.\n\
             resource: {{ service.name: {} }}\n\nendpoints:\n",
            scalar(&self.name)
        );
        for [name, endpoint] in &self.endpoints {
            text.push_str(&format!("  {}: {endpoint}\n", scalar(name)));
        }
        if let Some(start) = &self.start {
            let mut fields = start.fields.clone();
            if self.endpoints.len() > 1 {
                fields.insert(0, ["endpoint".to_owned(), scalar(&start.endpoint)]);
            }
            let (reason, key) = (&start.reason, start.key);
            text.push_str(&format!("\n# {reason}\n{key}: {}\n", flow(&fields)));
        }
        text.push_str("\nmetrics:\n");
        for group in self.groups.iter().filter(|group| !group.metrics.is_empty()) {
            self.write_group(group, &mut text);
        }
        if !self.left_out.is_empty() {
            text.push_str("\n# Left out:\n");
        }
        for line in self.left_out.iter().take(LEFT_OUT_MAX) {
            text.push_str(&format!("#   {line}\n"));
        }
        match self.left_out.len().saturating_sub(LEFT_OUT_MAX) {
            0 => {}
            more => text.push_str(&format!("#   and {more} more\n")),
        }
        text
    }

    fn write_group(&self, group: &Group, text: &mut String) {
        let mut keys = Vec::new();
        if self.endpoints.len() > 1 {
            keys.push(["endpoint".to_owned(), scalar(&group.endpoint)]);
        }
        keys.extend(
            group
                .for_each()
                .map(|levels| ["for_each".to_owned(), levels]),
        );
        if !group.attributes.is_empty() {
            keys.push(["attributes".to_owned(), flow(&group.attributes)]);
        }
        keys.extend(group.max_series().map(|max| ["max_series".to_owned(), max]));
        let mut indent = "  ";
        if !group.reason.is_empty() {
            text.push_str(&format!("  # {}\n", group.reason));
        }
        if !keys.is_empty() {
            let mut dash = "- ";
            for [key, value] in &keys {
                text.push_str(&format!("  {dash}{key}: {value}\n"));
                dash = "  ";
            }
            text.push_str("    metrics:\n");
            indent = "      ";
        }
        for metric in &group.metrics {
            let (reason, fields) = (&metric.reason, flow(&metric.fields));
            text.push_str(&format!("{indent}# {reason}\n{indent}- {fields}\n"));
        }
    }
}

impl Group {
    fn for_each(&self) -> Option<String> {
        let level = |level: &Level, is_last: bool| {
            let mut fields = vec![["path".to_owned(), scalar(&level.path)]];
            if !is_last {
                fields.push(["as".to_owned(), scalar(&level.name)]);
            }
            if level.is_optional {
                fields.push(["optional".to_owned(), "true".to_owned()]);
            }
            match fields.len() {
                1 => scalar(&level.path),
                _ => flow(&fields),
            }
        };
        let count = self.levels.len();
        let levels = (1..).zip(&self.levels);
        let mut levels: Vec<_> = levels.map(|(n, of)| level(of, n == count)).collect();
        match count {
            0 => None,
            1 => levels.pop(),
            _ => Some(format!("[{}]", levels.join(", "))),
        }
    }

    /// Room for twice the elements, where the default is not enough.
    fn max_series(&self) -> Option<String> {
        let wanted = self.elements * 2;
        (wanted > 200 && !self.levels.is_empty()).then(|| wanted.to_string())
    }
}

/// A map on one line.
fn flow(fields: &[[String; 2]]) -> String {
    let fields = fields
        .iter()
        .map(|[key, value]| format!("{}: {value}", scalar(key)));
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

/// A text as a YAML scalar that may stand on a line with others.
pub(super) fn scalar(text: &str) -> String {
    const OTHERS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.$/-".contains(letter);
    let begins = |letter: char| letter.is_ascii_alphabetic() || "_$/".contains(letter);
    let is_plain = text.starts_with(begins)
        && text.chars().all(is_word)
        && !text.contains("${")
        && !OTHERS.contains(&text.to_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '$' if text.contains("${") || text.contains("$$") => quoted.push_str("$$"),
            letter if letter.is_control() || letter == '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A text from a body within a comment: one short line.
pub(super) fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(SHOWN_LETTERS_MAX).collect();
    shown = shown.replace(char::is_control, " ");
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostics, parse};

    #[test]
    fn a_text_is_read_as_it_was() {
        for text in [
            "a",
            "$.a",
            "@key",
            "true",
            "1",
            "",
            "a b",
            "a: b",
            "x\"y\\z\n",
            "é",
            "# x",
            "- a",
            "~",
            "{a}",
            "$['a b']",
        ] {
            let yaml = format!("{{ k: {}, l: [{}] }}", scalar(text), scalar(text));
            let node = parse("f", &yaml, &mut Diagnostics::new()).unwrap();
            assert_eq!(node.get("k").unwrap().text(), Some(text), "{yaml}");
            let is_text = node.get("k").unwrap().describe().starts_with("the string");
            assert!(is_text, "{yaml}");
        }
    }
}
