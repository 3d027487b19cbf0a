//! The families of all targets, as a scrape shows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use slab::Slab;

use super::{
    descriptor::FamilyDescriptor,
    name::AggregationKind,
    rows::{FamilyId, SourceKey},
};

/// The suffixes of the samples of a histogram, also in OpenMetrics.
const HISTOGRAM_NAMES: [&str; 4] = ["_bucket", "_count", "_sum", "_created"];

/// All families, by their names for scrapers that know only the older characters.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<String, FamilyId>,
    all: Slab<Family>,
}

/// One family: the lines above its samples, and the sources of its samples.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) descriptor: Arc<FamilyDescriptor>,
    pub(super) sources: BTreeSet<SourceKey>,
}

impl Families {
    fn get(&self, id: FamilyId) -> Option<&Family> {
        self.all.get(id)
    }

    /// Whether a family has this descriptor.
    pub(super) fn is(&self, id: FamilyId, descriptor: &Arc<FamilyDescriptor>) -> bool {
        self.get(id)
            .is_some_and(|family| Arc::ptr_eq(&family.descriptor, descriptor))
    }

    /// Adds a source of a target to the family with this descriptor. The error says why the family
    /// cannot be shown: its name already has another type (a scrape has one type for each name, and
    /// the first one stays), or another name is the same for scrapers that know only the older
    /// characters.
    pub(super) fn admit(
        &mut self,
        source: SourceKey,
        new: &Arc<FamilyDescriptor>,
    ) -> Result<FamilyId, &'static str> {
        if let Some(id) = self.by_name.get(&new.key).copied() {
            let known = self.all.get_mut(id).ok_or("type_conflict")?;
            if known.descriptor.kind.word() != new.kind.word() {
                return Err("type_conflict");
            }
            if known.descriptor.name != new.name {
                return Err("name_conflict");
            }
            known.sources.insert(source);
            return Ok(id);
        }
        if self.clashes(&new.key, new.kind) {
            return Err("type_conflict");
        }
        let id = self.all.insert(Family {
            descriptor: Arc::clone(new),
            sources: BTreeSet::from([source]),
        });
        self.by_name.insert(new.key.clone(), id);
        Ok(id)
    }

    /// Whether samples of a new family would have the names of samples of another family.
    fn clashes(&self, name: &str, kind: AggregationKind) -> bool {
        let taken = |suffix: &&str| self.by_name.contains_key(&format!("{name}{suffix}"));
        (kind == AggregationKind::Histogram && HISTOGRAM_NAMES.iter().any(taken))
            || self.is_of_a_histogram(name)
    }

    /// Whether a histogram has, or may have, samples with this name.
    fn is_of_a_histogram(&self, name: &str) -> bool {
        let bases = HISTOGRAM_NAMES
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix));
        bases
            .filter_map(|base| self.get(*self.by_name.get(base)?))
            .any(|family| family.descriptor.kind == AggregationKind::Histogram)
    }

    /// Removes a source of a target from the family.
    pub(super) fn remove(&mut self, id: FamilyId, source: &SourceKey) {
        let Some(family) = self.all.get_mut(id) else {
            return;
        };
        family.sources.remove(source);
        if family.sources.is_empty()
            && let Some(family) = self.all.try_remove(id)
        {
            self.by_name.remove(&family.descriptor.key);
        }
    }

    /// The families from a name on, in the order of their names.
    pub(super) fn range(&self, from: Bound<&String>) -> impl Iterator<Item = (FamilyId, &Family)> {
        let families = self.by_name.range::<String, _>((from, Bound::Unbounded));
        families.filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// Whether no other family has the name of this family in OpenMetrics.
    pub(super) fn is_free(&self, name: &str, kind: AggregationKind) -> bool {
        kind.open_name(name).is_some_and(|open| {
            !self.by_name.contains_key(open)
                && !self.by_name.contains_key(&format!("{open}_created"))
                && !self.is_of_a_histogram(open)
        })
    }
}
