//! The fleet in a few lines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ComponentRow, Destination, FleetSnapshot, TargetState};

/// The fleet in a few lines. Fields are added, never renamed or taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetSummary {
    /// How all of it is, in sentences: the first says the most.
    pub headline: Vec<String>,
    /// The version of the collector.
    pub version: String,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// How many targets there are.
    pub targets: usize,
    /// How many of them are in each state; states without a target are left out.
    pub states: BTreeMap<TargetState, usize>,
    /// The receivers, by id.
    pub receivers: Vec<ReceiverSummary>,
    /// The exporters.
    pub destinations: Vec<Destination>,
    /// The components that fail.
    pub failing: Vec<ComponentRow>,
}

/// A receiver and its targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverSummary {
    /// Its id.
    pub id: String,
    /// How many targets it has.
    pub targets: usize,
    /// How many of them are in each state; states without a target are left out.
    pub states: BTreeMap<TargetState, usize>,
    /// Whether most of its targets fail at once, so that the fault is more likely here.
    pub fault_may_be_local: bool,
    /// Whether each source of its targets has answered.
    pub is_complete: bool,
}

/// The receivers of the targets.
pub(super) fn receivers(snapshot: &FleetSnapshot) -> BTreeMap<String, ReceiverSummary> {
    let mut receivers: BTreeMap<String, ReceiverSummary> = BTreeMap::new();
    for seen in &snapshot.targets {
        let id = &seen.target.receiver;
        if !receivers.contains_key(id) {
            let first = ReceiverSummary {
                id: id.clone(),
                is_complete: true,
                ..ReceiverSummary::default()
            };
            receivers.insert(id.clone(), first);
        }
        if let Some(receiver) = receivers.get_mut(id) {
            receiver.targets += 1;
            *receiver.states.entry(seen.state).or_default() += 1;
            receiver.fault_may_be_local |= seen.glance.is_fault_local;
        }
    }
    receivers
}

/// How many targets are in each state.
pub(super) fn states(snapshot: &FleetSnapshot) -> BTreeMap<TargetState, usize> {
    let counts = TargetState::ALL.into_iter().zip(snapshot.counts);
    counts.filter(|(_, count)| *count > 0).collect()
}
