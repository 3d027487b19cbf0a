//! From what all sources know to the targets of this collector. Pure: no IO, no time.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DiscoveredTarget, Labels,
    config::{Scheme, Settings},
    group::Group,
    relabel::Rule,
    shard::ShardConfig,
    source::Known,
    target::{ADDRESS, LabelError, METRICS_PATH, SCHEME},
};

/// What becomes of a target that a source names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is polled here.
    Kept,
    /// A rule of `relabel_configs` dropped it.
    Dropped,
    /// Another collector polls it.
    OtherShard,
    /// A target of this name is polled already.
    Duplicate,
    /// There are `target_limit` targets already.
    OverLimit,
    /// It, or its whole entry, makes no sense.
    Invalid,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Kept,
        Self::Dropped,
        Self::OtherShard,
        Self::Duplicate,
        Self::OverLimit,
        Self::Invalid,
    ];

    /// What it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::OtherShard => "other_shard",
            Self::Duplicate => "duplicate",
            Self::OverLimit => "over_limit",
            Self::Invalid => "invalid",
        }
    }
}

/// How many letters of an address the log shows.
const ADDRESS_SHOWN: usize = 200;

/// How many targets of one source have which fate, in the order of [`Fate::ALL`].
pub(super) type Counts = [u64; Fate::ALL.len()];

/// How targets are chosen.
#[derive(Debug)]
pub(super) struct Merge {
    scheme: Scheme,
    rules: Vec<Rule>,
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
    pub(super) counts: Vec<Counts>,
    /// What is wrong with targets that are left out, and the first address of each kind.
    pub(super) complaints: BTreeMap<String, String>,
}

impl Merge {
    pub(super) fn new(
        settings: &Settings<'_>,
        taken: BTreeSet<String>,
    ) -> Result<Self, regex::Error> {
        let rules = settings.relabel_configs.iter().map(Rule::new);
        Ok(Self {
            scheme: settings.scheme,
            rules: rules.collect::<Result<_, _>>()?,
            limit: settings.target_limit,
            shard: settings.shard,
            taken,
        })
    }

    /// Chooses among what the sources know; of two targets of one name the first is taken.
    pub(super) fn merge<'k>(&self, sources: impl Iterator<Item = &'k Known>) -> Merged {
        let mut merged = Merged::default();
        let mut names = self.taken.clone();
        for known in sources {
            let mut counts = Counts::default();
            let [.., invalid] = &mut counts;
            *invalid = known.refused as u64;
            for group in known.parts.iter().flat_map(|part| part.iter()) {
                for address in &group.addresses {
                    let fate = self.judge(address, group, &mut names, &mut merged);
                    if let Some(count) = counts.get_mut(fate as usize) {
                        *count += 1;
                    }
                }
            }
            merged.counts.push(counts);
        }
        merged
    }

    fn judge(
        &self,
        address: &str,
        group: &Group,
        names: &mut BTreeSet<String>,
        merged: &mut Merged,
    ) -> Fate {
        let mut labels = self.labels(address, group);
        let before = labels.get(SCHEME).cloned();
        if self.scheme == Scheme::Https && before.as_deref() != Some("https") {
            complain(merged, address, LabelError::Downgrade);
            return Fate::Invalid;
        }
        if !self.rules.iter().all(|rule| rule.apply(&mut labels)) {
            return Fate::Dropped;
        }
        let key = labels.get(ADDRESS).map_or("", String::as_str);
        if self.shard.is_some_and(|shard| !shard.owns(key)) {
            return Fate::OtherShard;
        }
        let target = match DiscoveredTarget::new(labels) {
            Ok(target) => target,
            Err(error) => {
                complain(merged, address, error);
                return Fate::Invalid;
            }
        };
        if names.contains(&target.name) {
            return Fate::Duplicate;
        }
        if merged.targets.len() >= self.limit {
            complain(merged, address, "there are `target_limit` targets already");
            return Fate::OverLimit;
        }
        names.insert(target.name.clone());
        merged.targets.push(target);
        Fate::Kept
    }

    /// The labels before relabelling.
    fn labels(&self, address: &str, group: &Group) -> Labels {
        let mut labels = group.labels.clone();
        labels.insert(ADDRESS.to_owned(), address.to_owned());
        labels.retain(|_, value| !value.is_empty());
        let scheme = || self.scheme.name().to_owned();
        labels.entry(SCHEME.to_owned()).or_insert_with(scheme);
        let path = || "/".to_owned();
        labels.entry(METRICS_PATH.to_owned()).or_insert_with(path);
        labels
    }
}

