//! The pollers of a target under other settings go on where those before them end.

use std::sync::Arc;

use super::{definition_selection::DefinitionSelector, factory::PollerFactory};
use crate::{
    definition::{Definition, Endpoint},
    receivers::http_json::{
        config::TargetConfig, context::BuildError, http::transport::Transport,
        poll::poller::TargetPoller,
    },
    resilience::inherited_state::InheritedState,
    settings::HttpUrl,
};

impl PollerFactory {
    /// The pollers of a target that `before` polled, which does not poll any more. What is known
    /// of the instances that stay is known to them, and they speak the same definition as long as
    /// there is one of the name.
    ///
    /// # Errors
    /// As of [`Self::target`]; `before` can go on polling then.
    pub(crate) fn target_after(
        self: &Arc<Self>,
        config: &Arc<TargetConfig>,
        before: &DefinitionSelector,
    ) -> Result<DefinitionSelector, BuildError> {
        let instances = instances(config, &before.config);
        // The data of a pool are the same whoever of it answers, so all may be others at once.
        let is_same =
            (config.is_pool() && before.config.is_pool()) || instances.iter().any(Option::is_some);
        let mut candidates = self.candidates(config, Some(before))?;
        let keeps_answers = self.asks_like(&before.factory);
        for (position, definition) in self.definitions.iter().enumerate() {
            let same = |old: &&TargetPoller| old.target.definition.name == definition.name;
            let Some(old) = before.made().find(same) else {
                continue;
            };
            candidates.turn_to(position)?;
            let poller = candidates.pollers.get_mut(position);
            let Some(poller) = poller.and_then(Option::as_mut) else {
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
        let spoken = before.current().map(|old| &old.target.definition.name);
        let mut known = self.definitions.iter();
        let spoken = known.position(|known| Some(&known.name) == spoken);
        candidates.current = spoken.unwrap_or_default();
        Ok(candidates)
    }

    /// The client of `before` for the instance at a URL, if it serves as well.
    pub(crate) fn kept_transport(
        &self,
        url: &HttpUrl,
        before: &DefinitionSelector,
    ) -> Option<Arc<dyn Transport>> {
        if !Arc::ptr_eq(&self.connect, &before.factory.connect) {
            return None;
        }
        let position = before.config.urls().position(|old| old == url)?;
        let endpoint = before.current()?.endpoints.first()?;
        Some(Arc::clone(&endpoint.sites.at(position).transport))
    }

    /// Whether a node cannot tell who asks from who asked before.
    fn asks_like(&self, before: &Self) -> bool {
        let (now, before) = (&self.shared, &before.shared);
        now.headers == before.headers && now.credentials.are_like(&before.credentials)
    }
}

/// Which instance of `old` each instance of `new` is.
fn instances(new: &TargetConfig, old: &TargetConfig) -> Vec<Option<usize>> {
    let position = |url: &HttpUrl| old.urls().position(|old| old == url);
    new.urls().map(position).collect()
}

/// Which endpoint of `old` each endpoint of `new` is.
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
