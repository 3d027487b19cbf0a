//! Pools: addresses that are the instances of one target together.

use std::sync::Arc;

use super::{DiscoveredTarget, DiscoveryResult, Labels, target::Address};
use crate::{resilience::instances::INSTANCES_MAX, settings::TargetUrl};

/// A pool whose instances are being found.
#[derive(Debug)]
pub(super) struct ReplicaSet {
    /// Its place among the targets.
    pub(super) position: usize,
    members: Vec<Replica>,
}

/// Where an address stands: the position of its source, and its own among all that the source names.
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressPosition {
    pub(super) source: usize,
    pub(super) index: usize,
}

/// What becomes of an address that wants to be an instance of a pool.
#[derive(Debug)]
pub(super) struct ReplicaResult {
    pub(super) position: AddressPosition,
    pub(super) result: DiscoveryResult,
    pub(super) address: String,
}

/// An address that wants to be an instance of it.
#[derive(Debug)]
struct Replica {
    position: AddressPosition,
    endpoint: TargetUrl,
    labels: Arc<Labels>,
}

impl ReplicaSet {
    /// One without instances.
    pub(super) fn at(position: usize) -> Self {
        Self {
            position,
            members: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, position: AddressPosition, found: DiscoveredTarget) {
        let labels = found.labels;
        let endpoints = found.located.into_urls();
        self.members.extend(endpoints.map(|endpoint| Replica {
            position,
            endpoint,
            labels: Arc::clone(&labels),
        }));
    }

    /// Makes `target` what its members are together, and says what becomes of each of them. The
    /// order in which they were found means nothing: the DNS mixes it.
    pub(super) fn close(mut self, target: &mut DiscoveredTarget) -> Vec<ReplicaResult> {
        let key = |member: &Replica| (member.endpoint.address(), member.endpoint.get().to_string());
        self.members.sort_by_cached_key(key);
        let (mut instances, mut fates) = (Vec::new(), Vec::new());
        let mut last = String::new();
        for member in self.members {
            let address = member.endpoint.address();
            let is_full = instances.len() >= INSTANCES_MAX;
            let result = match (address == last, is_full) {
                (true, _) => DiscoveryResult::Duplicate,
                (false, true) => DiscoveryResult::OverLimit,
                (false, false) => DiscoveryResult::Kept,
            };
            fates.push(ReplicaResult {
                position: member.position,
                result,
                address: address.clone(),
            });
            last = address;
            if result == DiscoveryResult::Kept {
                instances.push(member);
            }
        }
        target.labels = Arc::new(in_common(&instances));
        let urls = instances.into_iter().map(|member| member.endpoint);
        target.located = Address::Replicas(urls.collect());
        fates
    }
}

/// The labels that all of them have with the same value.
fn in_common(members: &[Replica]) -> Labels {
    let mut members = members.iter();
    let first = members.next().map(|first| (*first.labels).clone());
    let mut common = first.unwrap_or_default();
    for member in members {
        common.retain(|name, value| member.labels.get(name) == Some(value));
    }
    common
}
