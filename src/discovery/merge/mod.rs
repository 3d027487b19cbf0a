//! From what all sources know to the targets of this collector. Pure: no IO, no time.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DiscoveredTarget, Labels,
    config::{DiscoverySettings, Scheme},
    discovery_result::{DiscoveryResult, ResultCounts},
    group::{Group, Parsed},
    incumbents::Incumbents,
    relabel::RelabelRule,
    replica_set::{AddressPosition, ReplicaSet},
    shard::ShardConfig,
    source::SourceSnapshot,
    target::{ADDRESS, LabelError, METRICS_PATH, SCHEME, shard_key},
};
use crate::resilience::instances::INSTANCES_MAX;

/// How many letters of an address the log shows.
const ADDRESS_SHOWN: usize = 200;

/// How targets are chosen.
#[derive(Debug)]
pub(super) struct Merge {
    scheme: Scheme,
    rules: Vec<RelabelRule>,
    limit: usize,
    shard: Option<ShardConfig>,
    /// Names of targets that are polled anyhow.
    taken: BTreeSet<String>,
}

/// What a merge gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// In the order of the sources.
    pub(super) targets: Vec<DiscoveredTarget>,
    /// One a source.
    pub(super) counts: Vec<ResultCounts>,
    /// What became of each address: one list a source, in the order of its groups.
    pub(super) results: Vec<Vec<DiscoveryResult>>,
    /// What is wrong with targets that are left out, and the first address of each kind.
    pub(super) complaints: BTreeMap<String, String>,
}

/// What the sources before said.
struct SoFar<'p> {
    /// Names of targets.
    names: BTreeSet<String>,
    /// Those of them that are pools.
    pools: BTreeMap<String, ReplicaSet>,
    /// Those that go before others.
    incumbents: Incumbents<'p>,
}

/// What is to be thought of an address.
enum Evaluated {
    Is(DiscoveryResult),
    /// It belongs to a pool, which decides when all of it is known.
    OfPool(DiscoveredTarget),
}

/// Why an address is no target of this collector.
enum LeftOut {
    As(DiscoveryResult),
    Bad(LabelError),
}

impl Merge {
    pub(super) fn new(
        settings: &DiscoverySettings<'_>,
        taken: BTreeSet<String>,
    ) -> Result<Self, regex::Error> {
        let rules = settings.relabel_configs.iter().map(RelabelRule::new);
        Ok(Self {
            scheme: settings.scheme,
            rules: rules.collect::<Result<_, _>>()?,
            limit: settings.target_limit,
            shard: settings.shard,
            taken,
        })
    }

