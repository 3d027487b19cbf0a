//! Which of several definitions a target speaks.
//!
//! Servers of one API may differ (Betanet has two dialects). A target that answers 404 to every
//! endpoint of a definition does not speak it, and the next one is tried. A target that is down or
//! hangs shows nothing about its dialect and keeps the definition that it has.

use std::{cmp::Ordering, sync::Arc};

use super::poller_builder::TargetParts;
use crate::{
    pipeline::{Poll, Target},
    receivers::http_json::{
        build_error::BuildError, poll::target_poller::TargetPoller, spec::TargetSpec,
    },
};

/// The pollers of one target, one for each definition.
pub(crate) struct DefinitionSelector {
    pub(crate) spec: TargetSpec,
    parts: TargetParts,
    /// In the order in which definitions are tried. Each is made when it is first needed: the state
    /// of a host takes memory, and most targets speak the first definition.
    pollers: Vec<Option<Box<TargetPoller>>>,
    /// The position of the one that polls.
    current: usize,
}

impl DefinitionSelector {
    /// The pollers of a target, of which the first is made. It opens no connection yet.
    ///
    /// # Errors
    /// If a URL is not one, or the TLS of the first `https` target cannot be set up.
    pub(crate) fn new(spec: TargetSpec) -> Result<Self, BuildError> {
        spec.receiver.check_urls(&spec.config)?;
        let parts = spec.receiver.parts(&spec.config, None)?;
        let pollers = spec.receiver.definitions.iter().map(|_| None);
        let mut new = Self {
            pollers: pollers.collect(),
            spec,
            parts,
            current: 0,
        };
        new.select(0)?;
        Ok(new)
    }

    /// The one that polls.
    pub(crate) fn current(&self) -> Option<&TargetPoller> {
        self.pollers.get(self.current)?.as_deref()
    }

    /// Those that were made.
    fn made(&self) -> impl Iterator<Item = &TargetPoller> {
        self.pollers.iter().filter_map(Option::as_deref)
    }

    /// Polls the target as another spec says. None of the pollers may poll meanwhile. What is known
    /// of the instances that stay stays, and so does the definition that the target speaks, as long
    /// as there is one of its name.
    ///
    /// # Errors
    /// As of [`Self::new`]. Then everything continues as before.
    pub(crate) fn apply(&mut self, spec: TargetSpec) -> Result<(), BuildError> {
        let (receiver, config) = (&spec.receiver, &spec.config);
        receiver.check_urls(config)?;
        let parts = receiver.parts(config, Some((&self.spec, &self.parts)))?;
        let pollers = receiver.definitions.iter().map(|definition| {
            let is_of = |old: &&TargetPoller| old.target.definition.name == definition.name;
            let Some(old) = self.made().find(is_of) else {
                return Ok(None);
            };
            let poller = receiver.poller(config, definition, &parts, Some(old))?;
            Ok(Some(Box::new(poller)))
        });
        let pollers = pollers.collect::<Result<_, BuildError>>()?;
        let spoken = self.current().map(|old| &old.target.definition.name);
        let mut known = receiver.definitions.iter();
        let spoken = known.position(|known| Some(&known.name) == spoken);
        let mut next = Self {
            spec,
            parts,
            pollers,
            current: 0,
        };
        next.select(spoken.unwrap_or_default())?;
        let keeps_answers = next.spec.asker() == self.spec.asker();
        for poller in next.made() {
            poller.host.arrange();
            if !keeps_answers {
                poller.host.forget_answers();
            }
        }
        *self = next;
        Ok(())
    }

    /// How many definitions there are.
    pub(crate) fn count(&self) -> usize {
        self.pollers.len()
    }

    /// Makes the poller at a position the one that polls.
    fn select(&mut self, position: usize) -> Result<(), BuildError> {
        let TargetSpec {
            receiver, config, ..
        } = &self.spec;
        let definition = receiver.definitions.get(position);
        let place = self.pollers.get_mut(position).zip(definition);
        let (place, definition) = place.ok_or(BuildError::NoEndpoint)?;
        if place.is_none() {
            let poller = receiver.poller(config, definition, &self.parts, None)?;
            *place = Some(Box::new(poller));
        }
        self.current = position;
        Ok(())
    }

    /// Selects the next definition: the target does not speak the current one, which is the
    /// `tried`-th in a row.
    pub(crate) fn select_next(&mut self, tried: usize) {
        self.log_unknown(tried);
        let next = (self.current + 1) % self.pollers.len().max(1);
        if let Err(error) = self.select(next) {
            self.spec.receiver.refuse_invalid(&self.spec.config, &error);
        }
    }

    fn log_unknown(&self, tried: usize) {
        let Some(poller) = self.current() else { return };
        let Target {
            receiver,
            name: target,
            definition,
            ..
        } = &*poller.target;
        let definition = &definition.name;
        match tried.cmp(&self.pollers.len()) {
            Ordering::Less => tracing::info!(
                receiver,
                target,
                definition,
                "target answers 404 to the whole definition; trying the next one"
            ),
            Ordering::Equal => tracing::warn!(
                receiver,
                target,
                definition,
                "target answers 404 to every definition; trying them in turns"
            ),
            Ordering::Greater => tracing::debug!(
                receiver,
                target,
                definition,
                "target answers 404 to the whole definition"
            ),
        }
    }

    /// Polls once, with the definition that the target speaks.
    pub(crate) async fn poll_once(&mut self) -> Result<Option<(Arc<Target>, Poll)>, BuildError> {
        let mut first = None;
        for position in 0..self.pollers.len() {
            self.select(position)?;
            let Some(poller) = self.current() else { break };
            let poll = poller.poll_all().await;
            let is_unknown = poll.is_unknown();
            let polled = (Arc::clone(&poller.target), poll);
            if !is_unknown {
                return Ok(Some(polled));
            }
            first.get_or_insert(polled);
        }
        Ok(first)
    }
}
