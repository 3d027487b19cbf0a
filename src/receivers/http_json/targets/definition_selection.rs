//! Which of several definitions a target speaks.
//!
//! Servers of one API may differ (Betanet has two dialects). A target that answers 404 to every
//! endpoint of a definition does not speak it, and the next one is tried. A target that is down or
//! hangs shows nothing about its dialect and keeps the definition that it has.

use std::{cmp::Ordering, sync::Arc};

use super::poller_builder::EarlierPoller;
use crate::{
    pipeline::{Poll, Target},
    receivers::http_json::{
        build_error::BuildError, poll::target_poller::TargetPoller, spec::TargetSpec,
    },
};

/// The pollers of one target, one for each definition.
pub(crate) struct DefinitionSelector {
    pub(crate) spec: TargetSpec,
    /// In the order in which definitions are tried. Each is made when it is first needed: the state
    /// of a host takes memory, and most targets speak the first definition.
    pollers: Vec<Option<Box<TargetPoller>>>,
    /// The position of the one that polls.
    current: usize,
}

impl DefinitionSelector {
    /// The pollers of a target, of which the first is made. It opens no connection yet. Clients and
    /// the place among all targets are those of an `earlier` poller.
    ///
    /// # Errors
    /// If a URL is not one, or the TLS of the first `https` target cannot be set up.
    pub(crate) fn new(
        spec: TargetSpec,
        earlier: Option<EarlierPoller<'_>>,
    ) -> Result<Self, BuildError> {
        spec.receiver.check_urls(&spec.config)?;
        let first = spec.receiver.poller_at(0, &spec.config, earlier)?;
        let mut pollers: Vec<_> = spec.receiver.definitions.iter().map(|_| None).collect();
        if let Some(free) = pollers.first_mut() {
            *free = Some(Box::new(first));
        }
        Ok(Self {
            spec,
            pollers,
            current: 0,
        })
    }

    /// The one that polls.
    pub(crate) fn current(&self) -> Option<&TargetPoller> {
        self.pollers.get(self.current)?.as_deref()
    }

    /// The one that polls, for new pollers of the target to share with.
    pub(crate) fn as_earlier(&self) -> Option<EarlierPoller<'_>> {
        Some(EarlierPoller {
            poller: self.current()?,
            config: &self.spec.config,
            connect: &self.spec.receiver.connect,
        })
    }

    /// Those that were made.
    pub(crate) fn made(&self) -> impl Iterator<Item = &TargetPoller> {
        self.pollers.iter().filter_map(Option::as_deref)
    }

    /// How many definitions there are.
    pub(crate) fn count(&self) -> usize {
        self.pollers.len()
    }

    /// The poller at a position, if it was made.
    pub(crate) fn at_mut(&mut self, position: usize) -> Option<&mut TargetPoller> {
        self.pollers.get_mut(position)?.as_deref_mut()
    }

    /// Makes the poller at a position the one that polls.
    pub(crate) fn select(&mut self, position: usize) -> Result<(), BuildError> {
        let poller = self.pollers.get(position);
        if poller.is_some_and(Option::is_none) {
            let (receiver, config) = (&self.spec.receiver, &self.spec.config);
            let poller = receiver.poller_at(position, config, self.as_earlier())?;
            if let Some(free) = self.pollers.get_mut(position) {
                *free = Some(Box::new(poller));
            }
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
