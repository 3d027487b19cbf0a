//! Pools: addresses that are the instances of one target together.

use super::{DiscoveredTarget, Fate, Labels, target::Located};
use crate::{resilience::instances::INSTANCES_MAX, settings::HttpUrl};

/// A pool whose instances are being found.
#[derive(Debug)]
pub(super) struct Pool {
    /// Its place among the targets.
    pub(super) position: usize,
    members: Vec<Member>,
}

/// An address that wants to be an instance of it.
#[derive(Debug)]
struct Member {
    /// The position of the source that names it.
    source: usize,
    endpoint: HttpUrl,
    labels: Labels,
}

impl Pool {
    /// One without instances.
    pub(super) fn at(position: usize) -> Self {
        Self {
            position,
            members: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, source: usize, found: DiscoveredTarget) {
        let labels = found.labels;
        let endpoints = found.located.into_urls();
        self.members.extend(endpoints.map(|endpoint| Member {
            source,
            endpoint,
            labels: labels.clone(),
        }));
    }

    /// Makes `target` what its members are together, and says of each of them its source, what
    /// becomes of it, and its address. The order in which they were found means nothing: the DNS
    /// mixes it.
    pub(super) fn close(mut self, target: &mut DiscoveredTarget) -> Vec<(usize, Fate, String)> {
        let key = |member: &Member| (member.endpoint.address(), member.endpoint.get().to_string());
        self.members.sort_by_cached_key(key);
        let (mut instances, mut fates) = (Vec::new(), Vec::new());
        let mut last = String::new();
        for member in self.members {
            let address = member.endpoint.address();
            let is_full = instances.len() >= INSTANCES_MAX;
            let fate = match (address == last, is_full) {
                (true, _) => Fate::Duplicate,
                (false, true) => Fate::OverLimit,
                (false, false) => Fate::Kept,
            };
            fates.push((member.source, fate, address.clone()));
            last = address;
            if fate == Fate::Kept {
                instances.push(member);
            }
        }
        target.labels = in_common(&instances);
        let urls = instances.into_iter().map(|member| member.endpoint);
        target.located = Located::InPool(urls.collect());
        fates
    }
}

/// The labels that all of them have with the same value.
fn in_common(members: &[Member]) -> Labels {
    let mut members = members.iter();
    let first = members.next().map(|first| first.labels.clone());
    let mut common = first.unwrap_or_default();
    for member in members {
        common.retain(|name, value| member.labels.get(name) == Some(value));
    }
    common
}
