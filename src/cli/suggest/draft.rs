//! A definition that is being made.

use std::collections::BTreeSet;

use super::{
    names::without_total,
    scalars::{flow, scalar, shown},
};

/// The most metrics of a suggestion.
pub(super) const METRICS_MAX: usize = 300;

/// The most places that a suggestion says it left out.
const LEFT_OUT_MAX: usize = 50;

/// The longest name of a metric, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// A definition that is being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Its name, with which those of the metrics begin.
    pub(super) name: String,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) groups: Vec<Group>,
    /// `uptime` or `start_time`, and why.
    pub(super) start: Option<Start>,
    left_out: Vec<String>,
    metrics: usize,
}

/// An endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) format: Option<String>,
    /// What makes an object of its list of names and values.
    pub(super) transform: Option<String>,
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
    /// Texts that belong to an `info` metric, as attributes.
    pub(super) versions: Vec<[String; 2]>,
}

/// A level of `for_each`.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) path: String,
    /// A regular expression that the names of the elements match.
    pub(super) keys: Option<String>,
    /// The name by which attributes of inner levels refer to it.
    pub(super) name: String,
    /// What tells the element apart: the sources of attributes, relative to it.
    pub(super) identity: Vec<[String; 2]>,
    pub(super) is_optional: bool,
}

/// A metric.
#[derive(Debug, Clone, Default)]
pub(super) struct Metric {
    /// What its name begins with, behind the name of the definition.
    pub(super) parts: Vec<String>,
    /// The words at the end of its name.
    pub(super) words: Vec<String>,
    pub(super) instrument: &'static str,
    pub(super) unit: Option<String>,
    /// More keys in front of the value, as YAML.
    pub(super) before: Vec<[String; 2]>,
    /// The value as YAML.
    pub(super) value: String,
    /// Keys that say how it is read, as YAML.
    pub(super) behind: Vec<[String; 2]>,
    /// Attributes beside those of the group, as YAML.
    pub(super) attributes: Vec<[String; 2]>,
    pub(super) description: Option<String>,
    pub(super) is_optional: bool,
    /// Whether it fell.
    pub(super) fell: bool,
    pub(super) reason: String,
    /// Several values with an attribute, instead of one.
    pub(super) series: Vec<Series>,
}

/// One of several values of a metric.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// As YAML.
    pub(super) value: String,
    pub(super) attribute: [String; 2],
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

    /// Adds a metric to a group, unless there are too many.
    pub(super) fn add(&mut self, group: usize, path: &str, metric: Metric) {
        self.metrics += 1;
        if self.metrics > METRICS_MAX {
            self.leave_out(path, "there are too many metrics already");
        } else if let Some(group) = self.groups.get_mut(group) {
            group.metrics.push(metric);
        }
    }

    /// The names of the metrics of each group. No two are the same, not even in other case.
    pub(super) fn names(&self) -> Vec<Vec<String>> {
        let mut names = Names::default();
        let place = |group: &Group| vec![String::new(); group.metrics.len()];
        let mut all: Vec<_> = self.groups.iter().map(place).collect();
        // Those that keep their words choose before those that may be shortened.
        for is_shortened in [false, true] {
            for (group, slots) in self.groups.iter().zip(&mut all) {
                for (metric, slot) in group.metrics.iter().zip(slots) {
                    let shortened = without_total(&metric.words);
                    let shortened = shortened.filter(|_| metric.instrument == "counter");
                    if shortened.is_some() == is_shortened {
                        let wanted = [shortened.as_ref(), Some(&metric.words)];
                        let wanted = wanted.into_iter().flatten();
                        let wanted = wanted.map(|words| self.whole_name(metric, words));
                        *slot = names.choose(&wanted.collect::<Vec<_>>());
                    }
                }
            }
        }
        all
    }

    fn whole_name(&self, metric: &Metric, words: &[String]) -> String {
        let own = words.join("_");
        let parts = metric.parts.iter().chain([&own]);
        let parts = parts.filter(|part| !part.is_empty());
        let all = [&self.name].into_iter().chain(parts);
        let all: Vec<_> = all.map(String::as_str).collect();
        let mut name = all.join(".");
        name.truncate(NAME_BYTES_MAX);
        name
    }

    /// What was left out, as comments.
    pub(super) fn left_out(&self) -> String {
        let mut text = String::new();
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
}

/// Names that are taken.
#[derive(Debug, Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// The first of the names that is free, or the last one with a number.
    fn choose(&mut self, wanted: &[String]) -> String {
        for name in wanted {
            if self.0.insert(name.to_lowercase()) {
                return name.clone();
            }
        }
        let name = wanted.last().map_or("", String::as_str);
        let mut number = 2;
        loop {
            let unique = format!("{name}_{number}");
            if self.0.insert(unique.to_lowercase()) {
                return unique;
            }
            number += 1;
        }
    }
}

impl Group {
    /// The levels as YAML.
    pub(super) fn for_each(&self) -> Option<String> {
        let level = |level: &Level, is_last: bool| {
            let mut fields = vec![["path".to_owned(), scalar(&level.path)]];
            let keys = level.keys.iter().map(|keys| scalar(keys));
            fields.extend(keys.map(|keys| ["keys".to_owned(), keys]));
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
    pub(super) fn max_series(&self) -> Option<String> {
        let wanted = self.elements * 2;
        (wanted > 200 && !self.levels.is_empty()).then(|| wanted.to_string())
    }
}
