//! The request of a scraper, and the position of its scrape.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use super::{
    descriptor::FamilyDescriptor,
    escape::Escaping,
    name::AggregationKind,
    output_format::{OutputFormat, TextFormat},
    rendered_source::TargetId,
};

/// The metrics that a scraper requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    /// The output format.
    pub form: OutputFormat,
    /// The names of families, or of samples in them. All families if the set is empty.
    pub names: BTreeSet<String>,
}

impl NameFilter {
    /// All metrics, with names that every scraper can read.
    pub fn all(format: TextFormat) -> Self {
        Self {
            form: OutputFormat {
                format,
                escaping: Escaping::default(),
            },
            names: BTreeSet::new(),
        }
    }

    /// Parses `name[]=…` of a query, like Prometheus' client libraries.
    pub(super) fn from_query(form: OutputFormat, query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let names = pairs.filter(|(key, _)| key == "name[]");
        Self {
            form,
            names: names.map(|(_, name)| name.into_owned()).collect(),
        }
    }

    /// Whether the family is requested: by its name or that of one of its samples, escaped or not.
    pub(super) fn has(&self, family: &FamilyDescriptor) -> bool {
        let FamilyDescriptor {
            name, key, kind, ..
        } = family;
        self.names.is_empty()
            || self.is_named(key, *kind)
            || (name != key && self.is_named(name, *kind))
    }

    pub(super) fn is_named(&self, family: &str, kind: AggregationKind) -> bool {
        let is_named = |name: &str| self.names.contains(name);
        let sample = |suffix: &&str| is_named(&format!("{family}{suffix}"));
        is_named(family)
            || kind.suffixes().iter().any(sample)
            || kind.open_name(family).is_some_and(is_named)
    }
}

/// The position of a scrape.
#[derive(Debug)]
pub(super) struct ScrapeCursor {
    pub(super) wanted: NameFilter,
    /// The next family.
    pub(super) from: Bound<String>,
    /// The family that is partly read.
    pub(super) half: Option<PartialFamily>,
    pub(super) is_over: bool,
}

/// A family of which a scrape has read a part.
#[derive(Debug)]
pub(super) struct PartialFamily {
    pub(super) family: Arc<FamilyDescriptor>,
    /// The next target.
    pub(super) next: TargetId,
}
