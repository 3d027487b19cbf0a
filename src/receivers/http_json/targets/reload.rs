//! The pollers of a target for a new spec. They keep the state that still holds.

use std::sync::Arc;

use super::definition_selection::DefinitionSelector;
use crate::{
    client::auth::Authenticator,
    definition::{Definition, Endpoint},
    receivers::http_json::{
        build_error::BuildError,
        config::TargetConfig,
        poll::target_poller::TargetPoller,
        spec::{ReceiverSpec, TargetSpec},
    },
    resilience::inherited_state::InheritedState,
    settings::TargetUrl,
};

impl DefinitionSelector {
    /// The pollers of the same target for another spec. These must not poll any more. State of the
    /// instances that stay is kept, and so is the definition that the target speaks, as long as
    /// there is one of its name.
    ///
    /// # Errors
    /// As of [`Self::new`]. These can go on polling then.
    pub(crate) fn with_spec(&self, spec: TargetSpec) -> Result<Self, BuildError> {
        let instances = instances(&spec.config, &self.spec.config);
        // All instances of a pool have the same data, so all of them may be others at once.
        let is_same = (spec.config.is_pool() && self.spec.config.is_pool())
            || instances.iter().any(Option::is_some);
        let receiver = Arc::clone(&spec.receiver);
        let mut next = Self::new(spec, self.as_earlier())?;
        let keeps_answers = receiver.asks_like(&self.spec.receiver)
            && receiver.authenticates_like(
                &self.spec.receiver,
                &next.spec.config,
                &self.spec.config,
            );
        for (position, definition) in receiver.definitions.iter().enumerate() {
            let same = |old: &&TargetPoller| old.target.definition.name == definition.name;
            let Some(old) = self.made().find(same) else {
                continue;
            };
            next.select(position)?;
            let Some(poller) = next.at_mut(position) else {
                continue;
            };
            if is_same {
                poller.since = old.since;
                let from = positions(&poller.target.definition, &old.target.definition);
                poller.host.take_over(InheritedState {
                    old: &old.host,
                    from: &from,
                    instances: &instances,
                    keeps_answers,
                });
            }
            if poller.target.is_like(&old.target) {
                poller.target = Arc::clone(&old.target);
            }
        }
        let spoken = self.current().map(|old| &old.target.definition.name);
        let mut known = receiver.definitions.iter();
        let spoken = known.position(|known| Some(&known.name) == spoken);
        next.select(spoken.unwrap_or_default())?;
        Ok(next)
    }
}

impl ReceiverSpec {
    /// Whether a node gets the same requests under both: the same headers and credentials.
    fn asks_like(&self, other: &Self) -> bool {
        let (now, before) = (&self.shared, &other.shared);
        now.headers == before.headers
            && now.parameters == before.parameters
            && is_same(now.auth.as_ref(), before.auth.as_ref())
    }

    /// Whether a target with the settings `now` authenticates as it did with those of `before`.
    fn authenticates_like(&self, other: &Self, now: &TargetConfig, before: &TargetConfig) -> bool {
        let id = now
            .auth
            .iter()
            .filter_map(|auth| auth.authenticator.as_ref());
        let (own, others) = (&self.context.authenticators, &other.context.authenticators);
        now.auth == before.auth && own.are_those_of(others, id)
    }
}

/// Whether both have the same authenticator. A new spec has the authenticator of the old one where
/// its settings are the same.
fn is_same(now: Option<&Arc<dyn Authenticator>>, before: Option<&Arc<dyn Authenticator>>) -> bool {
    match (now, before) {
        (Some(now), Some(before)) => std::ptr::addr_eq(Arc::as_ptr(now), Arc::as_ptr(before)),
        (now, before) => now.is_none() && before.is_none(),
    }
}

/// Which instance of `old` each instance of `new` is.
fn instances(new: &TargetConfig, old: &TargetConfig) -> Vec<Option<usize>> {
    let position = |url: &TargetUrl| old.urls().position(|old| old == url);
    new.urls().map(position).collect()
}

/// Which endpoint of `old` each endpoint of `new` is. One that sends another request, or reads the
/// response in another way, keeps nothing.
fn positions(new: &Definition, old: &Definition) -> Vec<Option<usize>> {
    let position = |new: &Endpoint| {
        let mut endpoints = old.endpoints.iter();
        endpoints.position(|old| {
            old.id == new.id && old.request == new.request && old.format == new.format
        })
    };
    let endpoints = new.endpoints.iter();
    endpoints.map(position).collect()
}
