//! Explains what became of each address that the sources name.
//!
//! A merge keeps one byte for each address. The labels before and after relabeling are worked out
//! again from the list of the source, and only for the addresses that somebody looks at.

use std::{
    cell::LazyCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    DiscoveredTarget, Labels,
    discovery_result::DiscoveryResult,
    merge::{Merge, groups, labels_of},
    relabel::RelabelAction,
    source::SourceSnapshot,
    target::{ADDRESS, LabelError, METRICS_PATH, POOL, SCHEME, shard_key},
};
use crate::{
    pipeline::{AddressFilter, AddressList, DiscoveredAddress, Window},
    resilience::instances::INSTANCES_MAX,
    settings::HttpUrl,
};

/// How many labels of an address are shown, and how many letters of a value.
const LABELS_SHOWN: usize = 100;
const LETTERS_SHOWN: usize = 200;

/// What each source knows; none before its first answer.
pub(super) type SourceSnapshots = Vec<Option<Arc<SourceSnapshot>>>;

/// The last merge, and what it was made from.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) merge: Arc<Merge>,
    pub(super) known: SourceSnapshots,
    /// One list a source, one result an address.
    pub(super) results: Vec<Vec<DiscoveryResult>>,
}

/// The findings of the last merge, for whoever shows them; none before the first.
#[derive(Debug, Default)]
pub(super) struct LastFindings(Mutex<Option<Arc<Findings>>>);

impl LastFindings {
    pub(super) fn set(&self, findings: Findings) {
        *self.lock() = Some(Arc::new(findings));
    }

