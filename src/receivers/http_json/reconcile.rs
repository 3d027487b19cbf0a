//! From the targets that are polled to those that should be.

use std::collections::{BTreeMap, BTreeSet};

use super::config::TargetConfig;

/// What is to be done. A target that changed is in both lists; one that did not is in neither.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Names of targets that end.
    pub(super) stop: Vec<String>,
    /// Targets that begin, each name once.
    pub(super) start: Vec<TargetConfig>,
    /// Names that stood above already: the first target of a name counts.
    pub(super) duplicates: Vec<String>,
}

/// Compares by name what is polled with what should be.
pub(super) fn reconcile(
    polled: &BTreeMap<String, TargetConfig>,
    wanted: &[TargetConfig],
) -> Changes {
    let mut changes = Changes::default();
    let mut names = BTreeSet::new();
    for target in wanted {
        let name = target.display_name();
        if !names.insert(name.clone()) {
            changes.duplicates.push(name);
            continue;
        }
        let old = polled.get(&name);
        if old != Some(target) {
            changes.stop.extend(old.map(|_| name));
            changes.start.push(target.clone());
        }
    }
    let gone = polled.keys().filter(|name| !names.contains(*name));
    changes.stop.extend(gone.cloned());
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target((name, port, label): (u8, u16, u8)) -> TargetConfig {
        let url = format!("http://node:{}", port + 1);
        TargetConfig {
            // Some go by their address.
            name: (name > 0).then(|| format!("n{name}")),
            labels: BTreeMap::from([("l".to_owned(), label.to_string())]),
            ..TargetConfig::at(url.parse().unwrap())
        }
    }

    fn targets() -> impl Strategy<Value = Vec<TargetConfig>> {
        prop::collection::vec((0..6_u8, 0..3_u16, 0..2_u8).prop_map(target), 0..12)
    }

    fn by_name(targets: &[TargetConfig]) -> BTreeMap<String, TargetConfig> {
        let named = |target: &TargetConfig| (target.display_name(), target.clone());
        targets.iter().rev().map(named).collect()
    }

    proptest! {
        #[test]
        fn what_is_polled_becomes_what_is_wanted(old in targets(), new in targets()) {
            let (polled, wanted) = (by_name(&old), by_name(&new));
            let changes = reconcile(&polled, &new);
            let mut after = polled.clone();
            for name in &changes.stop {
                prop_assert!(after.remove(name).is_some(), "only what is polled, and once");
            }
            for target in &changes.start {
                let before = after.insert(target.display_name(), target.clone());
                prop_assert_eq!(before, None, "never two of a name");
            }
            prop_assert_eq!(&after, &wanted, "the first of a name counts");
            for (name, target) in &polled {
                let is_kept = wanted.get(name) == Some(target);
                prop_assert_eq!(is_kept, !changes.stop.contains(name), "what is equal stays");
            }
            prop_assert_eq!(changes.duplicates.len(), new.len() - wanted.len());
            let again = reconcile(&after, &new);
            prop_assert!(again.stop.is_empty() && again.start.is_empty());
        }
    }
}
