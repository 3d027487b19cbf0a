//! Compares the targets that are polled with those that should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::receivers::http_json::config::TargetConfig;

/// The necessary changes. A target that did not change is in none of the lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Names of targets to stop.
    pub(crate) stop: Vec<String>,
    /// Targets to start, each name once.
    pub(crate) start: Vec<Arc<TargetConfig>>,
    /// Targets that keep their name and get other settings.
    pub(crate) change: Vec<Arc<TargetConfig>>,
    /// Names that occur again: the first target of a name counts.
    pub(crate) duplicates: Vec<String>,
}

/// Compares by name what is polled, as `config_of` says, with what should be.
pub(crate) fn reconcile<T>(
    polled: &BTreeMap<String, T>,
    config_of: impl Fn(&T) -> &Arc<TargetConfig>,
    wanted: &[Arc<TargetConfig>],
) -> Changes {
    let mut changes = Changes::default();
    let mut seen = BTreeSet::new();
    for target in wanted {
        let name = target.display_name();
        match polled.get(&name) {
            _ if seen.contains(&name) => changes.duplicates.push(name.clone()),
            None => changes.start.push(Arc::clone(target)),
            Some(old) if config_of(old) != target => changes.change.push(Arc::clone(target)),
            Some(_) => {}
        }
        seen.insert(name);
    }
    let gone = polled.keys().filter(|name| !seen.contains(*name));
    changes.stop.extend(gone.cloned());
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target((name, port, label): (u8, u16, u8)) -> Arc<TargetConfig> {
        let url = format!("http://node:{}", port + 1);
        Arc::new(TargetConfig {
            // Some have their address as name.
            name: (name > 0).then(|| format!("n{name}")),
            labels: Arc::new(BTreeMap::from([("l".to_owned(), label.to_string())])),
            ..TargetConfig::at(url.parse().unwrap())
        })
    }

    fn targets() -> impl Strategy<Value = Vec<Arc<TargetConfig>>> {
        prop::collection::vec((0..6_u8, 0..3_u16, 0..2_u8).prop_map(target), 0..12)
    }

    fn by_name(targets: &[Arc<TargetConfig>]) -> BTreeMap<String, Arc<TargetConfig>> {
        let named = |target: &Arc<TargetConfig>| (target.display_name(), Arc::clone(target));
        targets.iter().rev().map(named).collect()
    }

    proptest! {
        #[test]
        fn what_is_polled_becomes_what_is_wanted(old in targets(), new in targets()) {
            let (polled, wanted) = (by_name(&old), by_name(&new));
            let changes = reconcile(&polled, |config| config, &new);
            let mut after = polled;
            for name in &changes.stop {
                prop_assert!(after.remove(name).is_some(), "only what is polled, and once");
            }
            for target in &changes.change {
                let before = after.insert(target.display_name(), target.clone());
                prop_assert!(before.is_some_and(|old| old != *target), "only what differs");
            }
            for target in &changes.start {
                let before = after.insert(target.display_name(), target.clone());
                prop_assert_eq!(before, None, "never two of a name");
            }
            prop_assert_eq!(&after, &wanted, "the first of a name counts");
            for name in wanted.keys() {
                prop_assert!(!changes.stop.contains(name), "what is wanted does not stop");
            }
            prop_assert_eq!(changes.duplicates.len(), new.len() - wanted.len());
            let again = Changes { duplicates: Vec::new(), ..reconcile(&after, |config| config, &new) };
            prop_assert_eq!(again, Changes::default());
        }
    }
}
