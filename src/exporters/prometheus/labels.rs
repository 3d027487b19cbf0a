//! The labels of a series: who the target is, then the attributes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
};

use opentelemetry::{Key, Value};

use super::{name, text};
use crate::pipeline::Target;

/// The label that names the target; `job` and `instance` are Prometheus' own.
const TARGET: &str = "target";
/// The label of a bucket's upper bound.
const LE: &str = "le";
/// What Prometheus puts before a label that a scrape brings although the name is taken.
const EXPORTED: &str = "exported_";

/// The labels that every series of a target carries, rendered once.
#[derive(Debug, Default)]
pub(super) struct Labels {
    taken: Vec<String>,
    text: String,
}

impl Labels {
    /// Name and configured labels of a target.
    pub(super) fn of(target: &Target) -> Self {
        let mut labels = Self::name_of(target);
        let configured = target.labels.iter();
        let configured = configured.map(|(key, value)| (key.as_str(), Cow::from(value)));
        // `le` would be there twice on a histogram.
        for (name, value) in labels.resolve(configured, true) {
            text::label(&mut labels.text, &name, &value);
            labels.taken.push(name);
        }
        labels
    }

    /// The name of a target alone.
    pub(super) fn name_of(target: &Target) -> Self {
        let mut labels = Self {
            taken: vec![TARGET.to_owned()],
            text: String::new(),
        };
        text::label(&mut labels.text, TARGET, &target.name);
        labels
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
            let mut name = name::label(key);
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