    pub(super) fn get(&self) -> Option<Arc<Findings>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Findings>>> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Findings {
    /// The addresses that `filter` takes, as far as they are in the window. The sources have these
    /// `names`.
    pub(super) fn list(
        &self,
        names: &[String],
        filter: &AddressFilter,
        window: Window,
    ) -> AddressList {
        let mut list = AddressList::default();
        let sources = self.known.iter().zip(&self.results).zip(names);
        for ((known, results), source) in sources {
            list.total += results.len();
            let is_wanted = filter.source.as_ref().is_none_or(|wanted| wanted == source);
            let Some(known) = known.as_ref().filter(|_| is_wanted) else {
                continue;
            };
            let mut results = results.iter().copied();
            for (part, group) in groups(known) {
                // Most groups are only counted.
                let of_group = LazyCell::new(|| labels_of(part, group));
                let is_found = filter.text.is_empty()
                    || finds(&filter.text, of_group.iter().flat_map(|(k, v)| [k, v]));
                for (address, result) in group.addresses.iter().zip(&mut results) {
                    let has_text = is_found || finds(&filter.text, std::iter::once(address));
                    if !has_text || !takes(filter, result) {
                        continue;
                    }
                    let is_shown =
                        list.matched >= window.skip && list.addresses.len() < window.limit;
                    list.matched += 1;
                    if is_shown {
                        let of = self.explain(address, &of_group, result);
                        list.addresses.push(DiscoveredAddress {
                            source: source.clone(),
                            ..of
                        });
                    }
                }
            }
        }
        list
    }

    /// What became of an address, and why.
    fn explain(
        &self,
        address: &str,
        of_group: &Labels,
        result: DiscoveryResult,
    ) -> DiscoveredAddress {
        let before = self.merge.labels(address, of_group);
        let mut after = before.clone();
        let dropped_by = self.merge.relabel(&mut after);
        let target = DiscoveredTarget::new(after.clone());
        let why = match result {
            DiscoveryResult::Kept => None,
            DiscoveryResult::Dropped => Some(self.rule(dropped_by)),
            DiscoveryResult::OtherShard => Some(self.other_shard(&after)),
            DiscoveryResult::Duplicate => Some(match after.contains_key(POOL) {
                true => "the pool has this address already".to_owned(),
                false => "another target has this name".to_owned(),
            }),
            DiscoveryResult::OverLimit => Some(match after.contains_key(POOL) {
                true => format!("there is no place: `target_limit`, or {INSTANCES_MAX} instances"),
                false => "there are `target_limit` targets already".to_owned(),
            }),
            DiscoveryResult::Invalid => Some(match (&target, self.merge.is_downgrade(&before)) {
                (_, true) => LabelError::Downgrade.to_string(),
                (Err(error), false) => error.to_string(),
                (Ok(_), false) => "its labels make no target".to_owned(),
            }),
        };
        match dropped_by {
            Some(_) => after.clear(),
            None => after.retain(|name, _| !name.starts_with("__") || names_target(name)),
        }
        DiscoveredAddress {
            source: String::new(),
            address: cut(&without_password(address)),
            result: result.name().to_owned(),
            why,
            target: target
                .ok()
                .filter(|_| dropped_by.is_none())
                .map(|target| cut(&target.name)),
            before: shown(before),
            after: shown(after),
        }
    }

    /// The rule that drops an address.
    fn rule(&self, position: Option<usize>) -> String {
        let rule = position.and_then(|at| Some((at, self.merge.rule(at)?.config())));
        let Some((at, rule)) = rule else {
            return "a rule drops it".to_owned();
        };
        let labels = rule.source_labels.join(&rule.separator);
        let (regex, other) = (&rule.regex, &rule.target_label);
        let does = match rule.action {
            RelabelAction::Keep => {
                format!("keeps only what has `{labels}` that matches `{regex}`")
            }
            RelabelAction::Drop => format!("drops what has `{labels}` that matches `{regex}`"),
            RelabelAction::KeepEqual => {
                format!("keeps only what has `{labels}` equal to `{other}`")
            }
            _ => format!("drops what has `{labels}` equal to `{other}`"),
        };
        format!("relabel_configs/{at} {does}")
    }

    fn other_shard(&self, after: &Labels) -> String {
        self.merge.shard().map_or_else(
            || "another collector polls it".to_owned(),
            |shard| {
                let owner = shard.shard_of(shard_key(after));
                format!("shard {owner} of {} polls it", shard.count)
            },
        )
    }
}

/// Labels that begin with `__` and say where a target is.
fn names_target(name: &str) -> bool {
    [ADDRESS, SCHEME, METRICS_PATH, POOL].contains(&name)
}

fn takes(filter: &AddressFilter, result: DiscoveryResult) -> bool {
    let mut results = filter.results.iter();
    filter.results.is_empty() || results.any(|name| name == result.name())
}

/// Whether one of the texts has the wanted one, in upper or lower case.
fn finds<T: AsRef<str>>(wanted: &str, mut texts: impl Iterator<Item = T>) -> bool {
    texts.any(|text| text.as_ref().to_lowercase().contains(wanted))
}

/// Labels as they may be shown: no more than fits, and no value of the query of a URL.
fn shown(labels: Labels) -> Labels {
    let shown = labels.into_iter().take(LABELS_SHOWN);
    let shown = shown.map(|(name, value)| {
        let value = match value.parse::<HttpUrl>() {
            Ok(url) => url.to_string(),
            Err(_) => without_password(&value),
        };
        (cut(&name), cut(&value))
    });
    shown.collect()
}

/// An address without the user and password that some write before it.
fn without_password(address: &str) -> String {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            format!("…{}", address.get(user.len()..).unwrap_or_default())
        }
        _ => address.to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LETTERS_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::discovery::{
        DiscoverySettings, RelabelConfig, Scheme, ShardConfig, group::parse_json,
    };

    fn findings(rules: serde_json::Value, shard: Option<ShardConfig>, lists: &[&str]) -> Findings {
        let rules: Vec<RelabelConfig> = serde_json::from_value(rules).unwrap();
        let settings = DiscoverySettings {
            scheme: Scheme::Http,
            static_configs: &[],
            file_sd_configs: &[],
            http_sd_configs: &[],
            dns_sd_configs: &[],
            kubernetes_sd_configs: &[],
            relabel_configs: &rules,
            target_limit: 4,
            shard,
        };
        let merge = Merge::new(&settings, BTreeSet::from(["taken:1".to_owned()])).unwrap();
        let known: SourceSnapshots = lists
            .iter()
            .map(|list| {
                let parsed = parse_json(list.as_bytes()).unwrap();
                Some(Arc::new(SourceSnapshot {
                    parts: vec![parsed.into()],
                }))
            })
            .collect();
        let merged = merge.merge(known.iter().flatten().map(|known| &**known), &[]);
        Findings {
            merge: Arc::new(merge),
            known,
            results: merged.results,
        }
    }