fn complain(merged: &mut Merged, address: &str, why: impl ToString) {
    let first = merged.complaints.entry(why.to_string());
    first.or_insert_with(|| address.chars().take(ADDRESS_SHOWN).collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::group::parse_json;

    fn known(json: &str) -> Known {
        let parsed = parse_json(json.as_bytes()).unwrap();
        Known {
            parts: vec![parsed.groups.into()],
            refused: parsed.refused.len(),
        }
    }

    fn merge() -> Merge {
        Merge {
            scheme: Scheme::Http,
            rules: Vec::new(),
            limit: 100,
            shard: None,
            taken: BTreeSet::new(),
        }
    }

    fn names(merged: &Merged) -> Vec<&str> {
        merged
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect()
    }

    #[test]
    fn each_target_has_one_fate_and_all_are_counted() {
        let rule = serde_json::json!({"source_labels": ["env"], "regex": "test", "action": "drop"});
        let rule = Rule::new(&serde_json::from_value(rule).unwrap()).unwrap();
        let merge = Merge {
            rules: vec![rule],
            limit: 3,
            taken: BTreeSet::from(["taken:1".to_owned()]),
            ..merge()
        };
        let sources = [
            known(r#"[{"targets": ["a:1", "b:1", "a:1", "taken:1"]}, 7]"#),
            known(
                r#"[{"targets": ["t:1"], "labels": {"env": "test"}},
                    {"targets": ["b:1", "c:1", "d:1", "x/y", ""]}]"#,
            ),
        ];
        let merged = merge.merge(sources.iter());
        assert_eq!(names(&merged), ["a:1", "b:1", "c:1"]);
        assert_eq!(merged.counts, [[2, 0, 0, 2, 0, 1], [1, 1, 0, 1, 1, 2]]);
        let complaints: Vec<_> = merged.complaints.into_iter().collect();
        assert_eq!(
            complaints,
            [
                ("`__address__` is no host and port", "x/y"),
                ("no `__address__`", ""),
                ("there are `target_limit` targets already", "d:1"),
            ]
            .map(|(error, address)| (error.to_owned(), address.to_owned()))
        );
    }

    #[test]
    fn a_source_cannot_take_tls_away() {
        let merge = Merge {
            scheme: Scheme::Https,
            ..merge()
        };
        let source = known(
            r#"[{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": {"__scheme__": "http"}}]"#,
        );
        let merged = merge.merge([&source].into_iter());
        let urls: Vec<_> = merged
            .targets
            .iter()
            .map(|t| t.endpoint.to_string())
            .collect();
        assert_eq!(urls, ["https://a:1/"]);
        let source = known(r#"[{"targets": ["b:1"], "labels": {"__scheme__": "https"}}]"#);
        let merged = self::merge().merge([&source].into_iter());
        assert_eq!(merged.targets[0].endpoint.to_string(), "https://b:1/");
    }

    #[test]
    fn the_shards_of_a_list_are_the_list() {
        let addresses: Vec<String> = (0..200).map(|n| format!("node-{n}:80")).collect();
        let source = known(&serde_json::json!([{"targets": addresses}]).to_string());
        let mut found: Vec<String> = Vec::new();
        for index in ["0", "1", "2"] {
            let merge = Merge {
                limit: 200,
                shard: Some(ShardConfig {
                    index: index.parse().unwrap(),
                    count: 3,
                    hash: Default::default(),
                }),
                ..merge()
            };
            let merged = merge.merge([&source].into_iter());
            assert_eq!(merged.counts[0].iter().sum::<u64>(), 200);
            found.extend(merged.targets.into_iter().map(|target| target.name));
        }
        found.sort();
        let mut addresses = addresses;
        addresses.sort();
        assert_eq!(found, addresses);
    }
}
