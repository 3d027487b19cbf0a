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
mod build_error;
mod check;
mod component;
pub mod config;
mod format;
mod http;
mod poll;
mod spec;
mod targets;
mod telemetry;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

pub use self::{
    build_error::BuildError,
    component::{PRESET_TYPE, TYPE},
    config::{Config, TargetConfig},
    spec::ReceiverSpec,
    targets::{handle::StopHandle, manager::TargetManager},
};
use self::{
    poll::{grid::Timing, sample, saved_pages},
    spec::TargetSpec,
    targets::{
        definition_selection::DefinitionSelector,
        discovery::{DiscoveredBy, TargetDiscovery},
    },
};
use crate::{
    definition::{Definition, Endpoint},
    discovery::ShardConfig,
    pipeline::{Consumer, Poll, Prober, Target},
    receivers::contract::ReceiverContext,
    runtime::{Clock, Tasks},
};

/// A built receiver: what it polls at first, and how.
pub struct HttpJsonReceiver {
    discovered_by: Arc<DiscoveredBy>,
    spec: Arc<ReceiverSpec>,
    targets: Vec<Arc<TargetConfig>>,
    timing: Timing,
    shard: Option<ShardConfig>,
    discovery: TargetDiscovery,
}

/// What is said of an endpoint of which a sample has no body.
pub const NO_SAVED_BODY: &str = sample::NO_SAVED_BODY;

pub use sample::SavedAnswer;
pub use saved_pages::SavedPage;

/// Reads a header `Link`, for `fuzz/`.
pub(super) fn fuzz_link(data: &[u8]) {
    poll::pages::fuzz_link(data);
}

/// A poll made of saved bodies, one for each endpoint of `definition`. An endpoint without one has
/// failed.
pub fn sample(definition: &Definition, answers: Vec<Option<SavedAnswer>>, clock: &Clock) -> Poll {
    sample::sample(definition, answers, clock)
}

/// Where the pages of a saved answer are asked for. `path` is that of the first request.
pub fn saved_pages(endpoint: &Endpoint, path: &str, texts: &[Bytes]) -> Vec<SavedPage> {
    saved_pages::saved_pages(endpoint, path, texts)
}

impl HttpJsonReceiver {
    /// Polls each target and hands the polls to `consumer`, until `tasks` stops. Another receiver
    /// takes its place with [`TargetManager::apply`].
    pub fn start(self, consumer: Arc<dyn Consumer>, tasks: &Tasks) -> Arc<TargetManager> {
        let manager = Arc::new(TargetManager::new(&self, consumer, tasks.clone()));
        let ReceiverContext { id, board, .. } = &self.spec.context;
        board.add_prober(id, &(Arc::clone(&manager) as Arc<dyn Prober>));
        // No target was polled that could stop.
        drop(manager.begin(self));
        manager
    }

    /// Adds what the discovery finds once to what [`Self::poll_once`] polls. Sources that have not
    /// answered after `patience` are left out.
    pub async fn discover_once(&mut self, patience: Duration) {
        if let TargetDiscovery::New(discovery) =
            std::mem::replace(&mut self.discovery, TargetDiscovery::None)
        {
            self.targets.extend(discovery.once(patience).await);
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
    pub async fn poll_once(self) -> Result<Vec<(Arc<Target>, Poll)>, BuildError> {
        let selectors = self.targets.iter().map(|config| {
            let spec = TargetSpec {
                receiver: Arc::clone(&self.spec),
                config: Arc::clone(config),
                timing: self.timing,
            };
            DefinitionSelector::new(spec)
        });
        let mut selectors = selectors.collect::<Result<Vec<_>, _>>()?;
        let progress = &self.spec.context.polled_once;
        progress.found(selectors.len());
        let polls = selectors.iter_mut().map(async |selector| {
            let polled = selector.poll_once().await;
            progress.polled();
            polled
        });
        let polls = futures_util::future::try_join_all(polls).await?;
        Ok(polls.into_iter().flatten().collect())
    }
}
