//! What a scraper wants, and how far it has come.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use super::{
    descriptor::Descriptor,
    escape::Escaping,
    form::{Form, Format},
    name::Kind,
    page::TargetId,
};

/// What a scraper wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it can read.
    pub form: Form,
    /// The names of families or of samples in them; all if there are none.
    pub names: BTreeSet<String>,
}

impl Wanted {
    /// Everything, in names that any scraper knows.
    pub fn all(format: Format) -> Self {
        Self {
            form: Form {
                format,
                escaping: Escaping::default(),
            },
            names: BTreeSet::new(),
        }
    }

    /// Reads `name[]=…` of a query, as Prometheus' client libraries do.
    pub(super) fn from_query(form: Form, query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let names = pairs.filter(|(key, _)| key == "name[]");
        Self {
            form,
            names: names.map(|(_, name)| name.into_owned()).collect(),
        }
    }

    /// Whether it wants the family: by its name, or by that of one of its samples, escaped or not.
    pub(super) fn has(&self, family: &Descriptor) -> bool {
        let Descriptor {
            name, key, kind, ..
        } = family;
        self.names.is_empty()
            || self.is_named(key, *kind)
            || (name != key && self.is_named(name, *kind))
    }

    pub(super) fn is_named(&self, family: &str, kind: Kind) -> bool {
        let is_named = |name: &str| self.names.contains(name);
        let sample = |suffix: &&str| is_named(&format!("{family}{suffix}"));
        is_named(family)
            || kind.suffixes().iter().any(sample)
            || kind.open_name(family).is_some_and(is_named)
    }
}

/// How far a scrape has come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) wanted: Wanted,
    /// The family that comes next.
    pub(super) from: Bound<String>,
    /// The family that is half read.
    pub(super) half: Option<Half>,
    pub(super) is_over: bool,
}

/// A family of which a scrape has read a part.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) family: Arc<Descriptor>,
    /// The target that comes next.
    pub(super) next: TargetId,
}