    /// Chooses among what the sources know; of two targets of one name the first is taken, and
    /// what is of one pool is one target. Where there is a choice, the targets that are `polled`
    /// already stay.
    pub(super) fn merge<'k>(
        &self,
        sources: impl Iterator<Item = &'k SourceSnapshot> + Clone,
        polled: &[DiscoveredTarget],
    ) -> Merged {
        let merged = self.choose(sources.clone(), Incumbents::default());
        // Most lists leave no choice: they are gone through once.
        if polled.is_empty() || !merged.had_a_choice() {
            return merged;
        }
        let named = sources.clone().flat_map(groups).flat_map(|(part, group)| {
            let labels = labels_of(part, group);
            let addresses = group.addresses.iter();
            addresses.filter_map(move |address| self.target(address, &labels).ok())
        });
        let incumbents = Incumbents::among(polled, named);
        self.choose(sources, incumbents)
    }

    fn choose<'k>(
        &self,
        sources: impl Iterator<Item = &'k SourceSnapshot>,
        incumbents: Incumbents<'_>,
    ) -> Merged {
        let mut merged = Merged::default();
        let mut so_far = SoFar {
            names: self.taken.clone(),
            pools: BTreeMap::new(),
            incumbents,
        };
        for (source, known) in sources.enumerate() {
            merged.counts.push(ResultCounts::default());
            merged.results.push(Vec::new());
            let refused: usize = known.parts.iter().map(|part| part.refused.count).sum();
            merged.count(source, DiscoveryResult::Invalid, refused as u64);
            for (part, group) in groups(known) {
                let labels = labels_of(part, group);
                for address in &group.addresses {
                    match self.judge(address, &labels, &mut so_far, &mut merged) {
                        Evaluated::Is(result) => {
                            merged.count(source, result, 1);
                            merged.add(source, result);
                        }
                        Evaluated::OfPool(found) => {
                            // The pool corrects it when all of it is known.
                            let position = merged.add(source, DiscoveryResult::Kept);
                            if let Some(pool) = so_far.pools.get_mut(&found.name) {
                                pool.add(position, found);
                            }
                        }
                    }
                }
            }
        }
        for pool in so_far.pools.into_values() {
            merged.close(pool);
        }
        merged
    }

    /// What an address and the labels of its group name.
    fn target(&self, address: &str, of_group: &Labels) -> Result<DiscoveredTarget, LeftOut> {
        let mut labels = self.labels(address, of_group);
        if self.is_downgrade(&labels) {
            return Err(LeftOut::Bad(LabelError::Downgrade));
        }
        if self.relabel(&mut labels).is_some() {
            return Err(LeftOut::As(DiscoveryResult::Dropped));
        }
        let key = shard_key(&labels);
        if self.shard.is_some_and(|shard| !shard.owns(key)) {
            return Err(LeftOut::As(DiscoveryResult::OtherShard));
        }
        DiscoveredTarget::new(labels).map_err(LeftOut::Bad)
    }

    fn judge(
        &self,
        address: &str,
        of_group: &Labels,
        so_far: &mut SoFar<'_>,
        merged: &mut Merged,
    ) -> Evaluated {
        let target = match self.target(address, of_group) {
            Ok(target) => target,
            Err(LeftOut::As(result)) => return Evaluated::Is(result),
            Err(LeftOut::Bad(error)) => {
                merged.complain(address, error);
                return Evaluated::Is(DiscoveryResult::Invalid);
            }
        };
        let is_pool = target.located.is_pool();
        if is_pool && so_far.pools.contains_key(&target.name) {
            return Evaluated::OfPool(target);
        }
        if so_far.names.contains(&target.name) || (!is_pool && so_far.incumbents.outrank(&target)) {
            return Evaluated::Is(DiscoveryResult::Duplicate);
        }
        let free = self.limit.saturating_sub(merged.targets.len());
        if so_far.incumbents.leave(&target.name, free) == 0 {
            merged.complain(address, "there are `target_limit` targets already");
            return Evaluated::Is(DiscoveryResult::OverLimit);
        }
        so_far.incumbents.seated(&target.name);
        so_far.names.insert(target.name.clone());
        if !is_pool {
            merged.targets.push(target);
            return Evaluated::Is(DiscoveryResult::Kept);
        }
        let pool = ReplicaSet::at(merged.targets.len());
        so_far.pools.insert(target.name.clone(), pool);
        merged.targets.push(target.clone());
        Evaluated::OfPool(target)
    }

    /// Applies the rules. Gives the position of the rule that drops the target, if one does.
    pub(super) fn relabel(&self, labels: &mut Labels) -> Option<usize> {
        self.rules.iter().position(|rule| !rule.apply(labels))
    }

    /// The rule at this position.
    pub(super) fn rule(&self, position: usize) -> Option<&RelabelRule> {
        self.rules.get(position)
    }

    /// The shard of this collector.
    pub(super) fn shard(&self) -> Option<ShardConfig> {
        self.shard
    }

    /// Whether the labels, before relabeling, would take away the TLS that the configuration asks
    /// for.
    pub(super) fn is_downgrade(&self, labels: &Labels) -> bool {
        let scheme = labels.get(SCHEME).map(String::as_str);
        self.scheme == Scheme::Https && scheme != Some("https")
    }

    /// The labels before relabelling.
    pub(super) fn labels(&self, address: &str, of_group: &Labels) -> Labels {
        let mut labels = of_group.clone();
        labels.insert(ADDRESS.to_owned(), address.to_owned());
        labels.retain(|_, value| !value.is_empty());
        let scheme = || self.scheme.name().to_owned();
        labels.entry(SCHEME.to_owned()).or_insert_with(scheme);
        let path = || "/".to_owned();
        labels.entry(METRICS_PATH.to_owned()).or_insert_with(path);
        labels
    }
}

/// The groups of all parts.
pub(super) fn groups(known: &SourceSnapshot) -> impl Iterator<Item = (&Parsed, &Group)> {
    let parts = known.parts.iter();
    parts.flat_map(|part| part.groups.iter().map(|group| (&**part, group)))
}

/// The labels that all targets of a group have before relabelling.
pub(super) fn labels_of(part: &Parsed, group: &Group) -> Labels {
    let mut labels = group.labels();
    let origin = part.origin.iter();
    labels.extend(origin.map(|(name, at)| ((*name).to_owned(), at.clone())));
    labels
}

impl Merged {
    /// Whether a target was left out for another one.
    fn had_a_choice(&self) -> bool {
        let chosen = [DiscoveryResult::Duplicate, DiscoveryResult::OverLimit];
        let counts = self.counts.iter();
        let mut chosen = counts.flat_map(|counts| chosen.map(|result| counts.get(result as usize)));
        chosen.any(|count| count.is_some_and(|count| *count > 0))
    }

    fn count(&mut self, source: usize, result: DiscoveryResult, more: u64) {
        let counts = self.counts.get_mut(source);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(result as usize)) {
            *count += more;
        }
    }

    /// All instances of a pool are found.
    fn close(&mut self, pool: ReplicaSet) {
        let Some(target) = self.targets.get_mut(pool.position) else {
            return;
        };
        for member in pool.close(target) {
            let AddressPosition { source, index } = member.position;
            if member.result == DiscoveryResult::OverLimit {
                let message = format!("a pool has at most {INSTANCES_MAX} instances");
                self.complain(&member.address, message);
            }
            self.count(source, member.result, 1);
            let results = self.results.get_mut(source);
            if let Some(result) = results.and_then(|results| results.get_mut(index)) {
                *result = member.result;
            }
        }
    }

    /// Notes what became of the next address of a source.
    fn add(&mut self, source: usize, result: DiscoveryResult) -> AddressPosition {
        let index = self.results.get_mut(source).map_or(0, |results| {
            results.push(result);
            results.len() - 1
        });
        AddressPosition { source, index }
    }

    fn complain(&mut self, address: &str, why: impl ToString) {
        let first = self.complaints.entry(why.to_string());
        first.or_insert_with(|| address.chars().take(ADDRESS_SHOWN).collect());
    }
}

#[cfg(test)]
mod tests;
