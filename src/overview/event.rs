//! What changed between two looks at the fleet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FleetSnapshot, TargetState, fleet_summary::states};

/// An event names so many targets at most.
const CHANGES: usize = 100;

/// What changed since the event before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// How many targets there are.
    pub targets: usize,
    /// How many of them are in each state.
    pub states: BTreeMap<TargetState, usize>,
    /// Targets whose state changed.
    pub changes: Vec<Change>,
    /// How many more there are that the event does not name.
    pub more: usize,
}

/// A target whose state changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The state before; none for one that is new.
    pub from: Option<TargetState>,
    /// The state now; none for one that has gone.
    pub to: Option<TargetState>,
}

/// What changed from one look to another; none if nothing did.
pub fn changes(before: Option<&FleetSnapshot>, now: &FleetSnapshot) -> Option<ChangeEvent> {
    let event = |changes: Vec<Change>, more| ChangeEvent {
        targets: now.targets.len(),
        states: states(now),
        changes,
        more,
    };
    let Some(before) = before else {
        return Some(event(Vec::new(), 0));
    };
    let mut known: BTreeMap<&str, TargetState> = BTreeMap::new();
    for seen in &before.targets {
        known.insert(&seen.target.name, seen.state);
    }
    let mut all = Vec::new();
    for seen in &now.targets {
        let from = known.remove(seen.target.name.as_str());
        if from != Some(seen.state) {
            all.push(Change {
                name: seen.target.name.clone(),
                from,
                to: Some(seen.state),
            });
        }
    }
    all.extend(known.into_iter().map(|(name, from)| Change {
        name: name.to_owned(),
        from: Some(from),
        to: None,
    }));
    let more = all.len().saturating_sub(CHANGES);
    all.truncate(CHANGES);
    (!all.is_empty()).then(|| event(all, more))
}
