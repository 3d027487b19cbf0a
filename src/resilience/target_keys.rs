//! What the state of a target is known by.

use std::sync::Arc;

use super::positions::Positions;
use crate::{
    definition::{Definition, Endpoint, EndpointLabels},
    settings::TargetUrl,
};

/// The endpoints and the instances of a target. Those that another configuration has too keep their
/// state.
#[derive(Debug)]
pub struct TargetKeys {
    definition: Arc<Definition>,
    urls: Vec<TargetUrl>,
    /// The names and paths of the endpoints, for metrics, logs and the record.
    pub(super) labels: Vec<EndpointLabels>,
    /// The names of the instances of a pool. Empty if the target is a single instance.
    pub(super) instances: Vec<Arc<str>>,
}

impl TargetKeys {
    /// The endpoints of a definition at the instances with these URLs, of which there is at least
    /// one. The instances of a pool have names.
    pub fn new(
        definition: &Arc<Definition>,
        urls: Vec<TargetUrl>,
        instances: Vec<Arc<str>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            labels: definition.endpoints.iter().map(Endpoint::labels).collect(),
            definition: Arc::clone(definition),
            urls,
            instances,
        })
    }

    /// Whether the target is a pool of instances with the same data, even of a single one.
    pub(super) fn is_pool(&self) -> bool {
        !self.instances.is_empty()
    }

    /// Whether both are one target. All instances of a pool have the same data, so all of them may
    /// be others at once.
    pub(super) fn is_same_target(&self, other: &Self) -> bool {
        let is_of_other = |url: &TargetUrl| other.urls.contains(url);
        (self.is_pool() && other.is_pool()) || self.urls.iter().any(is_of_other)
    }

    /// Whether both have the same endpoints and instances at the same positions.
    pub(super) fn have_positions_of(&self, other: &Self) -> bool {
        let (now, before) = (&self.definition.endpoints, &other.definition.endpoints);
        let are_same = || now.len() == before.len() && now.iter().zip(before).all(is_same);
        self.urls == other.urls && (Arc::ptr_eq(&self.definition, &other.definition) || are_same())
    }

    /// Where the endpoints and the instances are in other keys.
    pub(super) fn positions_in(&self, other: &Self) -> [Positions; 2] {
        let (now, before) = (&self.definition.endpoints, &other.definition.endpoints);
        [
            Positions::of(now, before, |now, before| is_same((now, before))),
            Positions::of(&self.urls, &other.urls, TargetUrl::eq),
        ]
    }
}

/// An endpoint that sends another request, or reads the answer in another way, is another one.
fn is_same((now, before): (&Endpoint, &Endpoint)) -> bool {
    now.id == before.id && now.request == before.request && now.format == before.format
}
