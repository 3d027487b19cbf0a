//! Polls JSON APIs over HTTP as a definition says; `betanet` is its preset.
//!
//! ```yaml
//! receivers:
//!   http_json/search:
//!     definition: elasticsearch
//!     collection_interval: 30s
//!     targets:
//!       - endpoint: http://localhost:9200
//!         labels: { cluster: main }
//! ```

mod build;
mod check;
mod client;
mod clients;
pub mod config;
mod dialect;
mod discover;
mod endpoint;
mod exposition;
mod factory;
mod origin;
mod poller;
mod probe;
mod reconcile;
mod running;
mod schedule;
mod telemetry;
mod transport;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub use self::{
    build::{BuildError, Context},
    config::{Config, TargetConfig},
    factory::Factory,
    running::Running,
};
use self::{dialect::Candidates, discover::Finder, poller::Timing};
use crate::{
    definition::Definition,
    pipeline::{Consumer, Poll, Prober, Target},
    runtime::{Clock, Tasks},
};

/// A built receiver: its first targets, ready to be polled, and what makes more of them.
pub struct HttpJson {
    factory: Factory,
    targets: Vec<(TargetConfig, Candidates)>,
    timing: Timing,
    /// What finds further targets.
    finder: Option<Finder>,
}

/// A poll made of saved bodies, one an endpoint of `definition`; an endpoint without one failed.
pub fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    endpoint::sample(definition, bodies, clock)
}

impl HttpJson {
    /// Polls each target from now on and hands the polls to `consumers`, until `tasks` stops or
    /// [`Running::apply`] says otherwise.
    pub fn start(mut self, consumers: &[Arc<dyn Consumer>], tasks: &Tasks) -> Arc<Running> {
        let finder = self.finder.take();
        let running = Arc::new(Running::start(self, consumers.to_vec(), tasks.clone()));
        let Context { id, board, .. } = &running.factory().context;
        board.add_prober(id, &(Arc::clone(&running) as Arc<dyn Prober>));
        if let Some(finder) = finder {
            finder.follow(&running, tasks);
        }
        running
    }

    /// Adds what the discovery finds once to what [`Self::poll_once`] polls; sources that have not
    /// answered after `patience` are left out.
    ///
    /// # Errors
    /// If a target that was found cannot be polled.
    pub async fn discover_once(&mut self, patience: Duration) -> Result<(), BuildError> {
        let Some(finder) = self.finder.take() else {
            return Ok(());
        };
        for target in finder.once(patience).await {
            let pollers = self.factory.target(&target)?;
            self.targets.push((target, pollers));
        }
        Ok(())
    }

    /// Polls each target once, all at the same time.
    pub async fn poll_once(&self) -> Vec<(Arc<Target>, Poll)> {
        let polls = self.targets.iter().map(|(_, target)| target.poll_once());
        futures_util::future::join_all(polls)
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}
