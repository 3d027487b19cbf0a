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
pub mod config;
mod context;
mod format;
mod http;
mod poll;
mod targets;
mod telemetry;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub use self::{
    config::{Config, TargetConfig},
    context::{BuildError, Context},
    http::network::{Answering, Network},
    targets::{control::StopHandle, factory::PollerFactory, manager::TargetManager},
};
use self::{
    poll::{endpoint, schedule::Timing},
    targets::{definition_selection::DefinitionSelector, discovery::TargetDiscovery},
};
use crate::{
    definition::Definition,
    discovery::ShardConfig,
    pipeline::{Consumer, Poll, Prober, Target},
    runtime::{Clock, Tasks},
};

/// A built receiver: what it polls at first, and what makes the pollers of that and of more.
pub struct HttpJsonReceiver {
    factory: Arc<PollerFactory>,
    targets: Vec<Arc<TargetConfig>>,
    timing: Timing,
    shard: Option<ShardConfig>,
    finding: TargetDiscovery,
}

/// A poll made of saved bodies, one an endpoint of `definition`; an endpoint without one failed.
pub fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    endpoint::sample(definition, bodies, clock)
}

impl HttpJsonReceiver {
    /// Polls each target from now on and hands the polls to `consumers`, until `tasks` stops or
    /// another receiver takes its place with [`TargetManager::follow`].
    pub fn start(self, consumers: &[Arc<dyn Consumer>], tasks: &Tasks) -> Arc<TargetManager> {
        let running = Arc::new(TargetManager::new(&self, consumers.to_vec(), tasks.clone()));
        let Context { id, board, .. } = &self.factory.context;
        board.add_prober(id, &(Arc::clone(&running) as Arc<dyn Prober>));
        // It polled nobody who could end.
        drop(running.begin(self));
        running
    }

    /// Adds what the discovery finds once to what [`Self::poll_once`] polls; sources that have not
    /// answered after `patience` are left out.
    pub async fn discover_once(&mut self, patience: Duration) {
        if let TargetDiscovery::New(finder) =
            std::mem::replace(&mut self.finding, TargetDiscovery::None)
        {
            self.targets.extend(finder.once(patience).await);
        }
    }

    /// Makes each instance of a pool a target of its own in what [`Self::poll_once`] polls.
    pub fn take_apart(&mut self) {
        let instances = self
            .targets
            .iter()
            .flat_map(|target| target.instances_apart());
        self.targets = instances.map(Arc::new).collect();
    }

    /// Polls each target once, all at the same time.
    ///
    /// # Errors
    /// If a target cannot be polled.
    pub async fn poll_once(&self) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        let targets = self.targets.iter();
        let targets = targets.map(|target| self.factory.target(target));
        let mut targets = targets.collect::<Result<Vec<_>, _>>()?;
        let polls = targets.iter_mut().map(DefinitionSelector::poll_once);
        let polls = futures_util::future::try_join_all(polls).await?;
        Ok(polls.into_iter().flatten().collect())
    }
}
