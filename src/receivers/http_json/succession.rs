//! The pollers of a target under other settings go on where those before them end.

use std::sync::Arc;

use super::{
    build::BuildError,
    config::TargetConfig,
    dialect::Candidates,
    factory::{Factory, Sites},
    poller::TargetPoller,
};
use crate::{definition::Definition, resilience::heritage::Heritage};

impl Factory {
    /// The pollers of a target that `before` polled, which does not poll any more. What is known
    /// of its instances is known to them, and they speak the same definition as long as there is
    /// one of the name.
    ///
    /// # Errors
    /// As of [`Self::target`]; `before` can go on polling then.
    pub(super) fn target_after(
        self: &Arc<Self>,
        config: &Arc<TargetConfig>,
        before: &Candidates,
    ) -> Result<Candidates, BuildError> {
        let has_same_instances = before.config.urls().eq(config.urls());
        let mut candidates = self.candidates(config, Some(before))?;
        let keeps_answers = self.asks_like(&before.made_by);
        for poller in &mut candidates.pollers {
            let name = &poller.target.definition.name;
            let same = |old: &&TargetPoller| old.target.definition.name == *name;
            let Some(old) = before.pollers.iter().find(same) else {
                continue;
            };
            if has_same_instances {
                let from = positions(&poller.target.definition, &old.target.definition);
                poller.host.take_over(Heritage {
                    old: &old.host,
                    from: &from,
                    keeps_answers,
                });
            }
            if poller.target.is_like(&old.target) {
                poller.target = Arc::clone(&old.target);
            }
        }
        let spoken = before.current().map(|old| &old.target.definition.name);
        let mut known = candidates.pollers.iter();
        let spoken = known.position(|known| Some(&known.target.definition.name) == spoken);
        candidates.current = spoken.unwrap_or_default();
        Ok(candidates)
    }

    /// The clients of a target's instances where those of `before` serve as well.
    pub(super) fn kept_sites<'a>(
        &self,
        config: &'a TargetConfig,
        before: &Candidates,
    ) -> Option<Sites<'a>> {
        let is_alike = Arc::ptr_eq(&self.connect, &before.made_by.connect)
            && before.config.urls().eq(config.urls());
        let old = &before
            .current()?
            .endpoints
            .first()
            .filter(|_| is_alike)?
            .sites;
        let mut position = 0;
        let urls = config.instances()?;
        Some(urls.map(|url| {
            let transport = Arc::clone(&old.at(position).transport);
            position += 1;
            (*url, transport)
        }))
    }

    /// Whether a node cannot tell who asks from who asked before.
    fn asks_like(&self, before: &Self) -> bool {
        let (now, before) = (&self.shared, &before.shared);
        now.headers == before.headers && now.credentials.are_like(&before.credentials)
    }
}

/// Which endpoint of `old` each endpoint of `new` is.
fn positions(new: &Definition, old: &Definition) -> Vec<Option<usize>> {
    let position = |path: &str, format| {
        let mut endpoints = old.endpoints.iter();
        endpoints.position(|old| *old.path == *path && old.format == format)
    };
    let endpoints = new.endpoints.iter();
    endpoints.map(|e| position(&e.path, e.format)).collect()
}
