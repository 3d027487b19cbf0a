//! The labels of a series: who the target is, then the attributes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
};

use opentelemetry::{Key, Value};

use super::{rules::Rules, text, translation::TranslationStrategy};
use crate::pipeline::Target;

/// The label that names the target; `job` and `instance` are Prometheus' own.
const TARGET: &str = "target";
/// The label of a bucket's upper bound.
const LE: &str = "le";
/// What Prometheus puts before a label that a scrape brings although the name is taken.
const EXPORTED: &str = "exported_";

/// Labels that every series of a target carries, rendered once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    strategy: TranslationStrategy,
    taken: Vec<String>,
    text: String,
}

impl Labels {
    /// Name, constant labels and configured labels of a target.
    pub(super) fn of(target: &Target, rules: &Rules) -> Self {
        Self::name_of(target, rules).and(borrowed(&target.labels))
    }

    /// The name of a target and the constant labels.
    pub(super) fn name_of(target: &Target, rules: &Rules) -> Self {
        let mut labels = Self {
            strategy: rules.strategy,
            taken: vec![TARGET.to_owned()],
            text: String::new(),
        };
        text::label(&mut labels.text, TARGET, &target.name);
        labels.and(borrowed(&rules.const_labels))
    }

    /// These and more, which give way where a name is taken.
    pub(super) fn and<'a>(mut self, pairs: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> Self {
        // `le` would be there twice on a histogram.
        for (name, value) in self.resolve(pairs, true) {
            text::label(&mut self.text, &name, &value);
            self.taken.push(name);
        }
        self
    }

    /// The labels of one series. `buckets` says that `le` is taken too.
    pub(super) fn with<'a>(
        &self,
        attributes: impl Iterator<Item = (&'a Key, &'a Value)>,
        buckets: bool,
    ) -> String {
        let pairs = attributes.map(|(key, value)| (key.as_str(), value.as_str()));
        let mut labels = self.text.clone();
        for (name, value) in self.resolve(pairs, buckets) {
            text::label(&mut labels, &name, &value);
        }
        labels
    }

    /// Valid names, none of them taken; keys that become the same name share it, and their
    /// values are joined in the order of the keys.
    fn resolve<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
        buckets: bool,
    ) -> BTreeMap<String, Cow<'a, str>> {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let mut name = self.strategy.label(key);
            while self.taken.contains(&name) || (buckets && name == LE) {
                name.insert_str(0, EXPORTED);
            }
            match labels.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(mut shared) => {
                    let joined = shared.get_mut().to_mut();
                    joined.push(';');
                    joined.push_str(&value);
                }
            }
        }
        labels
    }
}

fn borrowed(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let pairs = labels.iter();
    pairs.map(|(key, value)| (key.as_str(), Cow::from(value)))
}