    fn told(findings: &Findings, filter: &AddressFilter) -> Vec<String> {
        let names = ["file_sd_configs/0", "http_sd_configs/0"].map(str::to_owned);
        let all = Window {
            skip: 0,
            limit: 100,
        };
        let list = findings.list(&names, filter, all);
        assert_eq!(list.matched, list.addresses.len());
        let told = list.addresses.iter().map(|of| {
            let why = of.why.as_deref().unwrap_or("-");
            format!("{} {}: {why}", of.address, of.result)
        });
        told.collect()
    }

    #[test]
    fn each_address_is_told_with_its_reason() {
        let rules = serde_json::json!([
            {"source_labels": ["env"], "target_label": "stage", "action": "uppercase"},
            {"source_labels": ["env"], "regex": "test", "action": "drop"},
        ]);
        let findings = findings(
            rules,
            None,
            &[
                r#"[{"targets": ["a:1", "taken:1", "u:p@x/y"]}]"#,
                r#"[{"targets": ["t:1"], "labels": {"env": "test"}},
                    {"targets": ["p:1", "p:1"], "labels": {"__pool__": "pool"}},
                    {"targets": ["b:1", "c:1", "d:1"], "labels": {"env": "prod", "__meta_x": "y"}}]"#,
            ],
        );
        assert_eq!(
            told(&findings, &AddressFilter::default()),
            [
                "a:1 kept: -",
                "taken:1 duplicate: another target has this name",
                "…@x/y invalid: `__address__` is neither a host and port nor a socket such as unix:///run/api.sock",
                "t:1 dropped: relabel_configs/1 drops what has `env` that matches `test`",
                "p:1 kept: -",
                "p:1 duplicate: the pool has this address already",
                "b:1 kept: -",
                "c:1 kept: -",
                "d:1 over_limit: there are `target_limit` targets already",
            ]
        );
        let only = AddressFilter {
            text: "pro".to_owned(),
            results: vec!["kept".to_owned()],
            source: Some("http_sd_configs/0".to_owned()),
        };
        assert_eq!(told(&findings, &only), ["b:1 kept: -", "c:1 kept: -"]);
        let second = Window { skip: 1, limit: 1 };
        let names = ["x", "http_sd_configs/0"].map(str::to_owned);
        let list = findings.list(&names, &only, second);
        assert_eq!((list.total, list.matched), (9, 2));
        let [c] = &list.addresses[..] else {
            panic!("{:?}", list.addresses)
        };
        assert_eq!(
            (c.address.as_str(), c.target.as_deref()),
            ("c:1", Some("c:1"))
        );
        let keys = |labels: &Labels| labels.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(
            keys(&c.before),
            "__address__ __meta_x __metrics_path__ __scheme__ env"
        );
        assert_eq!(
            keys(&c.after),
            "__address__ __metrics_path__ __scheme__ env stage"
        );
        assert_eq!(c.after["stage"], "PROD");
    }

    #[test]
    fn an_address_of_another_shard_names_the_shard() {
        let shard = ShardConfig {
            index: "0".parse().unwrap(),
            count: 2,
            hash: Default::default(),
        };
        let list = r#"[{"targets": ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"]}]"#;
        let findings = findings(serde_json::json!([]), Some(shard), &[list]);
        let other = AddressFilter {
            results: vec!["other_shard".to_owned()],
            ..AddressFilter::default()
        };
        let told = told(&findings, &other);
        assert!(!told.is_empty());
        assert!(
            told.iter()
                .all(|line| line.ends_with("shard 1 of 2 polls it")),
            "{told:?}"
        );
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        let url = "http://sd/targets?token=hunter2".to_owned();
        let labels = Labels::from([("__meta_url".to_owned(), url)]);
        let shown = shown(labels);
        assert_eq!(shown["__meta_url"], "http://sd/targets?token=[REDACTED]");
        assert_eq!(without_password("user:secret@node:1"), "…@node:1");
        assert_eq!(without_password("node:1/a@b:c"), "node:1/a@b:c");
    }
}
